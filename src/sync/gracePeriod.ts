/**
 * Grace periods: who asks for one, who is waited for, when it is over.
 *
 * Source: kernel/rcu/tree.c (v6.12), flat (see rcuLayout.ts). A grace period starts with the CPUs that RCU watches in
 * its mask; each leaves the mask when it reports a quiescent state, or goes idle; the last one ends it and starts the
 * next.
 *
 * Left out: the grace-period kthread (whoever starts, reports last or ends does its work, under the lock), the tree of
 * nodes, CPU hotplug and stall warnings (a stalled one shows as deadlock or step limit). Its
 * steps are taken by CPUs in the middle of their own work, at points where the schedule may switch, so every delay that
 * a kthread would add can come about.
 *
 * The protected methods are what a bug would have wrong; subclasses override them.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { EventKind } from '../machine/trace/ring.js'
import { RCU, RCU_CPU, RUNNING, rcuGpInProgress, rcuSeqEndval, rcuSeqDone, rcuSeqSnap } from './rcuLayout.js'
import { spinLockIrqsave, spinUnlockIrqrestore } from './spinlock.js'

/** First argument of RCU's ring events. */
export const RcuEvent = { queue: 0, start: 1, end: 2, callback: 3 } as const

export class GracePeriod {
  readonly cpu: Cpu
  /** RCU, and this CPU's RCU_CPU. */
  readonly base: PhysAddr
  readonly own: PhysAddr
  protected readonly gpSeq: PhysAddr

  constructor(cpu: Cpu, base: PhysAddr) {
    this.cpu = cpu
    this.base = base
    this.own = phys(base + RCU.size + cpu.id * RCU_CPU.size)
    this.gpSeq = phys(base + RCU.at.gpSeq)
  }

  // ---- what a bug may have wrong ----------------------------------------------------------------------------------

  /** Part of rcu_accelerate_cbs(): the number that callbacks queued at `seq` wait for. */
  protected snapshot(seq: number): number {
    return rcuSeqSnap(seq)
  }

  /** Part of rcu_gp_fqs_loop(): true when the grace period may end, no CPU is awaited (the mask of those that are). */
  protected isOver(low: number, high: number): boolean {
    return (low | high) === 0
  }

  /** Here only. A reader was inside when the grace period began, and still is when it ends. */
  protected outlived(reader: number, seq: number): void {
    this.cpu.report(
      'rcu-misuse',
      `BUG: RCU grace period ${seq >>> 2} ended while CPU ${reader} was in a reader`,
      null,
      [`CPU ${reader} was in the same rcu_read_lock section when the grace period began.`],
    )
  }

  // ---- asking -----------------------------------------------------------------------------------------------------

  /**
   * rcu_start_this_gp(): asks for a grace period from here on, starts it if none runs; returns the number to wait for.
   */
  protected *rcuStartThisGp(): Step<number> {
    const { cpu, base } = this
    const lock = phys(base + RCU.at.lock)
    // Full barrier, by the lock: what the caller removed, before the look at gpSeq and everything that follows from it.
    // Otherwise the grace period could begin before the removal, and a reader that it does not await find the old
    // pointer. Pairs with the lock in rcuReportQsRdp() and with Rcu.ctKernelEnterState().
    yield* spinLockIrqsave(cpu, lock)
    const seq = yield* cpu.plainRead32(this.gpSeq)
    const target = this.snapshot(seq)
    if (!rcuSeqDone(peek32(base + RCU.at.needed), target)) poke32(base + RCU.at.needed, target)
    if (!rcuGpInProgress(seq)) yield* this.advanceGps()
    yield* spinUnlockIrqrestore(cpu, lock)
    return target
  }

  /**
   * Part of rcu_check_quiescent_state(): true when the current grace period awaits this CPU. Only this CPU's own report
   * makes that false again. */
  protected *isAwaited(): Step<boolean> {
    const { cpu } = this
    if (!rcuGpInProgress(yield* cpu.readOnce32(this.gpSeq))) return false
    return ((yield* cpu.readOnce32(this.maskWord(cpu.id))) & this.maskBit(cpu.id)) !== 0
  }

  /**
   * rcu_report_qs_rdp(): reports a quiescent state of this CPU for the grace period that awaits it. Caller: found
   * isAwaited(), and has not been in a reader since.
   */
  protected *rcuReportQsRdp(): Step<void> {
    const { cpu } = this
    const lock = phys(this.base + RCU.at.lock)
    // Full barrier, by the lock, both ways: the loads of sections that ended, before the grace period ends; what was
    // removed before it began, before the loads of sections that come. Pairs with the lock in rcuStartThisGp(), and
    // with that of the CPU that ends it.
    yield* spinLockIrqsave(cpu, lock)
    const word = this.maskWord(cpu.id)
    const mask = yield* cpu.plainRead32(word)
    if ((mask & this.maskBit(cpu.id)) !== 0) {
      yield* cpu.writeOnce32(word, mask & ~this.maskBit(cpu.id))
      if (yield* this.noneAwaited()) {
        yield* this.rcuGpCleanup()
        yield* this.advanceGps()
      } else this.askStarter()
    }
    yield* spinUnlockIrqrestore(cpu, lock)
  }

