/**
 * Changes of page-table entries: every store to a table goes through here, and observers hear of each.
 *
 * Source: arch/x86/include/asm/pgtable.h, arch/x86/mm/pgtable.c, mm/pgtable-generic.c (v6.12).
 *
 * set_pte_at() and its like are plain stores on x86-64. They are exchanges here: the old value is for the observers,
 * and the full barrier that comes with it is stronger than needed; what orders a store for other CPUs is said by the
 * callers.
 */
import { type PhysAddr, type PteWord, type Table, type VirtAddr } from '../../base/units.js'
import type { Cpu } from '../../machine/cpu/cpu.js'
import type { Step } from '../../machine/engine/engine.js'
import { Level, type UpperLevel } from '../level.js'
import type { ArchHost } from '../host.js'
import { emptyEntry, pmdMkinvalid, pteAccessible, pteSame, pteWrprotect, tableEntry } from '../entry.js'

export class PtOps {
  /** CONFIG_HAVE_MOVE_PMD: a pointer to a table may be moved to another entry. */
  readonly haveMovePmd: boolean = true
  protected readonly k: ArchHost
  protected readonly cpu: Cpu

  constructor(k: ArchHost) {
    this.k = k
    this.cpu = k.cpu
  }

  // ---- PTE --------------------------------------------------------------------------------------------------------

