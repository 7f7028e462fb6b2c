/**
 * The words that an execution changed and a finding is about: the word it names, the pages concerned, the entries that
 * lead to them, their counts and their translations, before and after.
 */
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import { peek32 } from '../machine/image/image.js'
import { PAGE } from '../mm/page.js'
import { tableWordAt } from './address.js'
import { itemName } from './player/itemName.js'
import type { Row } from './steps.js'
import type { History, Item } from './state/recorder.js'

/** One cell of the state, and its change. */
export interface Changed {
  /** `mm0.pmd[0] of 0x10000`, `page[0xa] refcount`, `TLB of CPU 1: 0x10000 of mm0`. */
  readonly what: string
  /** Before the first step; null: it was not there. */
  readonly before: string | null
  /** What it said from each of these steps on, in order; null: gone. */
  readonly after: readonly { readonly step: number; readonly cpu: number; readonly text: string | null }[]
}

/**
 * The changes of the words that `finding` is about, and the translations that stayed. `rows` are the steps that
 * `history` is of.
 */
export function whatChanged(finding: Finding, machine: Machine, history: History, rows: readonly Row[]): Changed[] {
  if (finding.address === null) return []
  const cpuOf = new Map(rows.flatMap((row) => (row.kind === 'access' ? [[row.step, row.cpu] as const] : [])))
  const after: { step: number; cpu: number; text: string | null }[][] = history.items.map(() => [])
  history.changes.forEach((changes, i) => {
    for (const { item, text } of changes) after[item]?.push({ step: i + 1, cpu: cpuOf.get(i + 1) ?? -1, text })
  })
  const isConcerned = concerned(finding.address, machine, history.items)
  return history.items.flatMap((item, i) => {
    const changes = after[i] ?? []
    if ((changes.length === 0 && item.panel !== 'tlbs') || !isConcerned(item)) return []
    return [{ what: itemName(item), before: history.start[i] ?? null, after: changes }]
  })
}

/** What of a frame says something about a race. */
const FRAME_FIELDS = new Set(['use', 'refcount', 'mapcount', 'flags'])

/** Which items have to do with the word at `address`. */
function concerned(address: number, machine: Machine, items: readonly Item[]): (item: Item) => boolean {
  const frames = framesAt(address, machine)
  for (const item of items)
    if (item.panel === 'tables' && item.addrs.has(address)) for (const frame of item.frames) frames.add(frame)
  // The tables that entries of these frames are in: what leads to such a table leads to the frames.
  const tables = new Set<number>()
  for (const item of items)
    if (item.panel === 'tables' && meet(item.frames, frames))
      for (const addr of item.addrs) tables.add(machine.memmap.pfnAt(addr))
  return (item) => {
    if (item.addrs.has(address)) return true
    if (item.panel === 'frames') return FRAME_FIELDS.has(item.name) && meet(item.frames, frames)
    if (item.panel === 'tables') return meet(item.frames, frames) || meet(item.frames, tables)
    return (item.panel === 'tlbs' || item.panel === 'words') && meet(item.frames, frames)
  }
}

/** The frame whose struct page or contents the word at `address` belongs to; a table's word stands for itself. */
function framesAt(address: number, machine: Machine): Set<number> {
  const { memmap, config } = machine
  const inPages = address - memmap.base
  if (inPages >= 0 && inPages < config.frames * PAGE.size) {
    const link = peek32(memmap.page(memmap.pfnOf(address)) + PAGE.at.compoundHead)
    const pfn = memmap.pfnOf(address)
    return new Set((link & 1) === 0 ? [pfn] : [pfn, memmap.pfnOf(link - 1)])
  }
  if (address < memmap.frameBase || tableWordAt(machine, address) !== null) return new Set()
  return new Set([memmap.pfnAt(address)])
}

function meet(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  for (const x of a) if (b.has(x)) return true
  return false
}
