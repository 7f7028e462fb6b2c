/**
 * Expedited grace periods: CPUs are interrupted for their quiescent states, and of those who ask at about the same time
 * one does the work for all.
 *
 * Source: kernel/rcu/tree_exp.h (v6.12). They have a sequence of their own, expSeq, numbered as the normal one. Whoever
 * asks takes a snapshot of it, goes through the funnel, and either becomes the one who works, with expMutex, or waits
 * on one of four queues, which the sequence that it waits for tells.
 *
 * A CPU that is interrupted outside every reader is quiescent at once; another one is when its operation ends or it
 * sleeps, as where kernels are not preemptible (rcu_exp_need_qs()): a reader that is over by then may have been over
 * earlier.
 *
 * The kworker that works for the asker is the asker's CPU itself, which sleeps until the grace period has ended. What
 * is left of the work then, to wake the others, is done when the asker's operation ends or it goes to sleep: the
 * kworker had to let go of the CPU for it. Meanwhile the next grace period may go on, but not end: that needs
 * expWakeMutex, which the kworker keeps.
 *
 * Left out: the tree of nodes, so the funnel has one level; requests that normal grace periods serve, and the other way
 * round; polling; CPU hotplug; stall warnings.
 *
 * The protected methods are what a bug would have wrong; subclasses override them.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { IpiHandler } from '../machine/cpu/ipi.js'
import { isNonZero, isZero, type Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { describeContext, inRcuReader } from './mightSleep.js'
import type { ExpeditedWork, Rcu } from './rcu.js'
import { RCU, RCU_CPU, RUNNING, rcuSeqEndval, rcuSeqDone, rcuSeqSnap } from './rcuLayout.js'
import { spinLock, spinUnlock } from './spinlock.js'
import { finishWait, prepareToWaitEvent, WAIT_QUEUE_BYTES, wakeUpAll, wokenAt } from './waitQueue.js'

const QUEUES = 4

export class RcuExpedited implements IpiHandler, ExpeditedWork {
  protected readonly cpu: Cpu
  protected readonly rcu: Rcu
  protected readonly expSeq: PhysAddr
  readonly #base: PhysAddr
  readonly #own: PhysAddr
  readonly #mutex: PhysAddr
  readonly #wakeMutex: PhysAddr
  readonly #ipi: number

  /** Expedited grace periods on the CPU of `rcu`. */
  constructor(rcu: Rcu) {
    this.cpu = rcu.cpu
    this.rcu = rcu
    this.#base = rcu.base
    this.#own = rcu.own
    this.expSeq = phys(rcu.base + RCU.at.expSeq)
    this.#mutex = phys(rcu.base + RCU.at.expMutex)
    this.#wakeMutex = phys(rcu.base + RCU.at.expWakeMutex)
    this.#ipi = rcu.cpu.ipi.register(this)
    rcu.expedited = this
  }

  // ---- what a bug may have wrong ----------------------------------------------------------------------------------

  /**
   * Part of rcu_exp_wait_wake(). The mutex comes first: no grace period ends while those who waited for the one before
   * are woken.
   */
  protected *endGracePeriod(): Step<void> {
    yield* this.lockWakeMutex()
    yield* this.rcuExpGpSeqEnd()
  }

  /** The rest of rcu_exp_wait_wake(): wakes those who wait for `seq`. Only this kworker holds the mutex. */
  protected *wakeStage(seq: number): Step<void> {
    yield* this.raiseRequested(seq)
    yield* wakeUpAll(this.cpu, this.queueOf(seq))
    yield* this.unlockWakeMutex()
  }

  /** Part of rcu_exp_handler(): this CPU may report at once. */
  protected foundQuiescent(): boolean {
    return this.rcu.foundQuiescent()
  }

  /** Here only. A reader was inside when the grace period began, and still is when it ends. */
  protected outlived(reader: number): void {
    const title = `BUG: expedited RCU grace period ended while CPU ${reader} was in a reader`
    this.cpu.report('rcu-misuse', title, null, [
      `CPU ${reader} was in the same rcu_read_lock section when the grace period began.`,
    ])
  }

  // ---- asking -----------------------------------------------------------------------------------------------------

  /** synchronize_rcu_expedited(): sleeps until every reader that is inside now has left. */
  *synchronizeRcuExpedited(): Step<void> {
    const { cpu } = this
    if (inRcuReader(cpu)) this.reportContext()
    // Full barrier: what the caller removed, before the sequence is read. Otherwise a grace period could be taken for
    // enough that began before. Pairs with the look at CPUs in syncRcuExpSelectCpus().
    yield* cpu.smpMb()
    const seq = rcuSeqSnap(yield* cpu.readOnce32(this.expSeq))
    if (yield* this.expFunnelLock(seq)) return
    yield* this.syncRcuExpSelectCpus()
    yield* this.synchronizeRcuExpeditedWait()
    yield* this.endGracePeriod()
    poke32(this.#own + RCU_CPU.at.expToWake, 1)
    poke32(this.#own + RCU_CPU.at.expWakeSeq, seq)
    yield* this.waitEvent(seq)
    yield* this.mutexUnlock(this.#mutex)
  }

  /** exp_funnel_lock(): true when a grace period of others was enough; false with expMutex held and one begun. */
  protected *expFunnelLock(seq: number): Step<boolean> {
    const { cpu } = this
    const requested = phys(this.#base + RCU.at.expSeqRequested)
    const isFirst = !rcuSeqDone(yield* cpu.readOnce32(requested), seq)
    if (!isFirst || (yield* cpu.cmpxchg32(this.#mutex, 0, 1)) !== 0) {
      if (yield* this.syncExpWorkDone(seq)) return true
      if (yield* this.isRequested(seq)) {
        yield* this.waitEvent(seq)
        return true
      }
      yield* this.mutexLock(this.#mutex)
    } else cpu.locks.lockAcquired(cpu, this.#mutex, false)
    if (yield* this.syncExpWorkDone(seq)) {
      yield* this.mutexUnlock(this.#mutex)
      return true
    }
    yield* cpu.writeOnce32(this.expSeq, peek32(this.expSeq) + RUNNING)
    return false
  }

  /** Part of exp_funnel_lock(): somebody has said that he will see to `seq`; if nobody has, this CPU does. */
  protected *isRequested(seq: number): Step<boolean> {
    const lock = phys(this.#base + RCU.at.expLock)
    const requested = phys(this.#base + RCU.at.expSeqRequested)
    yield* spinLock(this.cpu, lock)
    const isRequested = rcuSeqDone(yield* this.cpu.readOnce32(requested), seq)
    if (!isRequested) yield* this.cpu.writeOnce32(requested, seq)
    yield* spinUnlock(this.cpu, lock)
    return isRequested
  }

  /** Part of rcu_exp_wait_wake(): notes that `seq` was seen to. */
  protected *raiseRequested(seq: number): Step<void> {
    const requested = phys(this.#base + RCU.at.expSeqRequested)
    if (!rcuSeqDone(yield* this.cpu.readOnce32(requested), seq)) yield* this.isRequested(seq)
  }

  /** sync_exp_work_done(). */
  protected *syncExpWorkDone(seq: number): Step<boolean> {
    if (!rcuSeqDone(yield* this.cpu.readOnce32(this.expSeq), seq)) return false
    // Full barrier: the end is seen before what the caller does next. Pairs with the RELEASE in rcuExpGpSeqEnd().
    yield* this.cpu.smpMb()
    return true
  }

  /** wait_event(), on the queue of `seq`, until its grace period is over. */
  protected *waitEvent(seq: number): Step<void> {
    const queue = this.queueOf(seq)
    for (;;) {
      yield* prepareToWaitEvent(this.cpu, queue)
      if (yield* this.syncExpWorkDone(seq)) break
      yield* this.rcu.sleepUntil(wokenAt(this.cpu, this.cpu.id), isNonZero, 0)
    }
    yield* finishWait(this.cpu, queue)
  }

  /** The queue of those who wait for `seq`. */
  protected queueOf(seq: number): PhysAddr {
    return phys(this.#base + RCU.at.expQueues + ((seq >>> 2) % QUEUES) * WAIT_QUEUE_BYTES)
  }

  // ---- one grace period -------------------------------------------------------------------------------------------

  /** sync_rcu_exp_select_cpus(): interrupts every other CPU that is not idle. */
  protected *syncRcuExpSelectCpus(): Step<void> {
    const { cpu } = this
    const chosen = phys(this.#own + RCU_CPU.at.scratchMask)
    for (let word = 0; word < 2; word++) yield* cpu.writeOnce32(this.awaitedAt(word), this.othersOf(word))
    // Full barrier: the grace period before the looks at who is idle: who wakes later begins later. Pairs with the one
    // in Rcu.ctKernelEnterState().
    yield* cpu.smpMb()
    for (let other = 0; other < cpu.cpuCount; other++) if (other !== cpu.id) yield* this.excuseIdle(other)
    for (let word = 0; word < 2; word++) poke32(chosen + word * 4, peek32(this.awaitedAt(word)))
    yield* cpu.ipi.callMany(chosen, this.#ipi, 0, false)
  }

  /** Part of __sync_rcu_exp_select_node_cpus(): an idle CPU is not awaited. */
  protected *excuseIdle(other: number): Step<void> {
    const { cpu } = this
    const at = this.cpuAt(other)
    // ACQUIRE: what an idle CPU did before it went idle, before the grace period ends. Pairs with
    // Rcu.ctKernelExitState().
    const isIdle = ((yield* cpu.loadAcquire32(phys(at + RCU_CPU.at.watching))) & 1) === 0
    const section = load32(at + RCU_CPU.at.section)
    poke32(at + RCU_CPU.at.expSectionAtStart, isIdle || (section & 1) === 0 ? 0 : section)
    if (isIdle) yield* cpu.atomicFetchAnd32(this.awaitedAt(other >>> 5), ~bit(other))
  }

  /** synchronize_rcu_expedited_wait(): sleeps until every CPU has reported. */
  protected *synchronizeRcuExpeditedWait(): Step<void> {
    for (let word = 0; word < 2; word++) {
      // ACQUIRE: pairs with the full barrier in rcuReportExpRdp().
      if ((yield* this.cpu.loadAcquire32(this.awaitedAt(word))) !== 0)
        yield* this.rcu.sleepUntil(this.awaitedAt(word), isZero, 0)
    }
    for (let other = 0; other < this.cpu.cpuCount; other++) if (other !== this.cpu.id) this.checkOutlived(other)
  }

  /** Here only. As of normal ones: no reader from before the start is inside at the end. */
  protected checkOutlived(reader: number): void {
    const at = this.cpuAt(reader)
    const atStart = peek32(at + RCU_CPU.at.expSectionAtStart)
    if (atStart !== 0 && load32(at + RCU_CPU.at.section) === atStart) this.outlived(reader)
  }

  /** rcu_exp_gp_seq_end(). */
  protected *rcuExpGpSeqEnd(): Step<void> {
    // RELEASE: every report of a quiescent state before the end is seen. Pairs with syncExpWorkDone().
    yield* this.cpu.storeRelease32(this.expSeq, rcuSeqEndval(peek32(this.expSeq)))
  }

  // ---- on every CPU -----------------------------------------------------------------------------------------------

  /** rcu_exp_handler(). */
  *ipi(): Step<void> {
    if (this.foundQuiescent()) yield* this.rcuReportExpRdp()
    else poke32(this.#own + RCU_CPU.at.expDeferred, 1)
  }

  /** Here only. Something was put off until this CPU is outside every reader. */
  get isPending(): boolean {
    return (peek32(this.#own + RCU_CPU.at.expDeferred) | peek32(this.#own + RCU_CPU.at.expToWake)) !== 0
  }

  /**
   * Part of rcu_note_context_switch(), outside every reader, between operations or about to sleep: reports a quiescent
   * state that was put off, and does the rest of the kworker's work.
   */
  *settle(): Step<void> {
    if (peek32(this.#own + RCU_CPU.at.expDeferred) !== 0) {
      poke32(this.#own + RCU_CPU.at.expDeferred, 0)
      yield* this.rcuReportExpRdp()
    }
    if (peek32(this.#own + RCU_CPU.at.expToWake) !== 0) {
      poke32(this.#own + RCU_CPU.at.expToWake, 0)
      yield* this.wakeStage(peek32(this.#own + RCU_CPU.at.expWakeSeq))
    }
  }

  /** rcu_report_exp_rdp(): this CPU's quiescent state, for the grace period that awaits it. */
  protected *rcuReportExpRdp(): Step<void> {
    const word = this.awaitedAt(this.cpu.id >>> 5)
    // Full barrier: the loads of sections that ended, before the grace period ends. Pairs with
    // synchronizeRcuExpeditedWait().
    const before = yield* this.cpu.atomicFetchAnd32(word, ~bit(this.cpu.id))
    if ((before & ~bit(this.cpu.id)) === 0) this.cpu.wakeWaiters(word)
  }

  // ---- mutexes ----------------------------------------------------------------------------------------------------

  /** Part of rcu_exp_wait_wake(): takes exp_wake_mutex. */
  protected *lockWakeMutex(): Step<void> {
    yield* this.mutexLock(this.#wakeMutex)
  }

  /** Part of rcu_exp_wait_wake(): gives exp_wake_mutex back. */
  protected *unlockWakeMutex(): Step<void> {
    yield* this.mutexUnlock(this.#wakeMutex)
  }

  /** mutex_lock(): 0 → 1, asleep until then. ACQUIRE: pairs with the RELEASE in mutexUnlock() of the holder before. */
  protected *mutexLock(mutex: PhysAddr): Step<void> {
    while ((yield* this.cpu.cmpxchg32(mutex, 0, 1)) !== 0) yield* this.rcu.sleepUntil(mutex, isZero, 0)
    this.cpu.locks.lockAcquired(this.cpu, mutex, false)
  }

  /** mutex_unlock(). */
  protected *mutexUnlock(mutex: PhysAddr): Step<void> {
    this.cpu.locks.lockReleased(this.cpu, mutex)
    yield* this.cpu.storeRelease32(mutex, 0)
    this.cpu.wakeWaiters(mutex)
  }

  // ---- addresses --------------------------------------------------------------------------------------------------

  protected cpuAt(cpu: number): number {
    return this.#base + RCU.size + cpu * RCU_CPU.size
  }

  /** Word `word` of the mask of CPUs whose quiescent state the grace period awaits. */
  protected awaitedAt(word: number): PhysAddr {
    return phys(this.#base + RCU.at.expLow + word * 4)
  }

  /** That word with all CPUs but this one in it. */
  protected othersOf(word: number): number {
    let mask = 0
    for (let other = word * 32; other < Math.min(this.cpu.cpuCount, word * 32 + 32); other++)
      if (other !== this.cpu.id) mask |= bit(other)
    return mask
  }

  protected reportContext(): never {
    const what = 'synchronize_rcu_expedited() waits for the CPU that calls it'
    return this.cpu.report('rcu-misuse', `BUG: ${what}`, null, [describeContext(this.cpu)])
  }
}

const bit = (cpu: number): number => 1 << (cpu & 31)
