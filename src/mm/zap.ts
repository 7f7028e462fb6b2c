/**
 * Unmapping: clear entries into a gather, then free the tables that became unreachable.
 *
 * Source: mm/memory.c zap_page_range_single(), unmap_page_range(), free_pgtables() (v6.12), and with ptReclaim
 * mm/pt_reclaim.c (v6.14): MADV_DONTNEED takes tables away that it has emptied. Left out: hugetlb, device and PFN
 * mappings, soft-dirty and uffd markers, delayed rmap.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  PMD_EMPTY,
  entryTable,
  isMigrationEntry,
  isSwapPmd,
  pmdLeaf,
  pmdNone,
  pmdPresent,
  pteDirty,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  swpOffsetPfn,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { downRead, upRead } from '../sync/rwsem.js'
import { spinTrylock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { FILE, MM, VMA } from './mmStruct.js'
import { PG_DIRTY } from './page.js'

export class Zap extends Part {
  /**
   * zap_page_range_single(): MADV_DONTNEED of start … end in one VMA: its own gather. Caller: mmap_lock, for read is
   * enough.
   */
  *zapPageRangeSingle(mm: PhysAddr, vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    this.k.mms.mmapAssertLocked(mm)
    this.k.observer.contentsGivingUp(this.cpu, mm, start, end, -1)
    yield* this.k.gather.tlbGatherMmu(mm, false)
    yield* this.unmapPageRange(vma, start, end, this.k.config.ptReclaim)
    yield* this.k.gather.tlbFinishMmu()
    this.k.observer.contentsGivenUp(this.cpu, false)
  }

  /**
   * unmap_mapping_pages(): pages `first` … `first` + `count` - 1 of `file` are mapped nowhere, for a moment: what
   * truncation does first. No mmap_lock and no folio lock; that of the file's list keeps the VMAs, and their tables as
   * far as VMAs do. `evenCows`: private copies of the pages go as well.
   */
  *unmapMappingPages(file: PhysAddr, first: number, count: number, evenCows: boolean): Step<void> {
    const lock = phys(file + FILE.at.rwsem)
    yield* downRead(this.cpu, this.k.rcu, lock)
    for (let vma = phys(peek32(file + FILE.at.firstVma)); vma !== 0; vma = phys(peek32(vma + VMA.at.fileNext))) {
      const [start, end, base] = [VMA.at.start, VMA.at.end, VMA.at.pgoff].map((field) => peekF64(vma + field))
      const addressOf = (page: number): number => (start as number) + (page - (base as number)) * this.k.geo.pageSize
      const from = Math.max(start as number, addressOf(first)) as VirtAddr
      const to = Math.min(end as number, addressOf(first + count)) as VirtAddr
      if (from >= to) continue
      // A private mapping loses pages of its own, too.
      if (evenCows) this.k.observer.contentsGivingUp(this.cpu, this.k.mmOf(vma), from, to, -1)
      yield* this.k.gather.tlbGatherMmu(this.k.mmOf(vma), false)
      yield* this.unmapPageRange(vma, from, to, false, evenCows)
      yield* this.k.gather.tlbFinishMmu()
      if (evenCows) this.k.observer.contentsGivenUp(this.cpu, false)
    }
    yield* upRead(this.cpu, lock)
  }

  /** unmap_vmas(): start … end of the VMAs from `first`, taken out of the tree together. Inside a gather. */
  *unmapVmas(_mm: PhysAddr, first: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    for (
      let vma = first;
      vma !== 0 && peekF64(vma + VMA.at.start) < end;
      vma = phys(peek32(vma + VMA.at.nextDetached))
    ) {
      const from = Math.max(start, peekF64(vma + VMA.at.start)) as VirtAddr
      const to = Math.min(end, peekF64(vma + VMA.at.end)) as VirtAddr
      if (from < to) yield* this.unmapPageRange(vma, from, to)
    }
  }

  /** unmap_page_range(). Not `evenCows`: anonymous pages stay (zap_details). */
  *unmapPageRange(vma: PhysAddr, start: VirtAddr, end: VirtAddr, reclaim = false, evenCows = true): Step<void> {
    const mm = this.k.mmOf(vma)
    for (let addr = start; addr < end;) {
      const next = this.k.geo.pmdAddrEnd(addr, end)
      const pmdp = yield* this.k.upper.mmFindPmd(mm, addr)
      if (pmdp === 0) {
        addr = yield* this.k.upper.behindMissing(mm, addr, end)
        continue
      }
      yield* this.zapPmd(vma, pmdp, addr, next, reclaim, evenCows)
      addr = next
    }
  }

  /** Part of zap_pmd_range(). */
  protected *zapPmd(
    vma: PhysAddr,
    pmdp: PhysAddr,
    addr: VirtAddr,
    end: VirtAddr,
    reclaim: boolean,
    evenCows: boolean,
  ): Step<void> {
    // Peeked at without a lock: what is decided from it is checked again under one. Empty means nothing is here, and it
    // stays so for this call: nobody may let a live huge entry pass through empty under mmap_lock for read (I1).
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdNone(pmd)) return
    if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
      if (end - addr === this.k.geo.pmdSize) {
        if (yield* this.k.huge.zapHugePmd(vma, pmdp, addr)) return
      } else yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, addr, false, phys(0))
    }
    yield* this.zapPteRange(vma, pmdp, addr, end, reclaim && end - addr === this.k.geo.pmdSize, evenCows)
  }

  /**
   * zap_pte_range(). Drops the lock when the batch is full, flushes, releases, and goes on. With `reclaim`, which a
   * whole table's range has, the empty table goes as well.
   */
  protected *zapPteRange(
    vma: PhysAddr,
    pmdp: PhysAddr,
    from: VirtAddr,
    end: VirtAddr,
    reclaim: boolean,
    evenCows: boolean,
  ): Step<void> {
    const { pageSize } = this.k.geo
    const mm = this.k.mmOf(vma)
    let [dropped, pmd] = [false, PMD_EMPTY]
    for (let addr = from; addr < end;) {
      const first = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
      if (first === 0) return
      yield* this.k.tlbBatch.flushTlbBatchedPending(mm)
      let ptep = first
      while (addr < end && !this.k.gather.pagesFull) {
        yield* this.zapPte(mm, addr, ptep, evenCows)
        addr = (addr + pageSize) as VirtAddr
        ptep = phys(ptep + 8)
      }
      // Full: the TLBs forget the pages before the lock goes, since whoever takes it next may draw conclusions from the
      // empty entries without flushing (Z2).
      const full = this.k.gather.pagesFull
      if (full) yield* this.k.gather.tlbFlushMmuTlbonly()
      if (reclaim && addr >= end && this.knowsEmpty(dropped)) pmd = yield* this.tryGetAndClearPmd(mm, pmdp, from)
      yield* this.k.tables.pteUnmapUnlock(first)
      if (full) yield* this.k.gather.tlbFlushMmu()
      dropped ||= addr < end
    }
    if (reclaim && pmdNone(pmd)) pmd = yield* this.tryToFreePte(mm, pmdp, from)
    if (!pmdNone(pmd)) yield* this.freePte(mm, pmd, from)
  }

  // ---- empty tables (PT_RECLAIM) ------------------------------------------------------------------------------------

  /**
   * Part of zap_pte_range(): all entries were cleared under one hold of the lock, so nobody has filled one meanwhile
   * (f39edcf6349a, v6.18).
   */
  protected knowsEmpty(dropped: boolean): boolean {
    return !dropped
  }

  /**
   * try_get_and_clear_pmd(): with the table's lock held, and the PMD's only if it is to be had; the old entry or none.
   */
  protected *tryGetAndClearPmd(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<PteWord> {
    const { ops, tables } = this.k
    // The other way round than the order of locks, hence only tried.
    if (!(yield* spinTrylock(this.cpu, tables.pmdLockptr(pmdp)))) return PMD_EMPTY
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    yield* ops.pmdClear(mm, addr, pmdp)
    yield* tables.pmdUnlock(pmdp)
    return pmd
  }

  /** try_to_free_pte(): in the order of locks, when a look at every entry shows that the table is empty. */
  protected *tryToFreePte(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<PteWord> {
    const { geo, ops, tables } = this.k
    yield* tables.pmdLock(pmdp)
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    let taken = PMD_EMPTY
    if (pmdPresent(pmd) && !pmdLeaf(pmd)) {
      const first = tables.pteOffset(pmd, addr)
      yield* tables.pteLock(first)
      let empty = true
      for (let i = 0; empty && i < geo.ptrsPerPte; i++)
        empty = pteNone((yield* this.cpu.readOnce64(phys(first + i * 8))) as PteWord)
      if (empty) {
        yield* ops.pmdClear(mm, addr, pmdp)
        taken = pmd
      }
      yield* tables.pteUnlock(first)
    }
    yield* tables.pmdUnlock(pmdp)
    return taken
  }

  /** free_pte(). */
  protected *freePte(mm: PhysAddr, pmd: PteWord, addr: VirtAddr): Step<void> {
    yield* this.k.gather.pteFreeTlb(entryTable(pmd), addr)
    this.k.tables.mmDecNrPtes(mm)
  }

  // ---- entries ------------------------------------------------------------------------------------------------------

  /** Part of zap_pte_range(). */
  protected *zapPte(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, evenCows: boolean): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteNone(pte) || (!evenCows && this.isCow(pte))) return
    if (!ptePresent(pte)) return yield* this.zapNonPresent(mm, addr, ptep, pte)
    const old = yield* this.k.ops.ptepGetAndClearFull(mm, addr, ptep, this.k.gather.fullmm)
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
    if (pteSpecial(old)) return
    const page = this.k.memmap.page(ptePfn(old))
    if (pteDirty(old) && !this.k.folios.isAnonPage(page)) yield* this.k.folios.setFlag(page, PG_DIRTY)
    yield* this.k.rmap.folioRemoveRmapPte(page)
    this.countRss(mm, page, -1)
    yield* this.releasePage(page)
  }

  /** Not should_zap_folio(): an anonymous page, present or on its way to another frame. */
  protected isCow(pte: PteWord): boolean {
    if (!ptePresent(pte))
      return isMigrationEntry(pte) && this.k.folios.isAnonPage(this.k.memmap.page(swpOffsetPfn(pte)))
    return !pteSpecial(pte) && this.k.folios.isAnonPage(this.k.memmap.page(ptePfn(pte)))
  }

  /**
   * Part of zap_pte_range(): Z1: the reference of a mapping is dropped only after every TLB that may contain it was
   * flushed.
   */
  protected *releasePage(page: PhysAddr): Step<void> {
    yield* this.k.gather.tlbRemovePage(page)
  }

  /** Part of zap_pte_range(). */
  protected *zapNonPresent(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<void> {
    if (isMigrationEntry(pte)) this.countRss(mm, this.k.memmap.page(swpOffsetPfn(pte)), -1)
    yield* this.k.ops.pteClear(mm, addr, ptep)
  }

  /** Part of zap_pte_range(). */
  protected countRss(mm: PhysAddr, page: PhysAddr, delta: number): void {
    const counter = this.k.folios.isAnonPage(page) ? MM.at.rssAnon : MM.at.rssFile
    this.k.tables.addCounter(phys(mm + counter), delta)
  }
}
