/**
 * Names for addresses of the image, by what lives there at the moment: the layout knows regions and fields, struct page
 * and the live address spaces know what a frame is used for. For use when nothing runs, or between two controlled
 * steps.
 */
import type { Machine } from '../boot/machine.js'
import { tableLevel } from '../explore/insight/wordClass.js'
import { peek32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import { briefAt, levelName, tableFrame } from '../arch/entry.js'
import { MM } from '../mm/mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON, PG_BUDDY, PG_RESERVED, PG_TABLE } from '../mm/page.js'
import { hex } from './entry.js'

/** A word of a page table. `owner` is the mm and the address the entry translates, null for a table linked nowhere. */
export interface TableWord {
  readonly table: number
  readonly level: number
  readonly index: number
  readonly owner: { readonly mm: number; readonly addr: number } | null
}

/** What lives at `addr`: `mm0.pmd[0] of 0x10000`, `page[0x2a].refcount`, `frame 0x2a (anonymous)`, `word 1`. */
export function describeAddress(machine: Machine, addr: number): string {
  const { memmap } = machine
  const table = tableWordAt(machine, addr)
  if (table !== null) return describeTableWord(table)
  if (addr >= memmap.frameBase) return describeFrame(machine, addr)
  const inPages = addr - memmap.base
  if (inPages >= 0 && inPages < machine.config.frames * PAGE.size) return describePage(machine, addr)
  const name = machine.layout.nameOf(addr)
  return name
    .replace(/^word\[0x([0-9a-f]+)\]\.value$/, 'word $1')
    .replace(/\[0x([0-9a-f]+)\]/, (_, n: string) => `[${parseInt(n, 16)}]`)
}

function describeTableWord({ table, level, index, owner }: TableWord): string {
  const name = level === 0 ? 'page' : levelName(level)
  if (owner === null) return `${name} table ${hex(table)}[${index}], not linked`
  return `mm${owner.mm}.${name}[${index}] of ${hex(owner.addr)}`
}

/** The table word at `addr`, or null when its frame is no page table. */
export function tableWordAt(machine: Machine, addr: number): TableWord | null {
  const { memmap, config, regions } = machine
  const level = tableLevel(machine, addr)
  if (level === 0) return null
  const table = memmap.tableOfLevelAt(level, addr)
  const index = (addr - memmap.table(table)) >>> 3
  for (let slot = 0; slot < config.kernel.mms; slot++) {
    const mm = regions.kernel.mms + slot * MM.size
    const pgd = peek32(mm + MM.at.inUse) === 0 ? 0 : peek32(mm + MM.at.pgd)
    const top = peek32(mm + MM.at.topLevel)
    const found = pgd === 0 ? null : findTable(machine, memmap.tableAt(pgd), top, 0, table)
    if (found === null) continue
    const span = entrySpan(machine, found.level)
    return { table, level: found.level, index, owner: { mm: slot, addr: found.base + index * span } }
  }
  return { table, level, index, owner: null }
}

/** Where below table `at` of `level` the table `wanted` hangs: its level and the first address that it translates. */
function findTable(
  machine: Machine,
  at: number,
  level: number,
  base: number,
  wanted: number,
): { level: number; base: number } | null {
  if (at === wanted) return { level, base }
  if (level === Level.pte) return null
  const { geo, memmap } = machine
  const span = entrySpan(machine, level)
  for (let i = 0; i < geo.ptrsPerTable; i++) {
    const below = tableFrame(briefAt(memmap.table(at) + i * 8))
    const found =
      below >= 0 && below < machine.config.frames * memmap.fragments
        ? findTable(machine, below, level - 1, base + i * span, wanted)
        : null
    if (found !== null) return found
  }
  return null
}

/** Bytes that an entry of `level` translates. */
export function entrySpan({ geo }: Machine, level: number): number {
  return level === Level.pte ? geo.pageSize : geo.pmdSize * geo.ptrsPerTable ** (level - 2)
}

function describeFrame(machine: Machine, addr: number): string {
  const { memmap } = machine
  const pfn = memmap.pfnAt(addr)
  const offset = addr - memmap.frame(pfn)
  return `frame ${hex(pfn)}${offset === 0 ? '' : `+${hex(offset)}`} (${frameUse(machine, pfn)})`
}

function frameUse({ memmap }: Machine, pfn: number): string {
  const page = memmap.page(pfn)
  const flags = peek32(page + PAGE.at.flags)
  if ((flags & PG_BUDDY) !== 0) return 'free'
  if ((flags & PG_RESERVED) !== 0) return 'reserved'
  const link = peek32(page + PAGE.at.compoundHead)
  const head = (link & 1) === 1 ? link - 1 : page
  const mapping = peek32(head + PAGE.at.mapping)
  const part = head === page ? '' : `, tail of ${hex(memmap.pfnOf(head))}`
  if (peek32(head + PAGE.at.refcount) === 0) return `no references${part}`
  if (mapping === 0) return `data${part}`
  return `${(mapping & PAGE_MAPPING_ANON) !== 0 ? 'anonymous' : 'file'}${part}`
}

/** A struct page's field; of the words that several fields share, the one that this kind of page uses. */
function describePage({ memmap, layout }: Machine, addr: number): string {
  const page = addr - ((addr - memmap.base) % PAGE.size)
  const isTable = (peek32(page + PAGE.at.flags) & PG_TABLE) !== 0
  const fields = layout.nameOf(addr).replace(/^.*\./, '').split('|')
  const field = fields.find((name) => isTable === (name === 'ptl' || name.startsWith('rcu'))) ?? fields[0] ?? ''
  return `page[${hex(memmap.pfnOf(page))}].${field}`
}
