/**
 * unguarded-access at the heads of functions: the kernel asserts that its caller holds a lock (lockdep_assert_held(),
 * mmap_assert_locked()), and the running CPU does not. Fields that are accessed by peek and poke have their guards
 * (guards.ts); an assertion also speaks for functions whose accesses are all schedule points.
 *
 * What a CPU holds is its own knowledge (heldLocks.ts), so the oracle is exact in threads, too. Boot, and unit tests
 * that run one CPU alone, are exempt as in guards.ts.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Layout } from '../machine/image/layout.js'
import type { CheckedMachine } from './checkedMachine.js'
import { lockName, type HeldLocks } from './heldLocks.js'
import { violation } from './violation.js'

export class AssertedLocks {
  readonly #layout: Layout
  readonly #held: HeldLocks

  constructor(machine: CheckedMachine, held: HeldLocks) {
    this.#layout = machine.layout
    this.#held = held
  }

  lockAsserted(cpu: Cpu, lock: number, shared: boolean): void {
    if (shared ? this.#held.holds(cpu.id, lock) : this.#held.holdsToWrite(cpu.id, lock)) return
    if (!cpu.engine.threads && cpu.engine.running < 0) return
    const name = lockName(lock, this.#layout)
    violation(cpu, 'unguarded-access', `${this.#layout.kindOf(lock).replace(/\[0\]$/, '')} is not held`, lock, [
      `the function needs ${name}${shared ? ', to read at least' : ''}`,
      `CPU ${cpu.id} holds: ${this.#held.names(cpu.id, this.#layout)}`,
    ])
  }
}
