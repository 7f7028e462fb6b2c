/**
 * x86-64 flushes TLBs by interrupt: the CPU that changed page tables interrupts those that may have translations. CPUs
 * with INVLPGB flush by broadcast (flushStyle), as the generic part does.
 *
 * Source: arch/x86/mm/tlb.c (v6.12).
 *
 * A CPU in a kernel thread makes no user accesses, so stale pages in its TLB harm nobody, and a flush does not
 * interrupt it. But its hardware may walk the tables that it has loaded at any time, so where tables were unlinked it
 * is interrupted, and loads none at all. Broadcasts reach it like any other CPU.
 *
 * Left out: the full-flush ceiling of 33 pages.
 */
import { FLUSH_INFO, TlbFlush } from '../../arch/generic/tlbFlush.js'
import { MM_CONTEXT } from '../../arch/context.js'
import { CPU_STATE } from '../../arch/cpuState.js'
import type { ArchHost } from '../../arch/host.js'
import { phys, type PhysAddr, type VirtAddr } from '../../base/units.js'
import type { IpiCondition, IpiHandler } from '../../machine/cpu/ipi.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peek64, peekF64, poke32, poke64, pokeF64 } from '../../machine/image/guarded.js'

export class IpiFlush extends TlbFlush implements IpiCondition {
  readonly #flushFunction: number
  readonly #flushAllFunction: number

  constructor(k: ArchHost) {
    super(k)
    const flush: IpiHandler = { ipi: (info) => this.flushTlbFunc(phys(info)) }
    this.#flushFunction = k.cpu.ipi.register(flush)
    this.#flushAllFunction = k.cpu.ipi.register({ ipi: () => this.flushTlbAll() })
  }

  protected get isBroadcast(): boolean {
    return this.k.config.flushStyle === 'broadcast'
  }

  /** There is no form for entries of the last level alone. */
  override *tlbFlush(mm: PhysAddr, start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    if (this.isBroadcast) yield* super.tlbFlush(mm, start, end, freedTables)
    else yield* this.flushTlbMmRange(mm, start, end, freedTables)
  }

  protected override *flushPages(mm: PhysAddr, vpn: number, end: number, freedTables: boolean): Step<void> {
    if (this.isBroadcast) return yield* super.flushPages(mm, vpn, end, freedTables)
    const info = this.batch
    const gen = yield* this.incMmTlbGen(mm)
    poke32(info + FLUSH_INFO.at.mm, mm)
    pokeF64(info + FLUSH_INFO.at.vpn, vpn)
    pokeF64(info + FLUSH_INFO.at.end, end)
    poke32(info + FLUSH_INFO.at.gen, gen)
    const mask = phys(mm + MM_CONTEXT.at.cpumask)
    yield* this.cpu.ipi.callMany(mask, this.#flushFunction, info, true, freedTables ? null : this)
    this.cpu.localIrqSave()
    yield* this.flushTlbFunc(info)
    yield* this.cpu.localIrqRestore()
  }

  /**
   * inc_mm_tlb_gen(). Full barrier: the table change before the generation; the generation before the looks at the mask
   * and at who is lazy. Otherwise a CPU that walks the old table could be missed: one that sets its bit, or leaves lazy
   * mode, and does not see the new generation is seen here. Pairs with the barriers in switchMmIrqsOff().
   */
  protected *incMmTlbGen(mm: PhysAddr): Step<number> {
    return yield* this.cpu.atomicAddReturn32(phys(mm + MM_CONTEXT.at.tlbGen), 1)
  }

  /** tlb_is_not_lazy(): whom a flush interrupts that unlinked no tables. */
  *tlbIsNotLazy(target: number): Step<boolean> {
    return (yield* this.cpu.readOnce32(phys(this.cpu.areaOf(target) + CPU_STATE.at.isLazy))) === 0
  }

  /**
   * flush_tlb_func(), in the interrupt, or IRQs off. Requests may come out of order: one that is not the next is taken
   * for all of them up to now, by a full flush; a range alone would leave what the others asked for and say that it is
   * done.
   */
  *flushTlbFunc(info: PhysAddr): Step<void> {
    const { area } = this.cpu
    const mm = peek32(info + FLUSH_INFO.at.mm)
    if (peek32(area + CPU_STATE.at.currentMm) !== mm) return
    if (peek32(area + CPU_STATE.at.isLazy) !== 0) return yield* this.switchMmIrqsOff(phys(0))
    const local = peek32(area + CPU_STATE.at.tlbGen)
    const gen = peek32(info + FLUSH_INFO.at.gen)
    if (((gen - local) | 0) <= 0) return
    const now = yield* this.cpu.readOnce32(phys(mm + MM_CONTEXT.at.tlbGen))
    const isNext = this.isNext(local, gen, now)
    const vpn = isNext ? peekF64(info + FLUSH_INFO.at.vpn) : 0
    const end = isNext ? peekF64(info + FLUSH_INFO.at.end) : Number.MAX_SAFE_INTEGER
    this.k.tlbs[this.cpu.id]?.flushRange(mm, vpn, end)
    poke32(area + CPU_STATE.at.tlbGen, now)
  }

  /** The flush that made `gen` is the only one between this CPU's generation `local` and `now`. */
  protected isNext(local: number, gen: number, now: number): boolean {
    return gen === ((local + 1) | 0) && gen === now
  }

  /** The whole TLB, in the interrupt, or IRQs off. */
  *flushTlbAll(): Step<void> {
    const { area } = this.cpu
    const mm = peek32(area + CPU_STATE.at.currentMm)
    if (mm === 0) return
    if (peek32(area + CPU_STATE.at.isLazy) !== 0) return yield* this.switchMmIrqsOff(phys(0))
    yield* this.flushUpToNow(mm)
  }

  // ---- batched unmaps (arch_tlbbatch_*) ---------------------------------------------------------------------------

  /** arch_tlbbatch_should_defer(): worth while when others have to be interrupted. */
  override *archTlbbatchShouldDefer(mm: PhysAddr): Step<boolean> {
    if (this.isBroadcast) return true
    const mask = yield* this.cpu.readOnce64(phys(mm + MM_CONTEXT.at.cpumask))
    return (mask & ~(1n << BigInt(this.cpu.id))) !== 0n
  }

  /** Notes the CPUs that may have a translation of the page. */
  protected override *post(mm: PhysAddr, vpn: number): Step<void> {
    if (this.isBroadcast) return yield* super.post(mm, vpn)
    const { batch } = this
    yield* this.incMmTlbGen(mm)
    const mask = yield* this.cpu.readOnce64(phys(mm + MM_CONTEXT.at.cpumask))
    poke64(batch + FLUSH_INFO.at.batchMask, peek64(batch + FLUSH_INFO.at.batchMask) | mask)
  }

  /** Interrupts the CPUs that may have a translation of a page of the batch. */
  protected override *awaitPosted(): Step<void> {
    if (this.isBroadcast) return yield* super.awaitPosted()
    const { batch } = this
    yield* this.cpu.ipi.callMany(phys(batch + FLUSH_INFO.at.batchMask), this.#flushAllFunction, 0, true, this)
    this.cpu.localIrqSave()
    yield* this.flushTlbAll()
    yield* this.cpu.localIrqRestore()
    poke64(batch + FLUSH_INFO.at.batchMask, 0n)
  }
}
