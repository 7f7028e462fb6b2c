/**
 * Changes of s390 page-table entries.
 *
 * Source: arch/s390/mm/pgtable.c ptep_xchg_direct() … pmdp_xchg_lazy(), arch/s390/include/asm/pgtable.h (v6.12, and
 * RDP).
 *
 * A valid entry that a CPU may be using is not changed by a store. IPTE (a PTE) and IDTE (a segment entry) set its
 * invalid bit and purge the translations made from it, on all CPUs or, when no other CPU can have one, on this CPU
 * alone; the new value then goes into an entry that no CPU looks at. The lazy forms, while this CPU is the only one
 * attached, set the bit by a store and leave the purge as a debt of the address space. When the address space dies
 * nobody is attached, and the "full" forms store the empty entry; the purge of the whole comes before its top table
 * goes.
 *
 * What a machine has besides IPTE is a choice (facilities.ts). Without IDTE a segment entry is made invalid by CSP,
 * which changes a word as a compare-and-swap does and purges every TLB. Left out: gmap and pgste.
 */
import { type PhysAddr, type PteWord, type VirtAddr, phys } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { Level } from '../../arch/level.js'
import { MM_CONTEXT } from '../../arch/context.js'
import { lowHalf } from '../../arch/halves.js'
import type { ArchHost } from '../../arch/host.js'
import { PtOps } from '../../arch/generic/ops.js'
import { hasFacility } from './facilities.js'
import {
  PAGE_INVALID,
  PAGE_PROTECT,
  PMD_EMPTY,
  PTE_EMPTY,
  pmdSame,
  pmdWrite,
  pmdWrprotect,
  pteSame,
  pteWrite,
  pteWrprotect,
  SEGMENT_INVALID,
} from './pte.js'
import type { S390TlbFlush } from './tlbFlush.js'
import { S390_CONTEXT } from './context.js'

export class S390PtOps extends PtOps {
  /** It would change a valid entry in use by a store. */
  override readonly haveMovePmd = false
  protected readonly flush: S390TlbFlush
  readonly #hasIdte: boolean
  readonly #hasLocalClearing: boolean
  readonly #hasRdp: boolean

  constructor(k: ArchHost) {
    super(k)
    this.flush = k.tlbFlush as S390TlbFlush
    this.#hasIdte = hasFacility(k, 'idte')
    this.#hasLocalClearing = hasFacility(k, 'localClearing')
    this.#hasRdp = hasFacility(k, 'rdp')
  }

  // ---- PTE --------------------------------------------------------------------------------------------------------

  override *ptepGetAndClear(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* this.xchg(Level.pte, mm, addr, ptep, PTE_EMPTY, true)
  }

  override *ptepGetAndClearFull(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, full: boolean): Step<PteWord> {
    return yield* full ? this.exchange(Level.pte, mm, addr, ptep, PTE_EMPTY) : this.ptepGetAndClear(mm, addr, ptep)
  }

  override *ptepClearFlush(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* this.xchg(Level.pte, this.k.mmOf(vma), addr, ptep, PTE_EMPTY, false)
  }