  // ---- under the lock ---------------------------------------------------------------------------------------------

  /**
   * Part of rcu_gp_kthread(): starts grace periods as long as one is needed; ends at once those that await nobody. None
   * runs.
   */
  protected *advanceGps(): Step<void> {
    for (;;) {
      const seq = peek32(this.gpSeq)
      if (rcuSeqDone(seq, peek32(this.base + RCU.at.needed))) return
      yield* this.rcuGpInit(seq)
      if (!(yield* this.noneAwaited())) return
      yield* this.rcuGpCleanup()
    }
  }

  /** rcu_gp_init(): a grace period that awaits every CPU, and the first look at who is idle. */
  protected *rcuGpInit(seq: number): Step<void> {
    const { cpu, base } = this
    poke32(base + RCU.at.starter, cpu.id)
    poke32(base + RCU.at.starterAsked, 0)
    yield* cpu.writeOnce32(this.gpSeq, seq + RUNNING)
    yield* cpu.writeOnce32(phys(base + RCU.at.qsLow), online(cpu.cpuCount, 0))
    yield* cpu.writeOnce32(phys(base + RCU.at.qsHigh), online(cpu.cpuCount, 1))
    // Full barrier (A): the full mask before the looks at who is idle. Otherwise a CPU could go idle unseen, see
    // itself not awaited, and be awaited for ever. Pairs with (B) in Rcu.ctKernelExitState().
    yield* cpu.smpMb()
    for (let other = 0; other < cpu.cpuCount; other++) yield* this.rcuWatchingSnapSave(other)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.start, seq >>> 2, 0)
  }

  /** rcu_watching_snap_save(): takes `other` out of the mask if it is idle; otherwise it is to be asked. */
  protected *rcuWatchingSnapSave(other: number): Step<void> {
    const { cpu } = this
    const at = this.cpuAt(other)
    // ACQUIRE: what an idle CPU did before it went idle, before the grace period ends. Pairs with (B) in
    // Rcu.ctKernelExitState().
    const watching = yield* cpu.loadAcquire32(phys(at + RCU_CPU.at.watching))
    const section = load32(at + RCU_CPU.at.section)
    const idle = (watching & 1) === 0
    poke32(at + RCU_CPU.at.sectionAtStart, idle || (section & 1) === 0 ? 0 : section)
    const word = this.maskWord(other)
    if (idle) yield* cpu.writeOnce32(word, peek32(word) & ~this.maskBit(other))
    else if (other !== cpu.id) this.ask(RCU_CPU.at.askLow, other)
  }

  /** Part of rcu_gp_fqs_loop(). */
  protected *noneAwaited(): Step<boolean> {
    const low = yield* this.cpu.plainRead32(phys(this.base + RCU.at.qsLow))
    return this.isOver(low, yield* this.cpu.plainRead32(phys(this.base + RCU.at.qsHigh)))
  }

  /** rcu_gp_cleanup(): the grace period has ended. */
  protected *rcuGpCleanup(): Step<void> {
    const { cpu, base } = this
    const seq = rcuSeqEndval(peek32(this.gpSeq))
    this.findOutlived(seq)
    yield* cpu.writeOnce32(phys(base + RCU.at.qsLow), 0)
    yield* cpu.writeOnce32(phys(base + RCU.at.qsHigh), 0)
    // RELEASE: every report of a quiescent state before the end is seen. Pairs with the looks at
    // gpSeq in Rcu.noteGpChanges() and Rcu.synchronizeRcu().
    yield* cpu.storeRelease32(this.gpSeq, seq)
    cpu.wakeWaiters(this.gpSeq)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.rcu, RcuEvent.end, (seq >>> 2) - 1, 0)
    // Full barrier (C): the end before the looks at who sleeps on callbacks. Otherwise one could fall asleep with
    // callbacks to run and not be woken. Pairs with (D) in Rcu.rcuNeedsCpu().
    yield* cpu.smpMb()
    for (let other = 0; other < cpu.cpuCount; other++) {
      if (other === cpu.id) continue
      const at = this.cpuAt(other)
      if (((yield* cpu.loadAcquire32(phys(at + RCU_CPU.at.watching))) & 1) !== 0) continue
      const waits = peek32(at + RCU_CPU.at.callbacks) !== 0
      if (waits && rcuSeqDone(seq, peek32(at + RCU_CPU.at.wakeAt))) this.ask(RCU_CPU.at.wakeLow, other)
    }
  }

  /**
   * Here only. The contract's own watchdog; free of steps, and exact in every engine because reports come before the
   * end.
   */
  protected findOutlived(seq: number): void {
    for (let other = 0; other < this.cpu.cpuCount; other++) {
      const at = this.cpuAt(other)
      const atStart = peek32(at + RCU_CPU.at.sectionAtStart)
      if (atStart !== 0 && load32(at + RCU_CPU.at.section) === atStart) this.outlived(other, (seq - RUNNING) | 0)
    }
  }

  // ---- CPUs to interrupt -----------------------------------------------------------------------------------------

  /**
   * Part of rcu_gp_fqs(). An interrupt finds a quiescent state in the middle of an operation, as the kernel's tick
   * does. The starter asks the others; the first one to report asks the starter. Without it a pointer kept over the end
   * of a reader, inside one operation, would always still be good.
   */
  protected askStarter(): void {
    const starter = peek32(this.base + RCU.at.starter)
    if (peek32(this.base + RCU.at.starterAsked) !== 0 || starter === this.cpu.id) return
    poke32(this.base + RCU.at.starterAsked, 1)
    if ((peek32(this.maskWord(starter)) & this.maskBit(starter)) !== 0) this.ask(RCU_CPU.at.askLow, starter)
  }

  /** Here only. Notes `other` in the mask of this CPU at `mask`, askLow or wakeLow. */
  protected ask(mask: number, other: number): void {
    const word = this.own + mask + (other >>> 5) * 4
    poke32(word, peek32(word) | this.maskBit(other))
  }

  /** Here only. Takes `other` out of that mask; true when it was in. */
  protected takeAsk(mask: number, other: number): boolean {
    const word = this.own + mask + (other >>> 5) * 4
    const before = peek32(word)
    poke32(word, before & ~this.maskBit(other))
    return (before & this.maskBit(other)) !== 0
  }

  protected anyIn(mask: number): boolean {
    return (peek32(this.own + mask) | peek32(this.own + mask + 4)) !== 0
  }

  /** True when this CPU has others to interrupt, now or later. */
  protected get owesAsks(): boolean {
    return this.anyIn(RCU_CPU.at.askLow) || this.anyIn(RCU_CPU.at.wakeLow)
  }

  /** True when this CPU has sleepers to wake, or CPUs to ask that have had their time to report by themselves. */
  protected get hasAsks(): boolean {
    return this.anyIn(RCU_CPU.at.wakeLow) || (this.anyIn(RCU_CPU.at.askLow) && this.asksAreDue)
  }

  /** Here only. Threads give others some time to report by themselves. */
  protected get asksAreDue(): boolean {
    return !this.cpu.engine.threads || peek32(this.own + RCU_CPU.at.askLooks) >= LOOKS_BEFORE_ASKING
  }

  /**
   * Part of force_qs_rnp(): interrupts those that are due with handler `func` and `info`. Caller: not in an interrupt,
   * preemption on.
   */
  protected *sendAsks(func: number, info: number): Step<void> {
    if (!this.owesAsks) return
    const looks = this.own + RCU_CPU.at.askLooks
    const due = this.asksAreDue
    poke32(looks, due ? 0 : peek32(looks) + 1)
    for (let other = 0; other < this.cpu.cpuCount; other++) {
      let send = this.takeAsk(RCU_CPU.at.wakeLow, other)
      // Those that have reported meanwhile are spared.
      if (due && this.takeAsk(RCU_CPU.at.askLow, other) && !send)
        send = ((yield* this.cpu.readOnce32(this.maskWord(other))) & this.maskBit(other)) !== 0
      // An interrupt that is still on its way serves as well: what it is for is looked up when it comes.
      if (send) yield* this.cpu.ipi.callAsync(other, func, info)
    }
  }

  // ---- addresses --------------------------------------------------------------------------------------------------

  protected cpuAt(cpu: number): number {
    return this.base + RCU.size + cpu * RCU_CPU.size
  }

  protected maskWord(cpu: number): PhysAddr {
    return phys(this.base + (cpu < 32 ? RCU.at.qsLow : RCU.at.qsHigh))
  }

  protected maskBit(cpu: number): number {
    return 1 << (cpu & 31)
  }
}

/** Looks of a thread at CPUs that it is to interrupt before it does: most report between two operations anyway. */
const LOOKS_BEFORE_ASKING = 8

/** Word `word` of the mask of all CPUs. */
function online(cpuCount: number, word: number): number {
  const count = Math.min(32, cpuCount - 32 * word)
  return count <= 0 ? 0 : count === 32 ? -1 : (1 << count) - 1
}