  *setPteAt(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<void> {
    yield* this.exchange(Level.pte, mm, addr, ptep, pte)
  }

  /** pte_clear() of an entry that is not present. */
  *pteClear(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    yield* this.exchange(Level.pte, mm, addr, ptep, emptyEntry(Level.pte))
  }

  /** Returns the old entry, accessed and dirty bits that the hardware set up to now included. Does not flush. */
  *ptepGetAndClear(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* this.exchange(Level.pte, mm, addr, ptep, emptyEntry(Level.pte))
  }

  /** Of a zap; `full`: the whole address space goes, and no CPU is attached to it any more. */
  *ptepGetAndClearFull(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, _full: boolean): Step<PteWord> {
    return yield* this.ptepGetAndClear(mm, addr, ptep)
  }

  /**
   * ptep_clear_flush(): ptep_get_and_clear(), then a flush of the page if the old entry could be in a TLB
   * (pte_accessible()).
   */
  *ptepClearFlush(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    const old = yield* this.ptepGetAndClear(this.k.mmOf(vma), addr, ptep)
    if (pteAccessible(old, this.k.mmTlbFlushPending(this.k.mmOf(vma)))) yield* this.k.tlbFlush.flushTlbPage(vma, addr)
    return old
  }

  /** Write-protects a live entry without losing a dirty bit that the hardware sets meanwhile. Does not flush. */
  *ptepSetWrprotect(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    yield* this.wrprotect(Level.pte, mm, addr, ptep)
  }

  /** Makes a live entry more permissive; true if it changed. Without `dirty` x86 leaves it to the hardware. */
  *ptepSetAccessFlags(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, entry: PteWord, dirty: boolean): Step<boolean> {
    return yield* this.setAccessFlags(Level.pte, vma, addr, ptep, entry, dirty)
  }

  /** Opens a protection change: the entry is taken out, so that the hardware cannot set bits in it meanwhile. */
  *ptepModifyProtStart(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    return yield* this.ptepGetAndClear(this.k.mmOf(vma), addr, ptep)
  }

  *ptepModifyProtCommit(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, _old: PteWord, pte: PteWord): Step<void> {
    yield* this.setPteAt(this.k.mmOf(vma), addr, ptep, pte)
  }

  // ---- PMD --------------------------------------------------------------------------------------------------------

  *setPmdAt(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, pmd: PteWord): Step<void> {
    yield* this.exchange(Level.pmd, mm, addr, pmdp, pmd)
  }

  /** Points the entry to PTE table `table`. The caller has ordered the table's contents before this store. */
  *pmdPopulate(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, table: Table): Step<void> {
    yield* this.exchange(Level.pmd, mm, addr, pmdp, tableEntry(Level.pmd, table))
  }

  *pmdpGetLockless(pmdp: PhysAddr): Step<PteWord> {
    return (yield* this.cpu.readOnce64(pmdp)) as PteWord
  }

  *pmdpHugeGetAndClear(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.exchange(Level.pmd, mm, addr, pmdp, emptyEntry(Level.pmd))
  }

  /** Of a zap, as ptepGetAndClearFull(). */
  *pmdpHugeGetAndClearFull(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, _full: boolean): Step<PteWord> {
    return yield* this.pmdpHugeGetAndClear(mm, addr, pmdp)
  }

  /** One atomic exchange; returns the old entry. */
  *pmdpEstablish(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, pmd: PteWord): Step<PteWord> {
    return yield* this.exchange(Level.pmd, mm, addr, pmdp, pmd)
  }

  /**
   * Makes a huge entry unusable for the hardware while software still sees a huge page, and flushes the huge range from
   * `addr`. Returns the old entry; after this call its accessed and dirty bits are final.
   */
  *pmdpInvalidate(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    const old = yield* this.pmdpInvalidateAd(vma, addr, pmdp)
    yield* this.k.tlbFlush.flushTlbRange(vma, addr, (addr + this.k.geo.pmdSize) as VirtAddr)
    return old
  }

  /** The exchange of pmdpInvalidate() alone; the caller flushes. */
  *pmdpInvalidateAd(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    const live = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    return yield* this.pmdpEstablish(this.k.mmOf(vma), addr, pmdp, pmdMkinvalid(live, this.k.geo.hpagePmdNr))
  }

  /** Takes a table out of the tree and flushes the range it translated; returns the old entry. */
  *pmdpCollapseFlush(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    const old = yield* this.pmdpHugeGetAndClear(this.k.mmOf(vma), addr, pmdp)
    yield* this.k.tlbFlush.flushTlbRange(vma, addr, (addr + this.k.geo.pmdSize) as VirtAddr)
    return old
  }

  *pmdpSetWrprotect(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<void> {
    yield* this.wrprotect(Level.pmd, mm, addr, pmdp)
  }

  *pmdpSetAccessFlags(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, entry: PteWord, dirty: boolean): Step<boolean> {
    return yield* this.setAccessFlags(Level.pmd, vma, addr, pmdp, entry, dirty)
  }

  *pmdClear(mm: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<void> {
    yield* this.exchange(Level.pmd, mm, addr, pmdp, emptyEntry(Level.pmd))
  }

  // ---- upper levels: 3 a PUD entry … 5 --------------------------------------------------------------------------

  /** Points the entry to table `table`. The caller has ordered the table's contents before this store. */
  *upperPopulate(level: UpperLevel, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, table: Table): Step<void> {
    yield* this.exchange(level, mm, addr, entry, tableEntry(level, table))
  }

  *upperClear(level: UpperLevel, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr): Step<void> {
    yield* this.exchange(level, mm, addr, entry, emptyEntry(level))
  }

  // ---- shared forms -----------------------------------------------------------------------------------------------

  protected *exchange(level: number, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, next: PteWord): Step<PteWord> {
    this.k.observer.entryChanging(this.cpu, level, mm, addr, entry, next)
    const old = (yield* this.cpu.xchg64(entry, next)) as PteWord
    this.k.observer.entryChanged(this.cpu, level, mm, addr, entry, old, next)
    return old
  }

  protected *wrprotect(level: number, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr): Step<void> {
    let old = (yield* this.cpu.readOnce64(entry)) as PteWord
    this.k.observer.entryChanging(this.cpu, level, mm, addr, entry, pteWrprotect(old))
    for (;;) {
      const next = pteWrprotect(old)
      const seen = (yield* this.cpu.cmpxchg64(entry, old, next)) as PteWord
      if (pteSame(seen, old)) return this.k.observer.entryChanged(this.cpu, level, mm, addr, entry, old, next)
      old = seen
    }
  }

  protected *setAccessFlags(
    level: number,
    vma: PhysAddr,
    addr: VirtAddr,
    entry: PhysAddr,
    next: PteWord,
    dirty: boolean,
  ): Step<boolean> {
    const old = (yield* this.cpu.readOnce64(entry)) as PteWord
    if (pteSame(old, next)) return false
    if (dirty) yield* this.exchange(level, this.k.mmOf(vma), addr, entry, next)
    return true
  }
}
