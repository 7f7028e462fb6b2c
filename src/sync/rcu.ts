/**
 * Read-copy-update: readers that cost nothing shared, and updaters that wait until no reader can remember the past.
 *
 * Source: kernel/rcu/tree.c, tree_plugin.h and update.c (v6.12), one consolidated flavour: rcu_read_lock sections,
 * preemption off and IRQs off are all readers. Grace periods are in gracePeriod.ts, expedited ones in expedited.ts, the
 * lists in rcuCallbacks.ts.
 *
 * A CPU is quiescent between two operations (noteQuiescent), in a sleeping wait or idle (eqsEnter), and where an interrupt
 * finds it outside every reader. Callbacks run where the kernel's softirq or rcuc thread may run them: between
 * operations, on the way out of an interrupt of a sleeping CPU, and, with `preemptible`, on the way out of an interrupt
 * that found the CPU outside every reader.
 *
 * Left out: polled grace periods, callback batching limits and offloading, readers that are preempted and
 * migrate (a CPU here has one task), and SRCU.
 */
import { assert } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { InterruptGuard, IpiHandler } from '../machine/cpu/ipi.js'
import { isZero, type Step, type WaitCondition } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { EventKind } from '../machine/trace/ring.js'
import { GracePeriod, RcuEvent } from './gracePeriod.js'
import { describeContext, inRcuReader, mightSleep } from './mightSleep.js'
import { RcuCallbacks } from './rcuCallbacks.js'
import { CALLBACKS_MAX, HEAD_FUNC, RCU, RCU_CPU, funcOf, isPending, pendingFunc, seqReached } from './rcuLayout.js'

export { RCU_HEAD_BYTES, placeRcu } from './rcuLayout.js'

/** What runs when the grace period of a head has passed. Preemption is off: it must not sleep. May queue the head again. */
export interface RcuCallback {
  rcu(head: PhysAddr): Step<void>
}

/** What expedited grace periods have a CPU do where it is quiescent. */
export interface ExpeditedWork {
  /** There is some: an interrupt may have left it at any time. */
  readonly isPending: boolean
  settle(): Step<void>
}

const gpReached: WaitCondition = (seen, target) => seqReached(seen, target)

/** What an interrupt of RCU's is for. */
const ASK_QS = 0 //      a quiescent state, or a sleeper's callbacks, for which the way out of the interrupt looks
const ASK_ENTRAIN = 1 // a barrier's callback

export class Rcu extends GracePeriod implements IpiHandler, InterruptGuard {
  /** Lets callbacks run in the middle of an operation, on the way out of interrupts outside every reader. */
  preemptible = false
  /** Set at boot, where there are any. */
  expedited: ExpeditedWork | null = null
  readonly #list: RcuCallbacks
  readonly #callbacks: RcuCallback[] = []
  readonly #ipi: number
  readonly #barrierFunc: number

  /** RCU on `cpu`, which is idle until its first eqsExit(). `base` is from placeRcu(). */
  constructor(cpu: Cpu, base: PhysAddr) {
    super(cpu, base)
    this.#list = new RcuCallbacks(cpu, this.own)
    this.#ipi = cpu.ipi.register(this)
    cpu.ipi.guard = this
    this.#barrierFunc = this.register(new BarrierCallback(cpu, phys(base + RCU.at.barrierCount)))
  }

  /** Registers a callback function; every CPU registers the same ones in the same order. */
  register(callback: RcuCallback): number {
    assert(this.#callbacks.length < CALLBACKS_MAX, 'the number of a callback fits its word')
    return this.#callbacks.push(callback) - 1
  }

  /** Percentage of the times that this CPU puts a report or its callbacks off while it works; set at boot. */
  gpDelay = 0

  // ---- readers ----------------------------------------------------------------------------------------------------

  /** Nests. No barrier: that the section is seen is the business of those who end grace periods. */
  rcuReadLock(): void {
    const at = this.cpu.area + CPU_AREA.at.rcuNesting
    const nesting = peek32(at)
    poke32(at, nesting + 1)
    if (nesting !== 0) return
    assert(this.isWatching, 'RCU watches a CPU that reads: eqsExit() comes before its first operation')
    this.#countSection()
  }

  rcuReadUnlock(): void {
    const at = this.cpu.area + CPU_AREA.at.rcuNesting
    const nesting = peek32(at) - 1
    if (nesting < 0) this.#reportUnlock()
    poke32(at, nesting)
    if (nesting === 0) this.#countSection()
  }

  /** True inside rcu_read_lock(), rcu_read_lock_held(). */
  get rcuReadLockHeld(): boolean {
    return peek32(this.cpu.area + CPU_AREA.at.rcuNesting) !== 0
  }

  #countSection(): void {
    const at = this.own + RCU_CPU.at.section
    poke32(at, (peek32(at) + 1) | 0)
  }

