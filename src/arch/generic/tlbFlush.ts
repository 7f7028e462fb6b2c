/**
 * TLB flushes by broadcast and the switch of address spaces, which architectures share. An architecture that flushes by
 * interrupt overrides the flushes (isa/x86_64/ipiFlush.ts).
 *
 * Source: arch/x86/mm/tlb.c (v6.12) for the switch. Broadcasts stand for INVLPGB and for arm64's TLBI, completion
 * included: when the call returns, no CPU is still inside an access that used an old translation.
 *
 * Contract: called after the page tables were changed; on return no CPU uses a translation older than the change.
 *
 * A kernel thread keeps the tables of the process before it loaded (lazy TLB). mm.tlbGen counts the flushes that were
 * asked for: a CPU whose own generation is behind flushes everything before its process is back.
 *
 * Left out: ASIDs (a switch between processes empties the TLB, so nothing is carried over that could be stale).
 */
import { assert } from '../../base/assert.js'
import { phys, type PhysAddr, type VirtAddr } from '../../base/units.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import type { Cpu } from '../../machine/cpu/cpu.js'
import type { IpiHandler } from '../../machine/cpu/ipi.js'
import { isZero, type Step } from '../../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../../machine/image/guarded.js'
import type { Layout } from '../../machine/image/layout.js'
import { always, ownCpu, privateBut, type Guard } from '../../machine/image/guard.js'
import { struct } from '../../machine/image/struct.js'
import { MM_CONTEXT } from '../context.js'
import type { ArchHost } from '../host.js'
import { CPU_STATE } from '../cpuState.js'

/** Invalidations that a CPU can have begun and not waited for; with more it waits before it begins another. */
const POSTED_MAX = 8

const asked: Guard = privateBut(
  'written by its CPU while none answers; read by those that it has interrupted, for whom it waits',
  always,
)

/**
 * flush_tlb_info: what the sender of a flush asks of the others; one for each CPU, guarded by waiting for the answers.
 * And tlb_ubc, the batch of unmapped pages that a CPU has not flushed yet, which it alone uses.
 */
export const FLUSH_INFO = struct('flushInfo', 192, {
  mm: [0, 4, asked],
  vpn: [8, 8, asked], // doubles: first page, and the page behind the last
  end: [16, 8, asked],
  batchMask: [24, 8, ownCpu], // flushes by interrupt: CPUs whose TLBs may have pages of the batch
  posted: [32, 4, ownCpu], //    broadcast: invalidations begun and not waited for
  flushRequired: [36, 4, ownCpu], // 1: the batch is not empty
  gen: [40, 4, asked], //       generation of the mm that the flush made
  postedMm: [64, 4 * POSTED_MAX, ownCpu],
  postedVpn: [96, 8 * POSTED_MAX, ownCpu], // doubles
})

export function placeFlushInfo(layout: Layout, cpuCount: number): PhysAddr {
  return layout.add('flushInfo', FLUSH_INFO, cpuCount)
}

export class TlbFlush {
  /** ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH. */
  readonly batchesUnmaps: boolean = true
  protected readonly k: ArchHost
  protected readonly cpu: Cpu
  readonly #emptyFunction: number

  constructor(k: ArchHost) {
    this.k = k
    this.cpu = k.cpu
    const nothing: IpiHandler = { ipi: () => this.tlbRemoveTableSmpSync() }
    this.#emptyFunction = k.cpu.ipi.register(nothing)
  }

  *flushTlbRange(vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    // As if tables were freed, since 3ef938c35035 (v6.15): pmdp_collapse_flush() comes here with a table that goes.
    yield* this.flushTlbMmRange(this.k.mmOf(vma), start, end, true)
  }

  *flushTlbPage(vma: PhysAddr, addr: VirtAddr): Step<void> {
    yield* this.flushTlbMmRange(this.k.mmOf(vma), addr, (addr + this.k.geo.pageSize) as VirtAddr, false)
  }

  *flushTlbMm(mm: PhysAddr): Step<void> {
    yield* this.flushTlbMmRange(mm, 0 as VirtAddr, this.k.geo.taskSize as VirtAddr, true)
  }

  /**
   * tlb_flush() of a gather, in which tables were unlinked or not. Without, entries of the last level alone are
   * invalidated, as arm64, powerpc and INVLPGB do.
   */
  *tlbFlush(mm: PhysAddr, start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    if (freedTables) return yield* this.flushTlbMmRange(mm, start, end, true)
    const { pageSize } = this.k.geo
    const [vpn, endVpn] = [Math.floor(start / pageSize), Math.ceil(end / pageSize)]
    this.cpu.preemptDisable()
    // Full barrier: as in flushTlbMmRange().
    yield* this.cpu.smpMb()
    yield* this.flushByBroadcast(mm, vpn, endVpn, true)
    this.cpu.preemptEnable()
    this.k.observer.tlbFlushed(this.cpu, mm, vpn, endVpn)
  }

