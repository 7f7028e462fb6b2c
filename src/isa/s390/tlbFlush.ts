/**
 * s390: translations go with the change of the entry, on all CPUs and without interrupts; what was put off is paid when
 * a CPU attaches to the address space or returns to its user.
 *
 * Source: arch/s390/include/asm/{tlbflush,mmu_context}.h (v6.12), z/Architecture Principles of Operation on IPTE, IDTE
 * and PTLB.
 *
 *   attachMask  CPUs whose control registers hold the address space, or are about to
 *   cpumask     CPUs that may have translations of it, since the last purge of all of them
 *   flushCount  invalidations under way; a CPU that attaches waits until there is none
 *   flushMm     entries were made invalid by a store while one CPU was attached: nobody else may load the address space
 *               before it is purged
 *
 * A CPU that leaves an address space keeps its translations, which carry its mark. Left out: guest address spaces, the
 * kernel's own address space, and that a kernel thread stays attached to the address space that it borrows.
 */
import { phys, type PhysAddr, type VirtAddr } from '../../base/units.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { isZero, type Step } from '../../machine/engine/engine.js'
import { peek32, poke32 } from '../../machine/image/guarded.js'
import { spinLock, spinUnlock } from '../../sync/spinlock.js'
import { MM_CONTEXT } from '../../arch/context.js'
import type { ArchHost } from '../../arch/host.js'
import { lockTlb, TlbFlush, unlockTlb } from '../../arch/generic/tlbFlush.js'
import { hasFacility } from './facilities.js'
import { PAGE_PROTECT } from './pte.js'
import { S390_CONTEXT } from './context.js'
import { S390_CPU_STATE } from './cpuState.js'
import { CPU_STATE } from '../../arch/cpuState.js'

const AT = MM_CONTEXT.at

export class S390TlbFlush extends TlbFlush {
  /** An entry is not cleared without a purge. */
  override readonly batchesUnmaps = false
  readonly #hasIdte: boolean
  readonly #hasRdp: boolean

  constructor(k: ArchHost) {
    super(k)
    this.#hasIdte = hasFacility(k, 'idte')
    this.#hasRdp = hasFacility(k, 'rdp')
  }

  // ---- instructions -----------------------------------------------------------------------------------------------

  /** What IPTE and IDTE do to TLBs, of all CPUs or of this one alone: complete when it returns. */
  *purge(mm: PhysAddr, vpn: number, end: number, local: boolean): Step<void> {
    for (let target = 0; target < this.cpu.cpuCount; target++) {
      if (local && target !== this.cpu.id) continue
      // Between two accesses of that CPU: an access holds the word from lookup to data.
      const busy = phys(this.cpu.areaOf(target) + CPU_AREA.at.tlbBusy)
      yield* lockTlb(this.cpu, busy)
      this.k.tlbs[target]?.flushRange(mm, vpn, end)
      yield* unlockTlb(this.cpu, busy)
    }
  }

  /**
   * CSP: the 32-bit word at `at` becomes `next` if it is `old`, and then every CPU forgets every translation, of
   * whatever address space; false, and nothing, if it is not.
   */
  *csp(at: PhysAddr, old: number, next: number): Step<boolean> {
    if ((yield* this.cpu.cmpxchg32(at, old | 0, next | 0)) !== (old | 0)) return false
    for (let target = 0; target < this.cpu.cpuCount; target++) {
      const busy = phys(this.cpu.areaOf(target) + CPU_AREA.at.tlbBusy)
      yield* lockTlb(this.cpu, busy)
      this.k.tlbs[target]?.flushAll()
      yield* unlockTlb(this.cpu, busy)
    }
    return true
  }

  /** PTLB: every translation of this CPU. */
  purgeLocal(): void {
    this.k.tlbs[this.cpu.id]?.flushAll()
  }

  // ---- invalidations under way ------------------------------------------------------------------------------------

  /**
   * Full barrier: the count before the masks are read. Pairs with the one in switchMmIrqsOff(): attach bit, then count.
   */
  *flushBegins(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAddReturn32(phys(mm + S390_CONTEXT.at.flushCount), 1)
  }

  *flushEnds(mm: PhysAddr): Step<void> {
    const count = phys(mm + S390_CONTEXT.at.flushCount)
    if ((yield* this.cpu.atomicAddReturn32(count, -1)) === 0) this.cpu.wakeWaiters(count)
  }

  /** The mask at `mask` of `mm` has this CPU and no other. */
  *isOnly(mm: PhysAddr, mask: number): Step<boolean> {
    return (yield* this.cpu.readOnce64(phys(mm + mask))) === 1n << BigInt(this.cpu.id)
  }

  // ---- flush_tlb_*() ----------------------------------------------------------------------------------------------

  /** Nothing: whoever changed the entry has purged. */
  override *flushTlbPage(): Step<void> {}

  /** tlb_flush(). */
  override *tlbFlush(mm: PhysAddr, start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    yield* this.flushTlbMmRange(mm, start, end, freedTables)
  }

  /** Only a debt is left to pay. Tables that were unlinked are one. */
  override *flushTlbMmRange(mm: PhysAddr, start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    if (freedTables) yield* this.cpu.writeOnce32(phys(mm + S390_CONTEXT.at.flushMm), 1)
    yield* this.tlbFlushMmLazy(mm)
    const { pageSize } = this.k.geo
    this.k.observer.tlbFlushed(this.cpu, mm, Math.floor(start / pageSize), Math.ceil(end / pageSize))
  }