  // ---- updaters ---------------------------------------------------------------------------------------------------

  /**
   * Runs callback `func` with `head` when every reader that is inside now has left. Caller: any context. Orders nothing by
   * itself; the order comes when the callback gets its grace period.
   */
  *callRcu(head: PhysAddr, func: number): Step<void> {
    const { cpu } = this
    assert(this.isWatching, 'RCU watches a CPU that queues callbacks: eqsExit() comes before its first operation')
    const before = yield* cpu.xchg32(phys(head + HEAD_FUNC), pendingFunc(func))
    if (isPending(before)) this.#reportDouble(head)
    yield* cpu.plainWrite32(head, 0)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.queue, func, head)
    cpu.localIrqSave()
    yield* this.#list.enqueue(head)
    // The first one of a burst asks for a grace period; the others wait for the next look, as in the kernel.
    if (!this.#list.anyWaiting) yield* this.#list.accelerate(yield* this.requestGp())
    yield* cpu.localIrqRestore()
  }

  /** Sleeps until every reader that is inside now has left. */
  *synchronizeRcu(): Step<void> {
    const { cpu } = this
    if (inRcuReader(cpu)) this.#reportContext('synchronize_rcu() waits for the CPU that calls it')
    yield* this.sleepUntil(this.gpSeq, gpReached, yield* this.requestGp())
    // Full barrier: the sections that were waited for, and the removal that every CPU has seen, before what comes.
    // Otherwise a load here could be older than the readers' last. Pairs with the reports of all CPUs.
    yield* cpu.smpMb()
  }