  /** flush_tlb_mm_range(). `freedTables`: tables were unlinked, so that walks through them must end too. */
  *flushTlbMmRange(mm: PhysAddr, start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    const { pageSize } = this.k.geo
    const vpn = Math.floor(start / pageSize)
    const endVpn = Math.ceil(end / pageSize)
    this.cpu.preemptDisable()
    yield* this.flushPages(mm, vpn, endVpn, freedTables)
    this.cpu.preemptEnable()
    this.k.observer.tlbFlushed(this.cpu, mm, vpn, endVpn)
  }

  /** Part of flush_tlb_mm_range(): pages `vpn` … `end` - 1 of `mm`, on all CPUs. */
  protected *flushPages(mm: PhysAddr, vpn: number, end: number, _freedTables: boolean): Step<void> {
    assert(this.k.config.flushStyle === 'broadcast', 'flushes by interrupt are the part of an architecture')
    // Full barrier: the table change before TLBs are emptied.
    yield* this.cpu.smpMb()
    yield* this.flushByBroadcast(mm, vpn, end)
  }

  /** Every translation, as all flushes of `mm` that were asked for until now would have it. */
  protected *flushUpToNow(mm: number): Step<void> {
    const now = yield* this.cpu.readOnce32(phys(mm + MM_CONTEXT.at.tlbGen))
    this.k.tlbs[this.cpu.id]?.flushAll()
    poke32(this.cpu.area + CPU_STATE.at.tlbGen, now)
  }

  /**
   * Each TLB is emptied while its CPU is between two accesses: an access holds tlbBusy from lookup to data, so that
   * "the instruction was issued" cannot be taken for "it completed" (the DSB after arm64's TLBI).
   */
  protected *flushByBroadcast(mm: PhysAddr, vpn: number, end: number, lastLevel = false): Step<void> {
    for (let target = 0; target < this.cpu.cpuCount; target++) {
      const busy = phys(this.cpu.areaOf(target) + CPU_AREA.at.tlbBusy)
      yield* lockTlb(this.cpu, busy)
      this.k.tlbs[target]?.flushRange(mm, vpn, end, lastLevel)
      yield* unlockTlb(this.cpu, busy)
    }
  }

  /**
   * flush_tlb_fix_spurious_fault(): a store faulted though the entry allows it. Nothing to do here: the walker that
   * raised the fault has dropped the translation.
   */
  *flushTlbFixSpuriousFault(_vma: PhysAddr, _addr: VirtAddr, _ptep: PhysAddr): Step<void> {}

  /** Some CPU translates by the tables of `mm`. */
  isLoaded(mm: PhysAddr): boolean {
    return peek32(mm + MM_CONTEXT.at.cpumask) !== 0 || peek32(mm + MM_CONTEXT.at.cpumask + 4) !== 0
  }

  // ---- batched unmaps (arch_tlbbatch_*) ---------------------------------------------------------------------------

  /** arch_tlbbatch_should_defer(): worth while, and possible. */
  *archTlbbatchShouldDefer(_mm: PhysAddr): Step<boolean> {
    return true
  }

  /** arch_tlbbatch_add_pending(): the page at `addr` was unmapped. */
  *archTlbbatchAddPending(mm: PhysAddr, addr: VirtAddr): Step<void> {
    yield* this.post(mm, Math.floor(addr / this.k.geo.pageSize))
    yield* this.cpu.writeOnce32(phys(this.batch + FLUSH_INFO.at.flushRequired), 1)
  }

  /**
   * Begins the invalidation of an unmapped page and does not wait for it (TLBI without DSB, INVLPGB without TLBSYNC).
   * TLBs may go on using the translation until this very CPU waits; here they do so to the last moment.
   */
  protected *post(mm: PhysAddr, vpn: number): Step<void> {
    const { batch } = this
    if (peek32(batch + FLUSH_INFO.at.posted) === POSTED_MAX) yield* this.awaitPosted()
    const count = peek32(batch + FLUSH_INFO.at.posted)
    poke32(batch + FLUSH_INFO.at.postedMm + count * 4, mm)
    pokeF64(batch + FLUSH_INFO.at.postedVpn + count * 8, vpn)
    poke32(batch + FLUSH_INFO.at.posted, count + 1)
  }

  /** DSB: what this CPU has begun is complete on all CPUs. */
  protected *awaitPosted(): Step<void> {
    const { batch } = this
    for (let i = 0; i < peek32(batch + FLUSH_INFO.at.posted); i++) {
      const vpn = peekF64(batch + FLUSH_INFO.at.postedVpn + i * 8)
      yield* this.flushByBroadcast(phys(peek32(batch + FLUSH_INFO.at.postedMm + i * 4)), vpn, vpn + 1)
    }
    poke32(batch + FLUSH_INFO.at.posted, 0)
  }