  override *ptepSetWrprotect(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteWrite(pte)) yield* this.xchg(Level.pte, mm, addr, ptep, pteWrprotect(pte), true)
  }

  override *ptepSetAccessFlags(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, entry: PteWord): Step<boolean> {
    const mm = this.k.mmOf(vma)
    const old = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteSame(old, entry)) return false
    if (this.#hasRdp && pteAllowRdp(old, entry)) yield* this.resetDatProtection(mm, addr, ptep, entry)
    else yield* this.xchg(Level.pte, mm, addr, ptep, entry, false)
    return true
  }

  /** The entry stays, invalid, until the commit. */
  override *ptepModifyProtStart(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* this.invalidate(Level.pte, this.k.mmOf(vma), addr, ptep, true)
  }

  // ---- PMD --------------------------------------------------------------------------------------------------------

  override *pmdpHugeGetAndClear(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.xchg(Level.pmd, mm, addr, pmdp, PMD_EMPTY, false)
  }

  override *pmdpHugeGetAndClearFull(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, full: boolean): Step<PteWord> {
    if (full) return yield* this.exchange(Level.pmd, mm, addr, pmdp, PMD_EMPTY)
    return yield* this.xchg(Level.pmd, mm, addr, pmdp, PMD_EMPTY, true)
  }

  override *pmdpEstablish(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, pmd: PteWord): Step<PteWord> {
    return yield* this.xchg(Level.pmd, mm, addr, pmdp, pmd, false)
  }

  override *pmdpInvalidate(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.pmdpInvalidateAd(vma, addr, pmdp)
  }

  override *pmdpCollapseFlush(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.pmdpHugeGetAndClear(this.k.mmOf(vma), addr, pmdp)
  }

  override *pmdpSetWrprotect(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<void> {
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdWrite(pmd)) yield* this.xchg(Level.pmd, mm, addr, pmdp, pmdWrprotect(pmd), true)
  }

  override *pmdpSetAccessFlags(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, entry: PteWord): Step<boolean> {
    const old = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdSame(old, entry)) return false
    yield* this.xchg(Level.pmd, this.k.mmOf(vma), addr, pmdp, entry, false)
    return true
  }

  // ---- shared forms -----------------------------------------------------------------------------------------------

  /**
   * Of both levels ptep_xchg_direct(), ptep_xchg_lazy() and their pmdp_ likes: invalid first, then `next`. Returns the
   * old entry.
   */
  protected *xchg(
    level: number,
    mm: PhysAddr,
    addr: VirtAddr,
    entry: PhysAddr,
    next: PteWord,
    lazy: boolean,
  ): Step<PteWord> {
    this.cpu.preemptDisable()
    const old = yield* this.invalidate(level, mm, addr, entry, lazy)
    yield* this.exchange(level, mm, addr, entry, next)
    this.cpu.preemptEnable()
    return old
  }

  /** Of both levels ptep_flush_direct(), ptep_flush_lazy(): makes the entry invalid and returns what it was. */
  protected *invalidate(level: number, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, lazy: boolean): Step<PteWord> {
    const old = (yield* this.cpu.readOnce64(entry)) as PteWord
    if ((old & invalidBit(level)) !== 0n) return old
    yield* this.flush.flushBegins(mm)
    if (lazy && (yield* this.flush.isOnly(mm, S390_CONTEXT.at.attachMask))) {
      yield* this.setInvalid(level, mm, addr, entry, old)
      yield* this.cpu.writeOnce32(phys(mm + S390_CONTEXT.at.flushMm), 1)
    } else {
      const local = !lazy && this.#hasLocalClearing && (yield* this.isLocal(mm))
      yield* this.invalidateAndPurge(level, mm, addr, entry, old, local)
    }
    yield* this.flush.flushEnds(mm)
    return old
  }

  /**
   * Nobody else has translations of `mm`, or gets them before flushEnds(). Caller: between flushBegins() and
   * flushEnds().
   *
   * attachMask, then cpumask. A CPU that comes is in attachMask before it looks at flushCount, and in cpumask only
   * after: cpumask alone misses one that is between the two. A CPU that goes leaves attachMask and stays in cpumask:
   * read in the other order, one that comes and goes in between is missed. Upstream asked for both until 64f31d5802af
   * (v4.8), and since then for cpumask alone: s390-attach-window in bug/s390.ts.
   */
  protected *isLocal(mm: PhysAddr): Step<boolean> {
    if (!(yield* this.flush.isOnly(mm, S390_CONTEXT.at.attachMask))) return false
    return yield* this.flush.isOnly(mm, MM_CONTEXT.at.cpumask)
  }

  /**
   * IPTE or IDTE. IDTE finds its entry by itself, from the origin of a table and the index of an address: it trusts
   * that the caller's pointer and address belong together.
   */
  protected *invalidateAndPurge(
    level: number,
    mm: PhysAddr,
    addr: VirtAddr,
    entry: PhysAddr,
    old: PteWord,
    local: boolean,
  ): Step<void> {
    if (level === Level.pmd && !this.#hasIdte) return yield* this.pmdpCsp(mm, addr, entry, old)
    const { geo } = this.k
    const found = level === Level.pmd ? this.idteOperand(addr, entry) : entry
    if (found === entry) yield* this.setInvalid(level, mm, addr, entry, old)
    else yield* this.cpu.atomicFetchOr64(found, SEGMENT_INVALID)
    const vpn = Math.floor(addr / geo.pageSize)
    const first = level === Level.pte ? vpn : vpn - (vpn % geo.hpagePmdNr)
    yield* this.flush.purge(mm, first, first + (level === Level.pte ? 1 : geo.hpagePmdNr), local)
  }

  /** Where IDTE looks: the origin is the pointer minus the address's index, rounded down to where a table can begin. */
  protected idteOperand(addr: VirtAddr, entry: PhysAddr): PhysAddr {
    const { geo, memmap } = this.k
    const offset = geo.pmdIndex(addr) * 8
    const bytes = geo.ptrsPerTable * 8
    const origin = Math.floor((entry - offset - memmap.frame(0)) / bytes) * bytes + memmap.frame(0)
    return phys(origin + offset)
  }

  /**
   * __pmdp_csp(): CSP on the half of the word that has the bit. It finds the entry by the pointer and not by the
   * address, and does nothing to one that has changed; the caller's lock keeps this one.
   */
  protected *pmdpCsp(mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, old: PteWord): Step<void> {
    const next = BigInt.asUintN(64, old | SEGMENT_INVALID) as PteWord
    this.k.observer.entryChanging(this.cpu, Level.pmd, mm, addr, entry, next)
    const swapped = yield* this.flush.csp(entry, lowHalf(old), lowHalf(next))
    if (swapped) this.k.observer.entryChanged(this.cpu, Level.pmd, mm, addr, entry, old, next)
  }

  /** Sets the invalid bit, and nothing else. */
  protected *setInvalid(level: number, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, old: PteWord): Step<void> {
    const bit = invalidBit(level)
    const next = BigInt.asUintN(64, old | bit) as PteWord
    this.k.observer.entryChanging(this.cpu, level, mm, addr, entry, next)
    const seen = (yield* this.cpu.atomicFetchOr64(entry, bit)) as PteWord
    this.k.observer.entryChanged(this.cpu, level, mm, addr, entry, seen, next)
  }

  /**
   * RDP: the entry loses its protection and stays valid. This CPU's translation is fixed; those of others may stay
   * protected, and their stores fault once more (flush_tlb_fix_spurious_fault()). They always do here.
   */
  protected *resetDatProtection(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, next: PteWord): Step<void> {
    yield* this.flush.flushBegins(mm)
    const old = (yield* this.cpu.readOnce64(ptep)) as PteWord
    this.k.observer.entryChanging(this.cpu, Level.pte, mm, addr, ptep, next)
    yield* this.cpu.atomicFetchAnd64(ptep, ~PAGE_PROTECT)
    const vpn = Math.floor(addr / this.k.geo.pageSize)
    yield* this.flush.purge(mm, vpn, vpn + 1, true)
    // Software bits of a valid entry, which a store may change.
    yield* this.cpu.writeOnce64(ptep, next)
    this.k.observer.entryChanged(this.cpu, Level.pte, mm, addr, ptep, old, next)
    yield* this.flush.flushEnds(mm)
  }
}

/** pte_allow_rdp(): protection goes, and beside it only what software keeps in the low byte changes. */
function pteAllowRdp(old: PteWord, next: PteWord): boolean {
  if ((old & PAGE_INVALID) !== 0n) return false
  return (old & PAGE_PROTECT) !== 0n && (next & PAGE_PROTECT) === 0n && ((old ^ next) & ~0x2ffn) === 0n
}

const invalidBit = (level: number): bigint => (level === Level.pte ? PAGE_INVALID : SEGMENT_INVALID)
