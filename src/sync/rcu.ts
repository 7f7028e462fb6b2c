/**
 * Read-copy-update: readers that cost nothing shared, and updaters that wait until no reader can remember the past.
 *
 * Source: kernel/rcu/tree.c, tree_plugin.h and update.c, kernel/context_tracking.c (v6.12), one consolidated flavour:
 * rcu_read_lock sections, preemption off and IRQs off are all readers. Grace periods are in gracePeriod.ts, expedited
 * ones in expedited.ts, rcu_barrier() in rcuBarrier.ts, the lists in rcuSegcblist.ts.
 *
 * A CPU is quiescent between two operations (rcuNoteContextSwitch), in a sleeping wait or idle (ctKernelExit), and
 * where an interrupt finds it outside every reader. Callbacks run where the kernel's softirq or rcuc thread may run
 * them: between operations, on the way out of an interrupt of a sleeping CPU, and, with `preemptible`, on the way out
 * of an interrupt that found the CPU outside every reader.
 *
 * Left out: polled grace periods, callback batching limits and offloading, readers that are preempted and
 * migrate (a CPU here has one task), and SRCU.
 */
import { SYNC_CPU_STATE } from './cpuState.js'
import { assert } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { InterruptGuard, IpiHandler } from '../machine/cpu/ipi.js'
import type { Step, WaitCondition } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { EventKind } from '../machine/trace/ring.js'
import { GracePeriod, RcuEvent } from './gracePeriod.js'
import { describeContext, inRcuReader, mightSleep } from './mightSleep.js'
import { RcuBarrier } from './rcuBarrier.js'
import { RcuSegcblist } from './rcuSegcblist.js'
import { CALLBACKS_MAX, HEAD_FUNC, RCU_CPU, RcuAsk, funcOf, isPending, pendingFunc, rcuSeqDone } from './rcuLayout.js'

export { placeRcu } from './rcuLayout.js'

/**
 * What runs when the grace period of a head has passed. Preemption is off: it must not sleep. May queue the head again.
 */
export interface RcuCallback {
  rcu(head: PhysAddr): Step<void>
}

/** What expedited grace periods have a CPU do where it is quiescent. */
export interface ExpeditedWork {
  /** There is some: an interrupt may have left it at any time. */
  readonly isPending: boolean
  settle(): Step<void>
}

const gpReached: WaitCondition = (seen, target) => rcuSeqDone(seen, target)

export class Rcu extends GracePeriod implements IpiHandler, InterruptGuard {
  /** Lets callbacks run in the middle of an operation, on the way out of interrupts outside every reader. */
  preemptible = false
  /** Set at boot, where there are any. */
  expedited: ExpeditedWork | null = null
  readonly barrier: RcuBarrier
  readonly #list: RcuSegcblist
  readonly #callbacks: RcuCallback[] = []
  readonly #ipi: number

