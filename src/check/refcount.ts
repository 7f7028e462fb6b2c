/**
 * refcount: reference and map counts that no history can have: a reference taken from a count of zero (R2), a count
 * below zero, a mapcount below none, counts of a frame that is not in use.
 *
 * Only what one atomic operation tells is judged while CPUs run. Sums over several words (a refcount covers its
 * mapcounts, R1) hold at no instant that a reader could name, and are compared in finalCheck().
 *
 * Sound in free runs: `before` is what the atomic operation itself found. The state of the frame is looked at after a
 * reference was taken (which keeps it), or under the lock under which a mapcount changes. After a put it is not looked
 * at: the frame may be gone.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { violation } from './violation.js'

const ORACLE = 'refcount'

export class Refcount {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
  }

  referenced(cpu: Cpu, pfn: number, before: number, delta: number): void {
    if (delta > 0 && before <= 0) this.#report(cpu, 'refcount_t: addition on 0; use-after-free', pfn, before, delta)
    if (before + delta < 0) this.#report(cpu, 'refcount_t: underflow; use-after-free', pfn, before, delta)
  }

  /** `before` is stored minus one. */
  mapped(cpu: Cpu, pfn: number, before: number, delta: number): void {
    if (before + delta < -1) this.#report(cpu, 'Bad page map: mapcount underflow', pfn, before + 1, delta)
    if (!this.#shadow.isData(pfn)) this.#report(cpu, 'Bad page map: the page is not in use', pfn, before + 1, delta)
  }

  #report(cpu: Cpu, what: string, pfn: number, before: number, delta: number): never {
    const change = `count went from ${before} to ${before + delta}`
    violation(cpu, ORACLE, what, this.#machine.memmap.page(pfn), [change, ...this.#sites.describe(pfn)])
  }
}