  /** Sleeps until all callbacks that were queued before, on any CPU, have run. Waits for callbacks, not for readers. */
  *rcuBarrier(): Step<void> {
    const { cpu, base } = this
    mightSleep(cpu, 'rcu_barrier')
    const busy = phys(base + RCU.at.barrierBusy)
    const count = phys(base + RCU.at.barrierCount)
    // 0 → 1. ACQUIRE: the barrier before is over, its heads are free. Pairs with the RELEASE below.
    while ((yield* cpu.cmpxchg32(busy, 0, 1)) !== 0) yield* this.sleepUntil(busy, isZero, 0)
    if (yield* this.#findCallbacks()) {
      yield* cpu.ipi.callMany(phys(this.own + RCU_CPU.at.scratchMask), this.#ipi, ASK_ENTRAIN, true)
    }
    cpu.localIrqSave()
    yield* this.#entrain()
    yield* cpu.localIrqRestore()
    // All are queued, so 0 means that all have run. (The kernel's count starts higher, since its waiter is woken by it.)
    // ACQUIRE: pairs with the RELEASE in BarrierCallback.
    if ((yield* cpu.loadAcquire32(count)) !== 0) yield* this.sleepUntil(count, isZero, 0)
    // RELEASE: pairs with the ACQUIRE above.
    yield* cpu.storeRelease32(busy, 0)
    cpu.wakeWaiters(busy)
  }

  // ---- quiescent states -------------------------------------------------------------------------------------------

  /** Called between operations: this CPU holds nothing. Reports that, asks for grace periods, runs what is ready. */
  *noteQuiescent(): Step<void> {
    assert(this.isWatching, 'RCU watches a CPU that works: eqsExit() comes before its first operation')
    if (inRcuReader(this.cpu)) this.#reportContext('an operation ended in a reader')
    if (this.expedited !== null) yield* this.expedited.settle()
    // A report that is put off keeps the grace period open; an operation or an idle spell later it comes.
    if ((yield* this.isAwaited()) && !this.#holdsBack()) yield* this.reportQs()
    if (this.#list.count !== 0 || this.owesAsks) yield* this.core(true)
  }

  /** Idle or asleep from here on: quiescent, and no longer waited for. Nothing when it is already. */
  *eqsEnter(): Step<void> {
    if (!this.isWatching) return
    if (inRcuReader(this.cpu)) this.#reportContext('a CPU goes idle in a reader')
    yield* this.#goIdle()
  }

  /** At work again; comes before a program's first operation. Nothing when it is already. */
  *eqsExit(): Step<void> {
    if (!this.isWatching) yield* this.#watch()
  }

  /** True when RCU waits for this CPU: not idle, not asleep. */
  get isWatching(): boolean {
    return (peek32(this.own + RCU_CPU.at.watching) & 1) !== 0
  }

  /** Sleeps until `until` holds of the word at `addr`, as Cpu.waitUntil(), and is quiescent meanwhile. */
  *sleepUntil(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    mightSleep(this.cpu, 'schedule')
    const wasWatching = this.isWatching
    yield* this.eqsEnter()
    const seen = yield* this.cpu.waitUntil(addr, until, operand)
    if (wasWatching) yield* this.eqsExit()
    return seen
  }

  /** At the end of a program: sleeps until all of this CPU's callbacks have run, and leaves it idle. */
  *drain(): Step<void> {
    mightSleep(this.cpu, 'drain')
    yield* this.eqsExit()
    yield* this.core()
    while (this.#list.count !== 0) {
      // core() has left nothing but callbacks that wait.
      yield* this.sleepUntil(this.gpSeq, gpReached, this.#list.wakeAt)
      yield* this.core()
    }
    yield* this.eqsEnter()
  }

  *#watch(): Step<void> {
    // Full barrier: awake before any load of a section to come. Otherwise the CPU could hold a pointer from before a
    // grace period that takes it for idle. Pairs with the look in GracePeriod.#awaitCpu().
    yield* this.cpu.atomicAddReturn32(phys(this.own + RCU_CPU.at.watching), 1)
  }

  *#unwatch(): Step<void> {
    // Full barrier (B): the sections before it, before idle is seen; and idle before the look at the mask. Pairs with
    // (A) in GracePeriod.#start() and with #awaitCpu().
    yield* this.cpu.atomicAddReturn32(phys(this.own + RCU_CPU.at.watching), 1)
    if (yield* this.isAwaited()) yield* this.reportQs()
  }

  *#goIdle(): Step<void> {
    for (;;) {
      if (this.expedited !== null) yield* this.expedited.settle()
      yield* this.core()
      yield* this.#unwatch()
      if (!(yield* this.#isCalled())) return
      yield* this.#watch()
    }
  }

  /** Idle already, this CPU has found something to do before it sleeps. */
  *#isCalled(): Step<boolean> {
    if (this.hasAsks || this.expedited?.isPending === true) return true
    if (this.#list.count === 0) return false
    // (D): idle, by the full barrier in #unwatch(), before this look. Pairs with (C) in GracePeriod.#end().
    const seq = yield* this.cpu.readOnce32(this.gpSeq)
    return this.hasAsks || (this.#list.anyWaiting && seqReached(seq, this.#list.wakeAt))
  }

  // ---- interrupts -------------------------------------------------------------------------------------------------

  *interruptEnter(): Step<boolean> {
    if (this.isWatching) return false
    yield* this.#watch()
    return true
  }

  *interruptExit(wasIdle: boolean): Step<void> {
    if (wasIdle) yield* this.#goIdle()
    else if (this.preemptible && this.isWatching && !inRcuReader(this.cpu)) yield* this.core(true)
  }

  /** RCU's interrupt. IRQs are off for itself; whether the CPU was in a reader, the other counts tell. */
  *ipi(info: number): Step<void> {
    if (info === ASK_ENTRAIN) yield* this.#entrain()
    else if (this.foundQuiescent() && (yield* this.isAwaited())) yield* this.reportQs()
  }

  /** In an interrupt, which came with IRQs on: true when it found the CPU outside every reader. */
  foundQuiescent(): boolean {
    return this.cpu.preemptCount === 0 && !this.rcuReadLockHeld
  }

  // ---- callbacks --------------------------------------------------------------------------------------------------

  /**
   * Reports, asks and runs callbacks until nothing is left to do now, or, with `mayHoldBack` and gpDelay, leaves some of
   * it for the next time: when callbacks run is what many bugs hang on. A CPU that goes idle holds nothing back. Caller:
   * outside every reader.
   */
  protected *core(mayHoldBack = false): Step<void> {
    const busy = this.own + RCU_CPU.at.inCore
    if (peek32(busy) !== 0) return
    poke32(busy, 1)
    for (let asked = true; asked;) {
      // A grace period that starts now may await this CPU too: it is quiescent, and says so in the next round.
      if (yield* this.isAwaited()) {
        if (mayHoldBack && this.#holdsBack()) break
        yield* this.reportQs()
      }
      if (this.#list.count === 0) break
      asked = yield* this.#sortCallbacks()
      if (!this.#list.anyDone) continue
      if (mayHoldBack && this.#holdsBack()) break
      yield* this.#runCallbacks()
      asked = true
    }
    yield* this.sendAsks(this.#ipi, ASK_QS)
    poke32(busy, 0)
  }

  #holdsBack(): boolean {
    return this.gpDelay > 0 && this.cpu.choose(100) < this.gpDelay
  }

  /** Finds those whose grace period has passed, and chooses one for the new ones; true when it did. */
  *#sortCallbacks(): Step<boolean> {
    const { cpu } = this
    cpu.localIrqSave()
    // ACQUIRE: the end of the grace period before the callbacks. Pairs with the RELEASE in GracePeriod.#end().
    yield* this.#list.advance(yield* cpu.loadAcquire32(this.gpSeq))
    const { anyNew } = this.#list
    if (anyNew) yield* this.#list.accelerate(yield* this.requestGp())
    yield* cpu.localIrqRestore()
    return anyNew
  }

  *#runCallbacks(): Step<void> {
    const { cpu } = this
    // IRQs are on, but nothing between here and takeDone() is a point, so no interrupt comes in.
    const last = this.#list.doneLast
    let head = this.#list.doneFirst
    this.#list.takeDone()
    cpu.preemptDisable()
    for (;;) {
      const next = yield* this.#runCallback(phys(head))
      this.#list.ran()
      if (head === last) break
      if (next === 0) this.#reportBroken(phys(head))
      head = next
    }
    cpu.preemptEnable()
  }

  /** Runs the callback of `head`, whose words are the callback's own from then on; returns the next head. */
  *#runCallback(head: PhysAddr): Step<number> {
    const { cpu } = this
    const word = yield* cpu.plainRead32(phys(head + HEAD_FUNC))
    const callback = isPending(word) ? this.#callbacks[funcOf(word)] : undefined
    if (callback === undefined) return this.#reportOverwritten(head, word)
    const next = yield* cpu.plainRead32(head)
    yield* cpu.plainWrite32(phys(head + HEAD_FUNC), 0)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.callback, funcOf(word), head)
    yield* callback.rcu(head)
    return next
  }

  // ---- barrier ----------------------------------------------------------------------------------------------------

  /** Queues a barrier's callback behind this CPU's, if there are any. IRQs are off. */
  *#entrain(): Step<void> {
    const { cpu } = this
    if (this.#list.count === 0) return
    const head = phys(this.own + RCU_CPU.at.barrierHead)
    yield* cpu.atomicAddReturn32(phys(this.base + RCU.at.barrierCount), 1)
    poke32(head + HEAD_FUNC, pendingFunc(this.#barrierFunc))
    poke32(head, 0)
    yield* this.#list.entrain(head)
  }

  /** Notes in the scratch mask which other CPUs have callbacks; false: none. */
  *#findCallbacks(): Step<boolean> {
    const { cpu, own, base } = this
    // Full barrier: the caller's earlier accesses before the looks at the counts. A callback that it knows of, from a
    // CPU that queued it, is then seen.
    yield* cpu.smpMb()
    const scratch = own + RCU_CPU.at.scratchMask
    poke32(scratch, 0)
    poke32(scratch + 4, 0)
    for (let other = 0; other < cpu.cpuCount; other++) {
      const count = phys(base + RCU.size + other * RCU_CPU.size + RCU_CPU.at.callbacks)
      if (other === cpu.id || (yield* cpu.readOnce32(count)) === 0) continue
      const word = scratch + (other >>> 5) * 4
      poke32(word, peek32(word) | (1 << (other & 31)))
    }
    return (peek32(scratch) | peek32(scratch + 4)) !== 0
  }

  // ---- findings ---------------------------------------------------------------------------------------------------

  #reportUnlock(): never {
    return this.cpu.report('rcu-misuse', 'BUG: rcu_read_unlock() without rcu_read_lock()', null)
  }

  #reportContext(what: string): never {
    return this.cpu.report('rcu-misuse', `BUG: ${what}`, null, [describeContext(this.cpu)])
  }

  #reportDouble(head: PhysAddr): never {
    return this.cpu.report('rcu-misuse', 'BUG: call_rcu() of an rcu_head that is already queued', head, [
      'The callback would run twice, or others of the list be lost.',
    ])
  }

  #reportOverwritten(head: PhysAddr, word: number): never {
    return this.cpu.report('rcu-misuse', 'BUG: an rcu_head was written over while it was queued', head, [
      `Its function word is 0x${(word >>> 0).toString(16)}.`,
    ])
  }

  #reportBroken(head: PhysAddr): never {
    return this.cpu.report('rcu-misuse', 'BUG: a list of RCU callbacks is cut off', head, [
      'The link of this rcu_head was written over while it was queued; the callbacks behind it are lost.',
    ])
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

  *rcu(): Step<void> {
    // Full barrier; RELEASE needed: what earlier callbacks did, before the barrier's caller sees 0.
    yield* this.#cpu.atomicAddReturn32(this.#count, -1)
    this.#cpu.wakeWaiters(this.#count)
  }
}