  /** RCU on `cpu`, which is idle until its first ctKernelEnter(). `base` is from placeRcu(). */
  constructor(cpu: Cpu, base: PhysAddr) {
    super(cpu, base)
    this.#list = new RcuSegcblist(cpu, this.own)
    this.#ipi = cpu.ipi.register(this)
    cpu.ipi.guard = this
    this.barrier = new RcuBarrier(this, this.#list, this.#ipi)
  }

  /** Here only. Registers a callback function; every CPU registers the same ones in the same order. */
  register(callback: RcuCallback): number {
    assert(this.#callbacks.length < CALLBACKS_MAX, 'the number of a callback fits its word')
    return this.#callbacks.push(callback) - 1
  }

  /** Percentage of the times that this CPU puts a report or its callbacks off while it works; set at boot. */
  gpDelay = 0

  // ---- readers ----------------------------------------------------------------------------------------------------

  /** rcu_read_lock(): nests. No barrier: that the section is seen is the business of those who end grace periods. */
  rcuReadLock(): void {
    const at = this.cpu.area + SYNC_CPU_STATE.at.rcuNesting
    const nesting = peek32(at)
    poke32(at, nesting + 1)
    if (nesting !== 0) return
    assert(this.rcuIsWatching, 'RCU watches a CPU that reads: ctKernelEnter() comes before its first operation')
    this.countSection()
  }

  /** rcu_read_unlock(). */
  rcuReadUnlock(): void {
    const at = this.cpu.area + SYNC_CPU_STATE.at.rcuNesting
    const nesting = peek32(at) - 1
    if (nesting < 0) this.reportUnlock()
    poke32(at, nesting)
    if (nesting === 0) this.countSection()
  }

  /** rcu_read_lock_held(): true inside rcu_read_lock(). */
  get rcuReadLockHeld(): boolean {
    return peek32(this.cpu.area + SYNC_CPU_STATE.at.rcuNesting) !== 0
  }

  /** Here only. A section begins or ends: for findOutlived(). */
  protected countSection(): void {
    const at = this.own + RCU_CPU.at.section
    poke32(at, (peek32(at) + 1) | 0)
  }

  // ---- updaters ---------------------------------------------------------------------------------------------------

  /**
   * call_rcu(): runs callback `func` with `head` when every reader that is inside now has left. Caller: any context.
   * Orders nothing by itself; the order comes when the callback gets its grace period.
   */
  *callRcu(head: PhysAddr, func: number): Step<void> {
    const { cpu } = this
    assert(
      this.rcuIsWatching,
      'RCU watches a CPU that queues callbacks: ctKernelEnter() comes before its first operation',
    )
    const before = yield* cpu.xchg32(phys(head + HEAD_FUNC), pendingFunc(func))
    if (isPending(before)) this.reportDouble(head)
    yield* cpu.plainWrite32(head, 0)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.queue, func, head)
    cpu.localIrqSave()
    yield* this.#list.enqueue(head)
    // The first one of a burst asks for a grace period; the others wait for the next look, as in the kernel.
    if (!this.#list.pendCbs) yield* this.#list.accelerate(yield* this.rcuStartThisGp())
    yield* cpu.localIrqRestore()
  }

  /** synchronize_rcu(): sleeps until every reader that is inside now has left. */
  *synchronizeRcu(): Step<void> {
    const { cpu } = this
    if (inRcuReader(cpu)) this.reportContext('synchronize_rcu() waits for the CPU that calls it')
    yield* this.sleepUntil(this.gpSeq, gpReached, yield* this.rcuStartThisGp())
    // Full barrier: the sections that were waited for, and the removal that every CPU has seen, before later accesses.
    // Otherwise a load here could be older than the readers' last. Pairs with rcuReportQsRdp() of all CPUs.
    yield* cpu.smpMb()
  }

  // ---- quiescent states -------------------------------------------------------------------------------------------

  /**
   * rcu_note_context_switch(), between operations, when this CPU holds nothing: reports a quiescent state. And what the
   * softirq after it does: asks for grace periods, runs callbacks that are ready.
   */
  *rcuNoteContextSwitch(): Step<void> {
    assert(this.rcuIsWatching, 'RCU watches a CPU that works: ctKernelEnter() comes before its first operation')
    if (inRcuReader(this.cpu)) this.reportContext('an operation ended in a reader')
    if (this.expedited !== null) yield* this.expedited.settle()
    // A report that is put off keeps the grace period open; an operation or an idle spell later it comes.
    if ((yield* this.isAwaited()) && !this.holdsBack()) yield* this.rcuReportQsRdp()
    if (this.#list.nCbs !== 0 || this.owesAsks) yield* this.rcuCore(true)
  }

  /**
   * ct_kernel_exit(): idle or asleep from here on, so quiescent, and no longer waited for. Nothing when it is already.
   */
  *ctKernelExit(): Step<void> {
    if (!this.rcuIsWatching) return
    if (inRcuReader(this.cpu)) this.reportContext('a CPU goes idle in a reader')
    yield* this.goIdle()
  }

  /** ct_kernel_enter(): at work again; comes before a program's first operation. Nothing when it is already. */
  *ctKernelEnter(): Step<void> {
    if (!this.rcuIsWatching) yield* this.ctKernelEnterState()
  }

  /** rcu_is_watching(): true when RCU waits for this CPU, which is neither idle nor asleep. */
  get rcuIsWatching(): boolean {
    return (peek32(this.own + RCU_CPU.at.watching) & 1) !== 0
  }

  /**
   * As schedule(): sleeps until `until` holds of the word at `addr`, as Cpu.waitUntil(), and is quiescent meanwhile.
   */
  *sleepUntil(addr: PhysAddr, until: WaitCondition, operand: number): Step<number> {
    mightSleep(this.cpu, 'schedule')
    const wasWatching = this.rcuIsWatching
    yield* this.ctKernelExit()
    const seen = yield* this.cpu.waitUntil(addr, until, operand)
    if (wasWatching) yield* this.ctKernelEnter()
    return seen
  }

  /** Here only. At the end of a program: sleeps until all of this CPU's callbacks have run, and leaves it idle. */
  *drain(): Step<void> {
    mightSleep(this.cpu, 'drain')
    yield* this.ctKernelEnter()
    yield* this.rcuCore()
    while (this.#list.nCbs !== 0) {
      // rcuCore() has left nothing but callbacks that wait.
      yield* this.sleepUntil(this.gpSeq, gpReached, this.#list.nextgp)
      yield* this.rcuCore()
    }
    yield* this.ctKernelExit()
  }

  /** ct_kernel_enter_state(). */
  protected *ctKernelEnterState(): Step<void> {
    // Full barrier: awake before any load of a section to come. Otherwise the CPU could hold a pointer from before a
    // grace period that takes it for idle. Pairs with the look in GracePeriod.rcuWatchingSnapSave().
    yield* this.cpu.atomicAddReturn32(phys(this.own + RCU_CPU.at.watching), 1)
  }

  /** ct_kernel_exit_state(), and the report for a grace period that awaits this CPU all the same. */
  protected *ctKernelExitState(): Step<void> {
    // Full barrier (B): the sections before it, before idle is seen; and idle before the look at the mask. Pairs with
    // (A) in GracePeriod.rcuGpInit() and with rcuWatchingSnapSave().
    yield* this.cpu.atomicAddReturn32(phys(this.own + RCU_CPU.at.watching), 1)
    if (yield* this.isAwaited()) yield* this.rcuReportQsRdp()
  }

  /** Part of ct_kernel_exit(): goes idle when nothing is left to do. */
  protected *goIdle(): Step<void> {
    for (;;) {
      if (this.expedited !== null) yield* this.expedited.settle()
      yield* this.rcuCore()
      yield* this.ctKernelExitState()
      if (!(yield* this.rcuNeedsCpu())) return
      yield* this.ctKernelEnterState()
    }
  }

  /** rcu_needs_cpu(): idle already, this CPU has found something to do before it sleeps. */
  protected *rcuNeedsCpu(): Step<boolean> {
    if (this.hasAsks || this.expedited?.isPending === true) return true
    if (this.#list.nCbs === 0) return false
    // (D): idle, by the full barrier in ctKernelExitState(), before this look. Pairs with (C) in
    // GracePeriod.rcuGpCleanup().
    const seq = yield* this.cpu.readOnce32(this.gpSeq)
    return this.hasAsks || (this.#list.pendCbs && rcuSeqDone(seq, this.#list.nextgp))
  }

  // ---- interrupts -------------------------------------------------------------------------------------------------

  /** Part of irq_enter(), ct_irq_enter(): RCU watches a CPU that was idle. */
  *irqEnter(): Step<boolean> {
    if (this.rcuIsWatching) return false
    yield* this.ctKernelEnterState()
    return true
  }

  /** Part of irq_exit(): RCU's softirq, and ct_irq_exit() of a CPU that was idle. */
  *irqExit(wasIdle: boolean): Step<void> {
    if (wasIdle) yield* this.goIdle()
    else if (this.preemptible && this.rcuIsWatching && !inRcuReader(this.cpu)) yield* this.rcuCore(true)
  }

  /**
   * rcu_barrier_handler(), or rcu_sched_clock_irq(), which the kernel's tick calls. IRQs are off for the interrupt
   * itself; the other counts tell whether the CPU was in a reader.
   */
  *ipi(info: number): Step<void> {
    if (info === RcuAsk.entrain) yield* this.barrier.rcuBarrierEntrain()
    else if (this.foundQuiescent() && (yield* this.isAwaited())) yield* this.rcuReportQsRdp()
  }

  /**
   * Part of rcu_flavor_sched_clock_irq(): true when the interrupt, which came with IRQs on, found no reader on this
   * CPU.
   */
  foundQuiescent(): boolean {
    return this.cpu.preemptCount === 0 && !this.rcuReadLockHeld
  }

  // ---- callbacks --------------------------------------------------------------------------------------------------

  /**
   * rcu_core(): reports, asks and runs callbacks until nothing is left to do now, or, with `mayHoldBack` and gpDelay,
   * leaves some of it for the next time: many bugs depend on the moment when callbacks run. A CPU that goes idle holds
   * nothing back. Caller: outside every reader.
   */
  protected *rcuCore(mayHoldBack = false): Step<void> {
    const busy = this.own + RCU_CPU.at.inCore
    if (peek32(busy) !== 0) return
    poke32(busy, 1)
    for (let asked = true; asked;) {
      // A grace period that starts now may await this CPU too: it is quiescent, and says so in the next round.
      if (yield* this.isAwaited()) {
        if (mayHoldBack && this.holdsBack()) break
        yield* this.rcuReportQsRdp()
      }
      if (this.#list.nCbs === 0) break
      asked = yield* this.noteGpChanges()
      if (!this.#list.readyCbs) continue
      if (mayHoldBack && this.holdsBack()) break
      yield* this.rcuDoBatch()
      asked = true
    }
    yield* this.sendAsks(this.#ipi, RcuAsk.qs)
    poke32(busy, 0)
  }

  /** Here only. Draws whether a report or callbacks are put off (gpDelay). */
  protected holdsBack(): boolean {
    return this.gpDelay > 0 && this.cpu.choose(100) < this.gpDelay
  }

  /**
   * note_gp_changes(): finds callbacks whose grace period has passed, and chooses one for the new ones; true when it
   * did.
   */
  protected *noteGpChanges(): Step<boolean> {
    const { cpu } = this
    cpu.localIrqSave()
    // ACQUIRE: the end of the grace period before the callbacks. Pairs with the RELEASE in GracePeriod.rcuGpCleanup().
    yield* this.#list.advance(yield* cpu.loadAcquire32(this.gpSeq))
    const { anyNew } = this.#list
    if (anyNew) yield* this.#list.accelerate(yield* this.rcuStartThisGp())
    yield* cpu.localIrqRestore()
    return anyNew
  }

  /** rcu_do_batch(): runs the callbacks whose grace period has passed. */
  protected *rcuDoBatch(): Step<void> {
    const { cpu } = this
    // IRQs are on, but nothing between here and extractDoneCbs() is a point, so no interrupt comes in.
    const last = this.#list.doneLast
    let head = this.#list.doneFirst
    this.#list.extractDoneCbs()
    cpu.preemptDisable()
    for (;;) {
      const next = yield* this.invokeCallback(phys(head))
      this.#list.ran()
      if (head === last) break
      if (next === 0) this.reportBroken(phys(head))
      head = next
    }
    cpu.preemptEnable()
  }

  /**
   * Part of rcu_do_batch(): runs the callback of `head`, whose words are the callback's own from then on; returns the
   * next head.
   */
  protected *invokeCallback(head: PhysAddr): Step<number> {
    const { cpu } = this
    const word = yield* cpu.plainRead32(phys(head + HEAD_FUNC))
    const callback = isPending(word) ? this.#callbacks[funcOf(word)] : undefined
    if (callback === undefined) return this.reportOverwritten(head, word)
    const next = yield* cpu.plainRead32(head)
    yield* cpu.plainWrite32(phys(head + HEAD_FUNC), 0)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.callback, funcOf(word), head)
    yield* callback.rcu(head)
    return next
  }

  // ---- findings ---------------------------------------------------------------------------------------------------

  protected reportUnlock(): never {
    return this.cpu.report('rcu-misuse', 'BUG: rcu_read_unlock() without rcu_read_lock()', null)
  }

  protected reportContext(what: string): never {
    return this.cpu.report('rcu-misuse', `BUG: ${what}`, null, [describeContext(this.cpu)])
  }

  protected reportDouble(head: PhysAddr): never {
    return this.cpu.report('rcu-misuse', 'BUG: call_rcu() of an rcu_head that is already queued', head, [
      'The callback would run twice, or others of the list be lost.',
    ])
  }

  protected reportOverwritten(head: PhysAddr, word: number): never {
    return this.cpu.report('rcu-misuse', 'BUG: an rcu_head was written over while it was queued', head, [
      `Its function word is 0x${(word >>> 0).toString(16)}.`,
    ])
  }

  protected reportBroken(head: PhysAddr): never {
    return this.cpu.report('rcu-misuse', 'BUG: a list of RCU callbacks is cut off', head, [
      'The link of this rcu_head was written over while it was queued; the callbacks behind it are lost.',
    ])
  }
}
