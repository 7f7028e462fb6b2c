/**
 * discard-kept: after MADV_DONTNEED no anonymous page in the range holds what was there before the call.
 *
 * Each page knows how old its contents are: since when a user could have written them, that is, since the page was
 * first mapped after it was cleared or read from a file. A copy of an anonymous page (COW, migration, collapse) is as
 * old as what it was copied from. A page that was never mapped has no age, and has nothing to be discarded.
 *
 * Sound in free runs: the call holds mmap_lock for read until after the hook.
 * - A page whose first mapping was noted before the call's tick was mapped before the call; its mapping then, or the
 *   migration entry that stood for it, was in the range when the call walked it, and mmap_lock keeps away those who
 *   move mappings from elsewhere (mremap, collapse). The time is noted after the entry is stored, so an earlier one
 *   cannot be noted for a page that is mapped behind the walk.
 * - A copy that a fault made before the call of a page that the call then zapped is not mapped: the fault looks at the
 *   entry again.
 * - Splits by other CPUs keep pages and entries; a walk of the tables by the hook meets the one or the other form. PTE
 *   tables stay while mmap_lock is held.
 * - A frame that is found in an entry may be gone and reused before its age is read. So generation, age, entry and
 *   again generation are read: if both words stay, frame and age belong together.
 */
import { phys, type VirtAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32, peek32, poke32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import { MM } from '../mm/mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import { brief, briefAt, hugeFrame, isHuge, pteFrame, tableFrame } from '../arch/entry.js'
import { SHADOW, happenedBefore, now, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'discard-kept'
const AT = SHADOW.at

/** How old the contents of frames are. */
export class Contents {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#machine = machine
    this.#shadow = shadow
  }

  contentsCreated(pfn: number, from: number): void {
    const inherits = from >= 0 && this.isAnon(from)
    poke32(this.#shadow.of(pfn) + AT.birth, inherits ? peek32(this.#shadow.of(from) + AT.birth) : 0)
  }

  /** A page that was just mapped for the first time begins to age. */
  entryChanged(cpu: Cpu, level: number, before: bigint, after: bigint): void {
    const [old, next] = [brief(before), brief(after)]
    if (level === Level.pte) {
      const frame = pteFrame(next)
      if (frame >= 0 && frame !== pteFrame(old)) this.#mapped(cpu, frame, 1)
    } else if (level === Level.pmd && isHuge(next)) {
      const frame = hugeFrame(next, this.#shadow.hugePages)
      if (frame !== hugeFrame(old, this.#shadow.hugePages)) this.#mapped(cpu, frame, this.#shadow.hugePages)
    }
  }

  #mapped(cpu: Cpu, frame: number, pages: number): void {
    for (let pfn = frame; pfn < frame + pages; pfn++) {
      if (!this.#shadow.isData(pfn)) return
      const at = this.#shadow.of(pfn) + AT.birth
      if (peek32(at) === 0) poke32(at, now(cpu))
    }
  }

  /** Anonymous contents of frame `pfn` that a user could have written before `time`, a tick. */
  isOlder(pfn: number, time: number): boolean {
    if (!this.#shadow.isData(pfn) || !this.isAnon(pfn)) return false
    const birth = load32(this.#shadow.of(pfn) + AT.birth)
    return birth !== 0 && happenedBefore(birth, time)
  }

  /** The folio of the page is anonymous. */
  isAnon(pfn: number): boolean {
    const page = this.#machine.memmap.page(pfn)
    const head = peek32(page + PAGE.at.compoundHead)
    return (peek32(((head & 1) !== 0 ? head - 1 : page) + PAGE.at.mapping) & PAGE_MAPPING_ANON) !== 0
  }
}

export class DiscardKept {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #contents: Contents

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, contents: Contents) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#contents = contents
  }

  /** MADV_DONTNEED of start … end returns; it began at tick `stamp`. */
  callReturns(cpu: Cpu, mm: number, start: number, end: number, stamp: number): void {
    const { geo } = this.#machine
    for (let addr = start; addr < end;) {
      const next = geo.pmdAddrEnd(addr as VirtAddr, end as VirtAddr)
      const pmdp = this.#findPmd(mm, addr)
      if (pmdp > 0) this.#checkPmd(cpu, pmdp, addr, next, stamp)
      addr = pmdp < 0 ? this.#behindMissing(-pmdp, addr, end) : next
    }
  }

  /** The PMD entry for `addr`; without one minus the level of the entry that is none. */
  #findPmd(mm: number, addr: number): number {
    const { geo, memmap } = this.#machine
    let table = peek32(mm + MM.at.pgd)
    for (let level = peek32(mm + MM.at.topLevel); level > Level.pmd; level--) {
      const nr = tableFrame(briefAt(table + geo.upperIndex(level, addr) * 8))
      if (!this.#shadow.tableExists(nr)) return -level
      table = memmap.table(nr)
    }
    return table + geo.upperIndex(Level.pmd, addr) * 8
  }

  #behindMissing(level: number, addr: number, end: number): number {
    return this.#machine.geo.upperAddrEnd(level, addr, end)
  }

  #checkPmd(cpu: Cpu, pmdp: number, start: number, end: number, stamp: number): void {
    const { geo, memmap } = this.#machine
    const pmd = briefAt(pmdp)
    const huge = hugeFrame(pmd, this.#shadow.hugePages)
    const table = tableFrame(pmd)
    if (huge < 0 && !this.#shadow.tableExists(table)) return
    for (let addr = start; addr < end; addr += geo.pageSize) {
      const index = geo.pteIndex(addr as VirtAddr)
      if (huge >= 0) this.#checkPage(cpu, pmdp, pmd, huge + index, addr, stamp)
      else this.#checkPte(cpu, memmap.table(table) + index * 8, addr, stamp)
    }
  }

  #checkPte(cpu: Cpu, ptep: number, addr: number, stamp: number): void {
    const pte = briefAt(ptep)
    const frame = pteFrame(pte)
    if (frame >= 0) this.#checkPage(cpu, ptep, pte, frame, addr, stamp)
  }

  /**
   * `word` is the low half of the entry as it was read; accessed and dirty bits may change it, and then it is passed
   * over.
   */
  #checkPage(cpu: Cpu, entry: number, word: number, pfn: number, addr: number, stamp: number): void {
    if (!this.#shadow.exists(pfn)) return
    const generation = load32(this.#shadow.of(pfn) + AT.generation)
    if (!this.#contents.isOlder(pfn, stamp) || briefAt(entry) !== word) return
    if (load32(this.#shadow.of(pfn) + AT.generation) !== generation) return
    violation(cpu, ORACLE, 'MADV_DONTNEED kept a page', phys(entry), [
      `${hex(addr)} still holds what it held before the call`,
      `contents since clock ${peek32(this.#shadow.of(pfn) + AT.birth) - 1}, call began at clock ${stamp}`,
      ...this.#sites.describe(pfn),
    ])
  }
}
