/**
 * Unmapping: clear entries into a gather, then free the tables that became unreachable.
 *
 * Source: mm/memory.c zap_page_range_single(), unmap_page_range(), free_pgtables() (v6.12; PT_RECLAIM of v6.14 left out: a
 * DONTNEED keeps its tables). Left out: hugetlb, device and PFN mappings, soft-dirty and uffd markers, delayed rmap.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isMigrationEntry,
  isSwapPmd,
  pmdLeaf,
  pmdNone,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  swpOffsetPfn,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/image.js'
import { Part } from './kernel.js'
import { MM, VMA } from './mmStruct.js'

export class Zap extends Part {
  /**
   * MADV_DONTNEED of start … end in one VMA: its own gather. Caller: mmap_lock, for read is enough.
   */
  *zapPageRange(mm: PhysAddr, vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    yield* this.k.gather.tlbGatherMmu(mm, false)
    yield* this.unmapPageRange(vma, start, end)
    yield* this.k.gather.tlbFinishMmu()
  }

  /** Every VMA from `first` that overlaps start … end. Inside a gather. */
  *unmapVmas(_mm: PhysAddr, first: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    for (let vma = first; vma !== 0 && peekF64(vma + VMA.at.start) < end; vma = phys(peek32(vma + VMA.at.next))) {
      const from = Math.max(start, peekF64(vma + VMA.at.start)) as VirtAddr
      const to = Math.min(end, peekF64(vma + VMA.at.end)) as VirtAddr
      if (from < to) yield* this.unmapPageRange(vma, from, to)
    }
  }

  *unmapPageRange(vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    const mm = this.k.mmOf(vma)
    for (let addr = start; addr < end;) {
      const next = this.k.geo.pmdAddrEnd(addr, end)
      const pmdp = yield* this.k.upper.findPmd(mm, addr)
      if (pmdp === 0) {
        addr = yield* this.k.upper.behindMissing(mm, addr, end)
        continue
      }
      yield* this.#zapPmd(vma, pmdp, addr, next)
      addr = next
    }
  }

  *#zapPmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, end: VirtAddr): Step<void> {
    // Peeked at without a lock: what is decided from it is checked again under one. Empty means nothing is here, and it
    // stays so for this call: nobody may let a live huge entry pass through empty under mmap_lock for read (I1).
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdNone(pmd)) return
    if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
      if (end - addr === this.k.geo.pmdSize) {
        if (yield* this.k.huge.zapHugePmd(vma, pmdp, addr)) return
      } else yield* this.k.huge.splitHugePmd(vma, pmdp, addr, false, phys(0))
    }
    yield* this.#zapPtes(vma, pmdp, addr, end)
  }

  /** zap_pte_range(). Drops the lock when the batch is full, flushes, releases, and goes on. */
  *#zapPtes(vma: PhysAddr, pmdp: PhysAddr, from: VirtAddr, end: VirtAddr): Step<void> {
    const { pageSize } = this.k.geo
    const mm = this.k.mmOf(vma)
    for (let addr = from; addr < end;) {
      const first = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
      if (first === 0) return
      let ptep = first
      while (addr < end && !this.k.gather.pagesFull) {
        yield* this.#zapPte(mm, addr, ptep)
        addr = (addr + pageSize) as VirtAddr
        ptep = phys(ptep + 8)
      }
      // Full: the TLBs forget the pages before the lock goes, since whoever takes it next may draw conclusions from the
      // empty entries without flushing (G6).
      const full = this.k.gather.pagesFull
      if (full) yield* this.k.gather.tlbFlushMmuTlbonly()
      yield* this.k.tables.pteUnmapUnlock(first)
      if (full) yield* this.k.gather.tlbFlushMmu()
    }
  }

  *#zapPte(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteNone(pte)) return
    if (!ptePresent(pte)) return yield* this.#zapNonPresent(mm, addr, ptep, pte)
    const old = yield* this.k.ops.ptepGetAndClear(mm, addr, ptep)
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
    if (pteSpecial(old)) return
    const page = this.k.memmap.page(ptePfn(old))
    yield* this.k.rmap.folioRemoveRmapPte(page)
    this.#countRss(mm, page, -1)
    yield* this.releasePage(page)
  }

  /** Z1: the reference of a mapping is dropped only after every TLB that may contain it was flushed. */
  protected *releasePage(page: PhysAddr): Step<void> {
    yield* this.k.gather.tlbRemovePage(page)
  }

  *#zapNonPresent(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<void> {
    if (isMigrationEntry(pte)) this.#countRss(mm, this.k.memmap.page(swpOffsetPfn(pte)), -1)
    yield* this.k.ops.pteClear(mm, addr, ptep)
  }

  #countRss(mm: PhysAddr, page: PhysAddr, delta: number): void {
    const counter = this.k.folios.isAnonPage(page) ? MM.at.rssAnon : MM.at.rssFile
    this.k.tables.addCounter(phys(mm + counter), delta)
  }
}
