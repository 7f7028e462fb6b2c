/**
 * khugepaged and MADV_COLLAPSE: small anonymous pages are copied into a huge one, which takes their place.
 *
 * Source: mm/khugepaged.c collapse_huge_page() and below, madvise_collapse() (v6.12). The order is the argument (C2):
 * table detached, then reference counts judged, then contents copied, then entries cleared, then the table deposited.
 * Between detaching and the end the PMD is none though the range is not empty (C1); mmap_lock and the anon_vma lock,
 * both for write, keep everybody away who would act on that, and gup_fast falls back to mmap_lock.
 *
 * Left out:
 * - file and shmem collapse, and with it the retraction of tables: no file folio is large here
 * - swap-in (there is no swap), uffd, mmu notifiers (no secondary MMU), per-VMA locks (faults take mmap_lock)
 * - LRU lists: an isolated folio is locked and referenced, which excludes split, migration, reclaim as isolation does
 * - machine checks while copying: a copy cannot fail, so there is no rollback after it has begun
 * - mm_slots: whoever has a range scanned is a user of the mm or keeps one
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { entryTable, pmdNone, pteNone, ptePfn, ptePresent } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { Scan, Tally, type CollapseControl } from './collapseScan.js'
import { EAGAIN, EBUSY, EINVAL, ENOMEM, MM, VMA } from './mmStruct.js'
import { NO_PAGE, PAGE } from './page.js'
import { Part } from './part.js'

export { Scan } from './collapseScan.js'

export class Khugepaged extends Part {
  /**
   * khugepaged_scan_mm_slot(): one pass of khugepaged over `mm`; returns how many ranges it collapsed. Caller: a user
   * of the mm; no locks.
   */
  *khugepagedScanMmSlot(mm: PhysAddr): Step<number> {
    let collapsed = 0
    for (let haddr = yield* this.nextRange(mm, 0); haddr >= 0;) {
      if ((yield* this.hpageCollapseScanPmd(mm, haddr)) === Scan.succeed) collapsed++
      haddr = yield* this.nextRange(mm, haddr + this.k.geo.pmdSize)
    }
    return collapsed
  }

  /** Part of khugepaged_scan_mm_slot(): first aligned range from `from` that a VMA allows to be huge, -1 for none. */
  protected *nextRange(mm: PhysAddr, from: number): Step<VirtAddr> {
    yield* this.k.mms.mmapReadLock(mm)
    let found = -1
    for (let vma = this.k.vmas.findVma(mm, from as VirtAddr); vma !== 0 && found < 0;) {
      const start = Math.max(from, peekF64(vma + VMA.at.start)) as VirtAddr
      const haddr = this.k.geo.pmdAlignUp(start)
      if (this.k.hugeFault.thpVmaAllowableOrder(vma, haddr)) found = haddr
      vma = this.k.vmas.next(vma)
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return found as VirtAddr
  }

  /**
   * hpage_collapse_scan_pmd(): scans the huge range around `addr` and collapses it if that is worth it. Returns a Scan;
   * all but `succeed` leave everything as it was. Caller: a user of the mm; no locks.
   */
  *hpageCollapseScanPmd(
    mm: PhysAddr,
    addr: VirtAddr,
    cc: CollapseControl = this.k.collapseScan.khugepagedControl,
  ): Step<Scan> {
    const haddr = this.k.geo.pmdAlignDown(addr)
    yield* this.k.mms.mmapReadLock(mm)
    const worth = yield* this.k.collapseScan.scanRange(mm, haddr, cc)
    yield* this.k.mms.mmapReadUnlock(mm)
    return worth === Scan.succeed ? yield* this.collapseHugePage(mm, haddr, cc) : worth
  }

  /**
   * collapse_huge_page(). The allocation may take long, so mmap_lock is not held: the scan's result is a hint from here
   * on.
   */
  protected *collapseHugePage(mm: PhysAddr, haddr: VirtAddr, cc: CollapseControl): Step<Scan> {
    const pfn = yield* this.k.pages.allocPages(this.k.geo.hpagePmdOrder, FrameKind.data)
    if (pfn === NO_PAGE) return Scan.allocHugePageFail
    const result = yield* this.collapseInto(mm, haddr, pfn, cc)
    if (result !== Scan.succeed) yield* this.k.folios.folioPut(this.k.memmap.page(pfn), 1)
    return result
  }

  /**
   * Part of collapse_huge_page(): revalidates twice: under mmap_lock for read, where upstream swaps in, and for write,
   * which is what counts.
   */
  protected *collapseInto(mm: PhysAddr, haddr: VirtAddr, pfn: Pfn, cc: CollapseControl): Step<Scan> {
    yield* this.k.mms.mmapReadLock(mm)
    const readable = yield* this.k.collapseScan.hugepageVmaRevalidate(mm, haddr, cc)
    const pmdp = readable === Scan.succeed ? yield* this.k.upper.mmFindPmd(mm, haddr) : phys(0)
    const state = readable === Scan.succeed ? yield* this.k.collapseScan.checkPmdState(pmdp) : readable
    yield* this.k.mms.mmapReadUnlock(mm)
    if (state !== Scan.succeed) return state
    // For write: no fault, zap or gup slow path is in this mm from here to the unlock.
    yield* this.k.mms.mmapWriteLock(mm)
    const result = yield* this.collapseLocked(mm, haddr, pmdp, pfn, cc)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return result
  }

  /** Part of collapse_huge_page(). */
  protected *collapseLocked(mm: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, pfn: Pfn, cc: CollapseControl): Step<Scan> {
    const valid = yield* this.k.collapseScan.hugepageVmaRevalidate(mm, haddr, cc)
    if (valid !== Scan.succeed) return valid
    const state = yield* this.checkPmdStillValid(mm, haddr, pmdp)
    if (state !== Scan.succeed) return state
    const vma = this.k.vmas.vmaLookup(mm, haddr)
    const anonVma = phys(peek32(vma + VMA.at.anonVma))
    yield* this.k.vmaLock.vmaStartWrite(vma)
    // For write: no rmap walk is in the table that is about to be detached, and none begins.
    yield* this.k.anonVmas.anonVmaLockWrite(anonVma)
    const table = yield* this.detachTable(vma, haddr, pmdp)
    yield* this.excludeGupFast()
    const first = this.k.tables.pteOffset(table, haddr)
    const result = yield* this.isolateLocked(first, pfn, cc)
    if (result !== Scan.succeed) yield* this.reattachTable(vma, haddr, pmdp, table)
    // Succeeded, all folios are locked: whoever walks the rmap for one of them needs its lock first, or finds the PMD
    // none and nothing to do.
    yield* this.k.anonVmas.anonVmaUnlockWrite(anonVma)
    if (result === Scan.succeed) yield* this.installHuge(vma, haddr, pmdp, first, pfn)
    return result
  }

  /**
   * check_pmd_still_valid(): the tables may have been freed and built anew while mmap_lock was not held: the same entry
   * must lead there.
   */
  protected *checkPmdStillValid(mm: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<Scan> {
    const now = yield* this.k.upper.mmFindPmd(mm, haddr)
    return now === pmdp ? yield* this.k.collapseScan.checkPmdState(now) : Scan.fail
  }

  // ---- the table is taken away ------------------------------------------------------------------------------------

  /**
   * Part of collapse_huge_page(): pmdp_collapse_flush(): table → none, and a flush. After it no TLB leads to the small
   * pages through this mm, so nobody writes to them while they are copied, and no huge translation can meet a small
   * one.
   */
  protected *detachTable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    yield* this.k.tables.pmdLock(pmdp)
    const table = yield* this.k.ops.pmdpCollapseFlush(vma, haddr, pmdp)
    yield* this.k.tables.pmdUnlock(pmdp)
    return table
  }

  /**
   * Part of collapse_huge_page(): tlb_remove_table_sync_one(): waits until every gup_fast that found the table before
   * it was detached has left its IRQ-off section. The flush does not: it may be a broadcast that interrupts nobody.
   * After this, all references such walkers took are visible to isRefcountSuitable(), and nobody is in the table, which
   * will be deposited and may then be freed at once (D2, D4; BUG-02, BUG-03).
   */
  protected *excludeGupFast(): Step<void> {
    yield* this.k.tlbFlush.tlbRemoveTableSyncOne()
  }

  /**
   * Part of collapse_huge_page(): rollback: none → the table as it was. Caller: anon_vma lock still held, so nobody has
   * acted on the none.
   */
  protected *reattachTable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, table: PteWord): Step<void> {
    yield* this.k.tables.pmdLock(pmdp)
    yield* this.checkStillNone(pmdp)
    yield* this.k.ops.pmdPopulate(this.k.mmOf(vma), haddr, pmdp, entryTable(table))
    yield* this.k.tables.pmdUnlock(pmdp)
  }

  // ---- the pages are isolated -------------------------------------------------------------------------------------

  /** Part of collapse_huge_page(): all folios locked and referenced, on the list of page `pfn`; or none of them. */
  protected *isolateLocked(first: PhysAddr, pfn: Pfn, cc: CollapseControl): Step<Scan> {
    yield* this.k.tables.pteLock(first)
    const result = yield* this.collapseHugePageIsolate(first, this.k.memmap.page(pfn), cc)
    yield* this.k.tables.pteUnlock(first)
    // Before the table is back: harmless while the anon_vma lock is held, since only an rmap walk could want them.
    if (result !== Scan.succeed) yield* this.releasePtePages(this.k.memmap.page(pfn))
    return result
  }

  /** __collapse_huge_page_isolate(). */
  protected *collapseHugePageIsolate(first: PhysAddr, list: PhysAddr, cc: CollapseControl): Step<Scan> {
    const tally = new Tally(cc)
    poke32(list + PAGE.at.lruNext, 0)
    for (let i = 0; i < this.k.geo.hpagePmdNr; i++) {
      const pte = (yield* this.cpu.readOnce64(phys(first + i * 8))) as PteWord
      if (this.k.collapseScan.isHole(pte)) tally.hole()
      else if (!ptePresent(pte)) tally.result = Scan.pteNonPresent
      else {
        const folio = yield* this.k.folios.compoundHead(this.k.memmap.page(ptePfn(pte)))
        yield* this.k.collapseScan.tallyPte(tally, pte, folio)
        if (tally.result === Scan.succeed && !this.isListed(list, folio))
          tally.result = yield* this.isolateFolio(list, folio)
      }
      if (tally.result !== Scan.succeed) return tally.result
    }
    return tally.verdict()
  }

  /** Part of __collapse_huge_page_isolate(): only a large folio has more than one entry, and may be on the list. */
  protected isListed(list: PhysAddr, folio: PhysAddr): boolean {
    if (!this.k.folios.isLarge(folio)) return false
    let at = peek32(list + PAGE.at.lruNext)
    while (at !== 0 && at !== folio) at = peek32(at + PAGE.at.lruNext)
    return at !== 0
  }

  /**
   * Part of __collapse_huge_page_isolate(): a folio that somebody else uses must not be copied: writes through that
   * reference would be lost.
   */
  protected *isolateFolio(list: PhysAddr, folio: PhysAddr): Step<Scan> {
    const { folios } = this.k
    if (!folios.isAnon(folio)) return Scan.pageAnon
    if (!(yield* folios.folioTrylock(folio))) return Scan.pageLock
    if (!(yield* this.k.collapseScan.isRefcountSuitable(folio))) {
      yield* folios.folioUnlock(folio)
      return Scan.pageCount
    }
    yield* folios.folioGet(folio, 1)
    poke32(folio + PAGE.at.lruNext, peek32(list + PAGE.at.lruNext))
    poke32(list + PAGE.at.lruNext, folio)
    return Scan.succeed
  }

  /** release_pte_pages(): unlocks the folios of the list and drops the references that isolated them. */
  protected *releasePtePages(list: PhysAddr): Step<void> {
    for (let folio = phys(peek32(list + PAGE.at.lruNext)); folio !== 0;) {
      const next = phys(peek32(folio + PAGE.at.lruNext))
      yield* this.k.folios.folioUnlock(folio)
      yield* this.k.folios.folioPut(folio, 1)
      folio = next
    }
    poke32(list + PAGE.at.lruNext, 0)
  }

  // ---- the huge page takes over -----------------------------------------------------------------------------------

  /**
   * Part of collapse_huge_page(): from here on nothing can fail. Caller: mmap_lock for write; the folios of the table
   * are locked.
   */
  protected *installHuge(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, first: PhysAddr, pfn: Pfn): Step<void> {
    const { hugeFault, memmap, tables } = this.k
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(vma))
    const folio = memmap.page(pfn)
    yield* this.collapseHugePageCopy(first, pfn)
    yield* this.collapseHugePageCopySucceeded(vma, haddr, first)
    yield* this.releasePtePages(folio)
    yield* hugeFault.folioMarkUptodate(folio)
    yield* tables.pmdLock(pmdp)
    yield* this.checkStillNone(pmdp)
    // The table is empty, and since excludeGupFast() nobody is in it: it may wait for a split, or be freed.
    yield* hugeFault.mapAnonFolioPmd(vma, haddr, pmdp, pfn, memmap.tableAt(first))
    yield* tables.pmdUnlock(pmdp)
  }

  /**
   * __collapse_huge_page_copy(): nobody can write to the pages: there is no TLB entry and no path for them in this mm,
   * and other mms copy on write.
   */
  protected *collapseHugePageCopy(first: PhysAddr, pfn: Pfn): Step<void> {
    for (let i = 0; i < this.k.geo.hpagePmdNr; i++) {
      const pte = (yield* this.cpu.readOnce64(phys(first + i * 8))) as PteWord
      if (this.k.collapseScan.isHole(pte)) yield* this.k.pages.clearPage((pfn + i) as Pfn)
      else {
        yield* this.k.pages.copyPage((pfn + i) as Pfn, ptePfn(pte))
        this.k.observer.contentsMoved(this.cpu, pfn + i, ptePfn(pte))
      }
    }
  }

  /** __collapse_huge_page_copy_succeeded(): the small mappings go, and their references with them. */
  protected *collapseHugePageCopySucceeded(vma: PhysAddr, haddr: VirtAddr, first: PhysAddr): Step<void> {
    const { geo, tables } = this.k
    const mm = this.k.mmOf(vma)
    for (let i = 0; i < geo.hpagePmdNr; i++) {
      const ptep = phys(first + i * 8)
      const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
      if (this.k.collapseScan.isHole(pte)) tables.addCounter(phys(mm + MM.at.rssAnon), 1)
      if (!pteNone(pte)) yield* this.clearPte(mm, (haddr + i * geo.pageSize) as VirtAddr, ptep, pte)
    }
  }

  /** Part of __collapse_huge_page_copy_succeeded(). */
  protected *clearPte(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<void> {
    const { folios, tables } = this.k
    const page = this.k.collapseScan.isHole(pte) ? phys(0) : this.k.memmap.page(ptePfn(pte))
    yield* tables.pteLock(ptep)
    yield* this.k.ops.ptepGetAndClear(mm, addr, ptep)
    if (page !== 0) yield* this.k.rmap.folioRemoveRmapPte(page)
    yield* tables.pteUnlock(ptep)
    if (page !== 0) yield* folios.folioPut(yield* folios.compoundHead(page), 1)
  }

  /** Part of collapse_huge_page(): BUG_ON(!pmd_none(*pmd)). */
  protected *checkStillNone(pmdp: PhysAddr): Step<void> {
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdNone(pmd)) return
    this.cpu.report('kernel-bug', 'kernel BUG at mm/khugepaged.c: !pmd_none(*pmd) in collapse_huge_page()', pmdp, [
      `somebody took the detached range for an empty one: 0x${pmd.toString(16)}`,
    ])
  }

  // ---- MADV_COLLAPSE ----------------------------------------------------------------------------------------------

  /**
   * madvise_collapse(): every aligned range in start … end, at once and without khugepaged's limits. 0 when all of them
   * are huge, else the errno of the last that is not. Caller: a user of the mm; no locks.
   */
  *madviseCollapse(mm: PhysAddr, start: VirtAddr, end: VirtAddr): Step<number> {
    const { geo } = this.k
    if (!(yield* this.madviseAllowed(mm, start))) return -EINVAL
    yield* this.k.lru.lruAddDrain()
    const [first, last] = [geo.pmdAlignUp(start), geo.pmdAlignDown(end)]
    let [huge, result]: [number, Scan] = [0, Scan.fail]
    for (let addr = first; addr < last; addr = (addr + geo.pmdSize) as VirtAddr) {
      const one = yield* this.hpageCollapseScanPmd(mm, addr, this.k.collapseScan.madviseControl)
      if (one === Scan.succeed || one === Scan.pmdMapped) huge++
      else result = one
      if (!continuesMadvise(one)) break
    }
    return huge * geo.pmdSize === last - first ? 0 : madviseCollapseErrno(result)
  }

  /**
   * Part of madvise_collapse(), thp_vma_allowable_order(): could the VMA hold any huge page at all? Its last range
   * stands for the others, and without an anon_vma nothing was ever there.
   */
  protected *madviseAllowed(mm: PhysAddr, start: VirtAddr): Step<boolean> {
    const { geo, hugeFault, mms, vmas } = this.k
    yield* mms.mmapReadLock(mm)
    const vma = vmas.vmaLookup(mm, start)
    const lastRange = vma === 0 ? 0 : geo.pmdAlignDown(peekF64(vma + VMA.at.end) as VirtAddr) - geo.pmdSize
    const touched = vma !== 0 && (yield* this.cpu.readOnce32(phys(vma + VMA.at.anonVma))) !== 0
    const allowed = touched && hugeFault.thpSuitable(vma, lastRange as VirtAddr)
    yield* mms.mmapReadUnlock(mm)
    return allowed
  }
}

/** Results after which madvise_collapse() tries the next range. */
const CONTINUE_MADVISE: readonly Scan[] = [
  Scan.succeed,
  Scan.pmdMapped,
  Scan.pmdNull,
  Scan.pteNonPresent,
  Scan.pageRo,
  Scan.lackReferencedPage,
  Scan.pageCount,
  Scan.pageLock,
]
const continuesMadvise = (result: Scan): boolean => CONTINUE_MADVISE.includes(result)

/** madvise_collapse_errno(): out of memory, busy for good, worth another try, or not possible. */
function madviseCollapseErrno(result: Scan): number {
  if (result === Scan.allocHugePageFail) return -ENOMEM
  if (result === Scan.exceedNonePte) return -EBUSY
  return result === Scan.pageCount || result === Scan.pageLock ? -EAGAIN : -EINVAL
}