  /** arch_tlbbatch_flush(): no TLB has a page of this CPU's batch when it returns. */
  *archTlbbatchFlush(): Step<void> {
    const { batch } = this
    if (peek32(batch + FLUSH_INFO.at.flushRequired) === 0) return
    this.cpu.preemptDisable()
    // Full barrier: the cleared entries before TLBs are emptied; see flushTlbMmRange().
    yield* this.cpu.smpMb()
    yield* this.awaitPosted()
    this.cpu.preemptEnable()
    yield* this.cpu.writeOnce32(phys(batch + FLUSH_INFO.at.flushRequired), 0)
  }

  /**
   * arch_flush_tlb_batched_pending(): no TLB has a page of `mm` that any CPU has batched. Others' invalidations cannot
   * be waited for, so the whole address space is flushed (4b634918384c for arm64).
   */
  *archFlushTlbBatchedPending(mm: PhysAddr): Step<void> {
    yield* this.flushTlbMm(mm)
  }

  protected get batch(): PhysAddr {
    return phys(this.k.regions.flushInfo + this.cpu.id * FLUSH_INFO.size)
  }

  // ---- software walkers -------------------------------------------------------------------------------------------

  /**
   * tlb_remove_table_sync_one(): an empty IPI to all other CPUs, waited for. When it returns, every software walker
   * that had IRQs off at the call has left its section, and its references are visible here.
   * Empty where tables are freed after flush IPIs alone: there the flush was such an IPI.
   */
  *tlbRemoveTableSyncOne(): Step<void> {
    if (this.k.config.tableFree === 'ipi') return
    yield* this.cpu.ipi.callMany(phys(0), this.#emptyFunction, 0, true)
  }

  /** Runs in the interrupt; taking it is the point. */
  *tlbRemoveTableSmpSync(): Step<void> {}

  // ---- address spaces ---------------------------------------------------------------------------------------------

  /** enter_lazy_tlb(): a kernel thread runs here from now on, with what is loaded. */
  *enterLazyTlb(): Step<void> {
    if (peek32(this.cpu.area + CPU_STATE.at.currentMm) === 0) return
    yield* this.cpu.writeOnce32(phys(this.cpu.area + CPU_STATE.at.isLazy), 1)
  }

  /** switch_mm_irqs_off(): this CPU's user accesses go to `mm` from now on; 0 for none (upstream: init_mm). */
  *switchMmIrqsOff(mm: PhysAddr): Step<void> {
    const { cpu } = this
    const previous = phys(peek32(cpu.area + CPU_STATE.at.currentMm))
    const wasLazy = peek32(cpu.area + CPU_STATE.at.isLazy) !== 0
    if (previous === mm && !wasLazy) return
    cpu.localIrqSave()
    if (wasLazy) yield* cpu.writeOnce32(phys(cpu.area + CPU_STATE.at.isLazy), 0)
    if (previous === mm) yield* this.catchUp(mm)
    else yield* this.load(previous, mm)
    yield* cpu.localIrqRestore()
  }

  /** The process is back whose tables stayed loaded: flushes, unless no flush was asked for meanwhile. */
  protected *catchUp(mm: PhysAddr): Step<void> {
    // Full barrier: no longer lazy before the look at the generation. Otherwise a flusher could pass this CPU over as
    // lazy, and it not see that flush's generation. Pairs with incMmTlbGen().
    yield* this.cpu.smpMb()
    const now = yield* this.cpu.readOnce32(phys(mm + MM_CONTEXT.at.tlbGen))
    if (now !== peek32(this.cpu.area + CPU_STATE.at.tlbGen)) yield* this.flushUpToNow(mm)
  }

  protected *load(previous: PhysAddr, mm: PhysAddr): Step<void> {
    const { cpu } = this
    const bit = 1n << BigInt(cpu.id)
    // Full barrier: this CPU's bit in the mask before its first walk of the new tables. Otherwise a flusher that
    // changes an entry after the walk misses this CPU. Pairs with incMmTlbGen(), and the barriers of broadcasts.
    if (mm !== 0) yield* cpu.atomicFetchOr64(phys(mm + MM_CONTEXT.at.cpumask), bit)
    poke32(cpu.area + CPU_STATE.at.currentMm, mm)
    if (mm !== 0) yield* this.flushUpToNow(mm)
    else this.k.tlbs[cpu.id]?.flushAll()
    if (previous !== 0) yield* cpu.atomicFetchAnd64(phys(previous + MM_CONTEXT.at.cpumask), ~bit)
  }
}

/** Claims a TLB: by its CPU for one access, by another for a broadcast flush. */
export function* lockTlb(cpu: Cpu, busy: PhysAddr): Step<void> {
  for (;;) {
    if ((yield* cpu.cmpxchg32(busy, 0, 1)) === 0) return
    yield* cpu.waitUntil(busy, isZero, 0)
  }
}

export function* unlockTlb(cpu: Cpu, busy: PhysAddr): Step<void> {
  yield* cpu.storeRelease32(busy, 0)
  cpu.wakeWaiters(busy)
}
