/**
 * RCU by its definition, for litmus tests: a grace period waits until every reader that was inside when it began has
 * left. The kernel's own RCU, with its masks, interrupts and callbacks, runs in all other programs, where a search
 * through every schedule is out of reach.
 *
 * Source: the RCU axiom of tools/memory-model/linux-kernel.cat, as an algorithm: Desnoyers, McKenney, Stern, Dagenais,
 * Walpole, "User-Level Implementations of Read-Copy Update", TPDS 2012, with a phase of each reader's own.
 */
import { phys } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step, WaitCondition } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { SYNC_CPU_STATE } from '../sync/cpuState.js'
import { describeContext, inRcuReader } from '../sync/mightSleep.js'
import { readerAt, type ProgramRegions } from './state.js'

// reader + 0   sections that the CPU has begun and ended: odd inside of one

const isAnother: WaitCondition = (seen, operand) => seen !== operand

export class LitmusRcu {
  readonly #cpu: Cpu
  readonly #regions: ProgramRegions

  constructor(cpu: Cpu, regions: ProgramRegions) {
    this.#cpu = cpu
    this.#regions = regions
  }

  /** rcu_read_lock(): nests. */
  *rcuReadLock(): Step<void> {
    if (this.#nest(1) !== 1) return
    // Full barrier (A): inside, before the section's loads. Otherwise a grace period could miss the reader, and the
    // reader see what is gone. Pairs with (B) in synchronizeRcu().
    yield* this.#cpu.atomicAddReturn32(readerAt(this.#regions, this.#cpu.id), 1)
  }

  /** rcu_read_unlock(). */
  *rcuReadUnlock(): Step<void> {
    const nesting = this.#nest(-1)
    if (nesting < 0) this.#cpu.report('rcu-misuse', 'BUG: rcu_read_unlock() without rcu_read_lock()', null)
    if (nesting !== 0) return
    const own = readerAt(this.#regions, this.#cpu.id)
    yield* this.#cpu.atomicAddReturn32(own, 1)
    this.#cpu.wakeWaiters(own)
  }

  /** synchronize_rcu(). */
  *synchronizeRcu(): Step<void> {
    const cpu = this.#cpu
    if (inRcuReader(cpu))
      cpu.report('rcu-misuse', 'BUG: synchronize_rcu() waits for the CPU that calls it', null, [describeContext(cpu)])
    // Full barrier (B): what was done before, before the look at who reads. Pairs with (A) in rcuReadLock().
    yield* cpu.smpMb()
    for (let other = 0; other < cpu.cpuCount; other++) {
      if (other === cpu.id) continue
      const reader = readerAt(this.#regions, other)
      const seen = yield* cpu.readOnce32(reader)
      if ((seen & 1) === 1) yield* cpu.waitUntil(reader, isAnother, seen)
    }
    yield* cpu.smpMb()
  }

  /** The depth afterwards. */
  #nest(by: number): number {
    const at = phys(this.#cpu.area + SYNC_CPU_STATE.at.rcuNesting)
    poke32(at, peek32(at) + by)
    return peek32(at)
  }
}
