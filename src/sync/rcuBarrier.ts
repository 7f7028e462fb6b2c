/**
 * rcu_barrier(): a wait for callbacks instead of readers. A callback of the barrier's own is queued behind those of
 * each CPU, and the last of these callbacks to run ends the wait.
 *
 * Source: kernel/rcu/tree.c rcu_barrier(), rcu_barrier_entrain() (v6.12).
 *
 * Left out: barrier_sequence, by which a caller finds that the wait of another has served it too.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isZero, type Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { mightSleep } from './mightSleep.js'
import type { Rcu, RcuCallback } from './rcu.js'
import { HEAD_FUNC, pendingFunc, RCU, RCU_CPU, RcuAsk } from './rcuLayout.js'
import type { RcuSegcblist } from './rcuSegcblist.js'

export class RcuBarrier {
  protected readonly cpu: Cpu
  protected readonly rcu: Rcu
  readonly #list: RcuSegcblist
  readonly #ipi: number
  readonly #func: number

  /** The barriers of one CPU: `list` are its callbacks, `ipi` is the number of RCU's interrupts. */
  constructor(rcu: Rcu, list: RcuSegcblist, ipi: number) {
    this.cpu = rcu.cpu
    this.rcu = rcu
    this.#list = list
    this.#ipi = ipi
    this.#func = rcu.register(new BarrierCallback(rcu.cpu, phys(rcu.base + RCU.at.barrierCount)))
  }

  /**
   * rcu_barrier(): sleeps until all callbacks that were queued before, on any CPU, have run. It waits for no reader.
   */
  *rcuBarrier(): Step<void> {
    const { cpu, rcu } = this
    mightSleep(cpu, 'rcu_barrier')
    const busy = phys(rcu.base + RCU.at.barrierBusy)
    const count = phys(rcu.base + RCU.at.barrierCount)
    // 0 → 1. ACQUIRE: the barrier before is over, its heads are free. Pairs with the RELEASE at the end of
    // rcuBarrier().
    while ((yield* cpu.cmpxchg32(busy, 0, 1)) !== 0) yield* rcu.sleepUntil(busy, isZero, 0)
    if (yield* this.findCallbacks()) {
      yield* cpu.ipi.callMany(phys(rcu.own + RCU_CPU.at.scratchMask), this.#ipi, RcuAsk.entrain, true)
    }
    cpu.localIrqSave()
    yield* this.rcuBarrierEntrain()
    yield* cpu.localIrqRestore()
    // All are queued, so 0 means that all have run. (The kernel's count starts higher, since its waiter is woken by
    // it.) ACQUIRE: pairs with the RELEASE in BarrierCallback.rcu().
    if ((yield* cpu.loadAcquire32(count)) !== 0) yield* rcu.sleepUntil(count, isZero, 0)
    // RELEASE: pairs with the ACQUIRE at the head of rcuBarrier().
    yield* cpu.storeRelease32(busy, 0)
    cpu.wakeWaiters(busy)
  }

  /** rcu_barrier_entrain(): queues a barrier's callback behind this CPU's, if there are any. IRQs are off. */
  *rcuBarrierEntrain(): Step<void> {
    const { cpu, rcu } = this
    if (this.#list.nCbs === 0) return
    const head = phys(rcu.own + RCU_CPU.at.barrierHead)
    yield* cpu.atomicAddReturn32(phys(rcu.base + RCU.at.barrierCount), 1)
    poke32(head + HEAD_FUNC, pendingFunc(this.#func))
    poke32(head, 0)
    yield* this.#list.entrain(head)
  }

  /** Part of rcu_barrier(): notes in the scratch mask which other CPUs have callbacks; false: none. */
  protected *findCallbacks(): Step<boolean> {
    const { cpu, rcu } = this
    // Full barrier: the caller's earlier accesses before the looks at the counts. A callback that it knows of, from a
    // CPU that queued it, is then seen.
    yield* cpu.smpMb()
    const scratch = rcu.own + RCU_CPU.at.scratchMask
    poke32(scratch, 0)
    poke32(scratch + 4, 0)
    for (let other = 0; other < cpu.cpuCount; other++) {
      const count = phys(rcu.base + RCU.size + other * RCU_CPU.size + RCU_CPU.at.callbacks)
      if (other === cpu.id || (yield* cpu.readOnce32(count)) === 0) continue
      const word = scratch + (other >>> 5) * 4
      poke32(word, peek32(word) | (1 << (other & 31)))
    }
    return (peek32(scratch) | peek32(scratch + 4)) !== 0
  }
}

/** Counts a barrier's callbacks down. */
class BarrierCallback implements RcuCallback {
  readonly #cpu: Cpu
  readonly #count: PhysAddr

  constructor(cpu: Cpu, count: PhysAddr) {
    this.#cpu = cpu
    this.#count = count
  }

  /** rcu_barrier_callback(). */
  *rcu(): Step<void> {
    // Full barrier; RELEASE needed: what earlier callbacks did, before the barrier's caller sees 0.
    yield* this.#cpu.atomicAddReturn32(this.#count, -1)
    this.#cpu.wakeWaiters(this.#count)
  }
}
