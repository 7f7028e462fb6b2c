/**
 * dirty-lost: a page that was stored to is dirty: by an entry that maps it, or by its folio's flag. Who finds it clean
 * may drop it, and reads it anew or takes zeroes for it.
 *
 * Private memory is judged while something maps it, of the page cache every page. MADV_FREE lets the contents go, so
 * that what was stored before it need not be dirty. Whose contents move to another frame (migration, collapse) moves
 * its duty along; a copy on write is a new page, which reclaim takes for dirty until it is freed lazily.
 *
 * Judged when all CPUs have stopped, since bits are on their way in between: in a local variable of a zap, say. So it
 * is as sound in free runs: notes are set by whoever stores and cleared by the call or the owner of the frame. A store
 * that races with MADV_FREE may lose its note, never gain one.
 */
import type { VirtAddr } from '../base/units.js'
import { Level } from '../arch/level.js'
import { briefAt, hugeFrame, pteFrame, tableFrame } from '../arch/entry.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { MM } from '../mm/mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON, PG_DIRTY } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import { type Expected, finding } from './expected.js'
import { SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'

const ORACLE = 'dirty-lost'
const WRITTEN = SHADOW.at.written

/** Which frames were stored to. */
export class Written {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#machine = machine
    this.#shadow = shadow
  }

  stored(pfn: number): void {
    const at = this.#shadow.of(pfn) + WRITTEN
    if (peek32(at) === 0) poke32(at, 1)
  }

  /** The contents of frame `from` go on in frame `to`. */
  moved(to: number, from: number): void {
    poke32(this.#shadow.of(to) + WRITTEN, peek32(this.#shadow.of(from) + WRITTEN))
  }

  /** MADV_FREE of start … end is over, flush and all. */
  freed(mm: number, start: number, end: number): void {
    const { pageSize } = this.#machine.geo
    for (let addr = start; addr < end; addr += pageSize) {
      const pfn = frameAt(this.#machine, this.#shadow, mm, addr)
      if (pfn >= 0) poke32(this.#shadow.of(pfn) + WRITTEN, 0)
    }
  }
}

/** The frame that the tables of `mm` map at `addr`, usable or not; -1: none. Tables may change meanwhile. */
export function frameAt({ geo, memmap }: CheckedMachine, shadow: Shadow, mm: number, addr: number): number {
  let table = peek32(mm + MM.at.pgd)
  for (let level = peek32(mm + MM.at.topLevel); level > Level.pmd; level--) {
    const nr = tableFrame(briefAt(table + geo.upperIndex(level, addr) * 8))
    if (!shadow.tableExists(nr)) return -1
    table = memmap.table(nr)
  }
  const pmd = briefAt(table + geo.upperIndex(Level.pmd, addr) * 8)
  const huge = hugeFrame(pmd, shadow.hugePages)
  const nr = tableFrame(pmd)
  if (huge < 0 && !shadow.tableExists(nr)) return -1
  const index = geo.pteIndex(addr as VirtAddr)
  const pfn = huge >= 0 ? huge + index : pteFrame(briefAt(memmap.table(nr) + index * 8))
  return shadow.exists(pfn) ? pfn : -1
}

export class DirtyKept {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
  }

  /** A page in use, at the end. */
  check(pfn: number, expected: Expected): void {
    if (peek32(this.#shadow.of(pfn) + WRITTEN) === 0 || expected.dirty[pfn] !== 0) return
    const page = this.#machine.memmap.page(pfn)
    const headPfn = expected.headOf(pfn)
    const head = this.#machine.memmap.page(headPfn)
    if (((peek32(page + PAGE.at.flags) | peek32(head + PAGE.at.flags)) & PG_DIRTY) !== 0) return
    const mapping = peek32(head + PAGE.at.mapping)
    const mapped = (expected.maps[pfn] as number) + (expected.entire[headPfn] as number) > 0
    if (mapping === 0 || ((mapping & PAGE_MAPPING_ANON) !== 0 && !mapped)) return
    const kind = (mapping & PAGE_MAPPING_ANON) !== 0 ? 'private' : 'of the page cache'
    finding(ORACLE, `BUG: a page that was written is clean`, page, [
      `it is ${kind}; no entry that maps it is dirty, and its folio is not`,
      ...this.#sites.describe(pfn),
    ])
  }
}