  /**
   * __tlb_flush_mm_lazy(). The lock makes clearing the debt and paying it one: without it a CPU that finds no debt
   * could load the address space before the purge of the one who cleared it, or a debt made meanwhile be forgotten
   * (K09).
   */
  *tlbFlushMmLazy(mm: PhysAddr): Step<void> {
    const lock = phys(mm + AT.contextLock)
    const debt = phys(mm + S390_CONTEXT.at.flushMm)
    yield* spinLock(this.cpu, lock)
    if ((yield* this.cpu.readOnce32(debt)) !== 0) {
      yield* this.cpu.writeOnce32(debt, 0)
      yield* this.tlbFlushMm(mm)
    }
    yield* spinUnlock(this.cpu, lock)
  }

  /** __tlb_flush_mm(): every translation of the address space on every CPU, by IDTE with its ASCE. */
  *tlbFlushMm(mm: PhysAddr): Step<void> {
    this.cpu.preemptDisable()
    yield* this.flushBegins(mm)
    // The mask first: a CPU that walks after the purge and leaves before the copy would be forgotten, and a later
    // invalidation be local to the others (K10).
    yield* this.copyAttachMask(mm)
    yield* this.purgeAsce(mm)
    yield* this.flushEnds(mm)
    this.cpu.preemptEnable()
  }

  /** Without IDTE CSP purges, on a word of no meaning: __tlb_flush_global(). */
  protected *purgeAsce(mm: PhysAddr): Step<void> {
    if (this.#hasIdte) return yield* this.purge(mm, 0, Number.MAX_SAFE_INTEGER, false)
    const dummy = phys(this.cpu.area + CPU_STATE.at.stack)
    poke32(dummy, 0)
    yield* this.csp(dummy, 0, 0)
  }

  protected *copyAttachMask(mm: PhysAddr): Step<void> {
    const attached = yield* this.cpu.readOnce64(phys(mm + S390_CONTEXT.at.attachMask))
    yield* this.cpu.writeOnce64(phys(mm + AT.cpumask), attached)
  }

  /**
   * flush_tlb_fix_spurious_fault(): RDP made the entry writable and left this CPU its old translation. Without this the
   * store faults for ever. Without RDP an entry that opens has been purged everywhere. Caller: the table's lock.
   */
  override *flushTlbFixSpuriousFault(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    if (!this.#hasRdp || ((yield* this.cpu.readOnce64(ptep)) & PAGE_PROTECT) !== 0n) return
    const vpn = Math.floor(addr / this.k.geo.pageSize)
    yield* this.purge(this.k.mmOf(vma), vpn, vpn + 1, true)
  }

  // ---- address spaces ---------------------------------------------------------------------------------------------

  /** The user's control element is not left loaded for a kernel thread here. */
  override *enterLazyTlb(): Step<void> {
    yield* this.switchMmIrqsOff(phys(0))
  }

  /** Of s390 switch_mm() and finish_arch_post_lock_switch(). */
  override *switchMmIrqsOff(mm: PhysAddr): Step<void> {
    const at = this.cpu.area + CPU_STATE.at.currentMm
    const previous = peek32(at)
    if (previous === mm) return
    const bit = 1n << BigInt(this.cpu.id)
    // Full barrier: this CPU's bit before it looks at flushCount. Whoever found itself the only one attached and puts a
    // purge off has counted before it looked at the mask. Pairs with flushBegins().
    if (mm !== 0) yield* this.cpu.atomicFetchOr64(phys(mm + S390_CONTEXT.at.attachMask), bit)
    poke32(at, 0)
    if (previous !== 0) yield* this.cpu.atomicFetchAnd64(phys(previous + S390_CONTEXT.at.attachMask), ~bit)
    if (mm === 0) return
    this.cpu.preemptDisable()
    yield* this.awaitFlushes(mm)
    yield* this.cpu.atomicFetchOr64(phys(mm + AT.cpumask), bit)
    yield* this.payDebtOnAttach(mm)
    this.loadAsce(mm)
    this.cpu.preemptEnable()
  }

  /** Whoever decides by the masks that nobody else is attached has decided before this CPU is. */
  protected *awaitFlushes(mm: PhysAddr): Step<void> {
    yield* this.cpu.waitUntil(phys(mm + S390_CONTEXT.at.flushCount), isZero, 0)
  }

  protected *payDebtOnAttach(mm: PhysAddr): Step<void> {
    yield* this.tlbFlushMmLazy(mm)
  }

  /**
   * Loads the user's address-space control element: where the hardware begins its walks, and at which level. Into
   * control register 1, and 7 in secondary-space mode, where register 1 has the kernel's (316ec1548109, v5.7).
   */
  loadAsce(mm: PhysAddr): void {
    const { area } = this.cpu
    poke32(area + S390_CPU_STATE.at.asceTop, peek32(mm + AT.pgd))
    poke32(area + S390_CPU_STATE.at.asceLevel, peek32(mm + AT.topLevel))
    poke32(area + CPU_STATE.at.currentMm, mm)
    if (!this.inSecondarySpace()) poke32(area + S390_CPU_STATE.at.primaryTop, peek32(mm + AT.pgd))
  }

  /** mm_segment is USER_DS_SACF: an interrupt may have come in the middle of a user access of the kernel. */
  protected inSecondarySpace(): boolean {
    return peek32(this.cpu.area + S390_CPU_STATE.at.secondary) !== 0
  }

  override isLoaded(mm: PhysAddr): boolean {
    return peek32(mm + S390_CONTEXT.at.attachMask) !== 0 || peek32(mm + S390_CONTEXT.at.attachMask + 4) !== 0
  }
}
