/**
 * pin-exclusive: a pinned anonymous page belongs to one process alone, when the pin is returned and until it is given
 * back (rules A2 and A3). Otherwise a write of the owner copies the page, and the holder of the pin goes on with the
 * copy's original.
 *
 * Also counts what gup has returned and not got back (SHADOW.gets, SHADOW.pins), which finalCheck() needs.
 *
 * A page is exclusive by its own flag, or by the head's while the folio is mapped as a whole. The head's flag is
 * accepted for any page of a folio: after a split of the PMD it speaks for the head only, so a tail's lost flag may go
 * unnoticed.
 *
 * Sound in free runs:
 * - At gupDone the pin is counted in the page, and a fork that could have judged the page before was ruled out by
 *   write_protect_seq. Whoever clears the flag later looks at the count first, and finds the pin.
 * - anonExclusiveCleared comes after the flag was cleared. A pin that is finished at that time was finished before the
 *   clearing: from the look at the count until the hook nobody can get the page (fork: mmap_lock for write and the
 *   write section; migration: the entry is gone, and the folio locked), so it was there at the look too.
 * - gupReleased comes before the pin goes.
 */
import { peek32 } from '../machine/image/image.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { PAGE, PG_ANON_EXCLUSIVE } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Contents } from './discardKept.js'
import type { Mappings } from './mappings.js'
import { SHADOW, count, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'pin-exclusive'
const AT = SHADOW.at

export class PinExclusive {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #mappings: Mappings
  readonly #contents: Contents

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, mappings: Mappings, contents: Contents) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#mappings = mappings
    this.#contents = contents
  }

  gupDone(cpu: Cpu, mm: number, addr: number, pfn: number, pinned: boolean): void {
    count(this.#shadow.of(pfn) + (pinned ? AT.pins : AT.gets), 1)
    if (pinned && this.#isShared(pfn))
      this.#report(cpu, 'page pinned that is not exclusive', pfn, [`pinned for ${hex(addr)} of mm ${hex(mm)}`])
  }

  gupReleased(cpu: Cpu, pfn: number, pinned: boolean): void {
    if (pinned && this.#isShared(pfn)) this.#report(cpu, 'pinned page lost its exclusive flag', pfn, [])
    count(this.#shadow.of(pfn) + (pinned ? AT.pins : AT.gets), -1)
  }

  anonExclusiveCleared(cpu: Cpu, pfn: number): void {
    // As a flag of the head it stands for the whole mapping; as one of a page mapped by a PTE for that page.
    const whole = this.#mappings.isMappedHuge(pfn) && pfn % this.#shadow.hugePages === 0
    for (let i = pfn; i < pfn + (whole ? this.#shadow.hugePages : 1); i++) {
      const pins = peek32(this.#shadow.of(i) + AT.pins)
      if (pins > 0)
        this.#report(cpu, 'exclusive flag cleared of a pinned page', i, [
          `${pins} pins were returned and are still held`,
        ])
    }
  }

  /** Anonymous and not exclusive. Caller: a reference keeps the folio whole. */
  #isShared(pfn: number): boolean {
    if (!this.#shadow.isData(pfn) || !this.#contents.isAnon(pfn)) return false
    const page = this.#machine.memmap.page(pfn)
    const link = peek32(page + PAGE.at.compoundHead)
    const head = (link & 1) !== 0 ? link - 1 : page
    return ((peek32(page + PAGE.at.flags) | peek32(head + PAGE.at.flags)) & PG_ANON_EXCLUSIVE) === 0
  }

  #report(cpu: Cpu, what: string, pfn: number, details: readonly string[]): never {
    violation(cpu, ORACLE, what, this.#machine.memmap.page(pfn), [...details, ...this.#sites.describe(pfn)])
  }
}
