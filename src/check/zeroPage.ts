/**
 * zero-page: nobody writes to the zero pages, and a write for one process (a private mapping) never reaches the page
 * cache, which all processes share (Dirty COW).
 *
 * Which mapping a page was pinned through is not known here, and need not be: through a shared mapping gup writes to a
 * page only if an entry allows it, so a page of the page cache that no entry ever mapped writable is one that gup
 * should not have returned for writing.
 *
 * Sound in free runs: reserved frames never change their use. A writable entry is noted before it is stored, so whoever
 * has seen one finds the note, which stays as long as the page lives. The caller of privateWrite() has a reference.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Contents } from './discardKept.js'
import { brief, hugeFrame, isWritable, pteFrame } from '../arch/entry.js'
import { SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'zero-page'

export class ZeroPage {
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

  accessed(cpu: Cpu, pfn: number, write: boolean): void {
    if (write && this.#shadow.isReserved(pfn)) this.#report(cpu, 'write to the zero page', pfn, [])
  }

  entryChanged(cpu: Cpu, level: number, mm: number, addr: number, after: bigint): void {
    const low = brief(after)
    if (level > Level.pmd || !isWritable(level, low)) return
    const frame = level === Level.pte ? pteFrame(low) : hugeFrame(low, this.#shadow.hugePages)
    if (frame < 0 || !this.#shadow.isReserved(frame)) return
    this.#report(cpu, 'zero page mapped writable', frame, [`at ${hex(addr)} of mm ${hex(mm)}`])
  }

  gupDone(cpu: Cpu, mm: number, addr: number, pfn: number, write: boolean): void {
    if (!write) return
    if (this.#shadow.isReserved(pfn)) this.#report(cpu, 'gup returned the zero page for writing', pfn, [hex(addr)])
    if (this.#isForeign(pfn))
      this.#report(cpu, 'gup returned a page of the page cache for writing to a private mapping', pfn, place(mm, addr))
  }

  privateWrite(cpu: Cpu, mm: number, addr: number, pfn: number): void {
    if (this.#isForeign(pfn)) this.#report(cpu, 'write for a private mapping into the page cache', pfn, place(mm, addr))
  }

  /** Of the page cache, and never mapped writable. */
  #isForeign(pfn: number): boolean {
    if (!this.#shadow.isData(pfn) || this.#contents.isAnon(pfn)) return false
    return load32(this.#shadow.of(pfn) + SHADOW.at.writable) === 0
  }

  #report(cpu: Cpu, what: string, pfn: number, details: readonly string[]): never {
    violation(cpu, ORACLE, what, this.#machine.memmap.frame(pfn), [...details, ...this.#sites.describe(pfn)])
  }
}

const place = (mm: number, addr: number): string[] => [`${hex(addr)} of mm ${hex(mm)}`]
