/**
 * Unmapping: clear entries into a gather, then free the tables that became unreachable.
 *
 * Source: mm/memory.c zap_page_range_single(), unmap_page_range(), free_pgtables() (v6.12; PT_RECLAIM of v6.14 left out: a
 * DONTNEED keeps its tables). Left out: hugetlb, device and PFN mappings, soft-dirty and uffd markers, delayed rmap.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { entryTable, pmdLeaf, pteNone, ptePfn, ptePresent, pteSpecial } from '../arch/x86_64/pte.js'
import { isMigrationEntry, isSwapPmd, swpOffsetPfn } from '../arch/x86_64/swap.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/image.js'
import { Level } from '../machine/trace/observer.js'
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
      const pmdp = yield* this.k.tables.mmFindPmd(mm, addr)
      if (pmdp === 0) {
        addr = yield* this.#nextTable(mm, addr, end)
        continue
      }
      yield* this.#zapPmd(vma, pmdp, addr, next)
      addr = next
    }
  }

  /** First address behind the missing upper table at `addr`. */
  *#nextTable(mm: PhysAddr, addr: VirtAddr, end: VirtAddr): Step<VirtAddr> {
    const pgd = (yield* this.cpu.readOnce64(this.k.tables.pgdOffset(mm, addr))) as PteWord
    return ptePresent(pgd) ? this.k.geo.pudAddrEnd(addr, end) : this.k.geo.pgdAddrEnd(addr, end)
  }

  *#zapPmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, end: VirtAddr): Step<void> {
    // Peeked at without a lock: what is decided from it is checked again under one. Empty means nothing is here, and it
    // stays so for this call: nobody may let a live huge entry pass through empty under mmap_lock for read (I1).
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pteNone(pmd)) return
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
    yield* this.k.ops.setPteAt(mm, addr, ptep, 0n as PteWord)
  }

  #countRss(mm: PhysAddr, page: PhysAddr, delta: number): void {
    const counter = this.k.folios.isAnonPage(page) ? MM.at.rssAnon : MM.at.rssFile
    this.k.tables.addCounter(phys(mm + counter), delta)
  }

  // ---- tables -----------------------------------------------------------------------------------------------------

  /**
   * free_pgtables(): unlinks every table that translates part of start … end and nothing outside floor … ceiling, and
   * gives it to the gather. Caller: the VMAs are gone or write-locked, so nobody faults a page into them.
   */
  *freePgtables(mm: PhysAddr, start: VirtAddr, end: VirtAddr, floor: VirtAddr, ceiling: VirtAddr): Step<void> {
    for (let addr = start; addr < end; addr = this.k.geo.pgdAddrEnd(addr, end)) {
      const pgdp = this.k.tables.pgdOffset(mm, addr)
      const pgd = (yield* this.cpu.readOnce64(pgdp)) as PteWord
      if (!ptePresent(pgd)) continue
      const stop = this.k.geo.pgdAddrEnd(addr, end)
      for (let at = addr; at < stop; at = this.k.geo.pudAddrEnd(at, stop))
        yield* this.#freePmdTable(
          mm,
          this.k.tables.pudOffset(pgd, at),
          at,
          this.k.geo.pudAddrEnd(at, stop),
          floor,
          ceiling,
        )
      if (!inside(addr, this.k.geo.pgdirSize, floor, ceiling)) continue
      yield* this.k.ops.pgdClear(mm, addr, pgdp)
      yield* this.k.gather.tlbRemoveTable(entryTable(pgd), addr, Level.pud)
    }
  }

  *#freePmdTable(
    mm: PhysAddr,
    pudp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    floor: number,
    ceiling: number,
  ): Step<void> {
    const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
    if (!ptePresent(pud)) return
    for (let addr = start; addr < end; addr = this.k.geo.pmdAddrEnd(addr, end))
      yield* this.#freePteTable(mm, this.k.tables.pmdOffset(pud, addr), addr, floor, ceiling)
    if (!inside(start, this.k.geo.pudSize, floor, ceiling)) return
    yield* this.k.ops.pudClear(mm, start, pudp)
    yield* this.k.gather.tlbRemoveTable(entryTable(pud), start, Level.pmd)
  }

  /** The table's own lock is not taken: no walker that would need it may exist (dossier 4.3, step 5). */
  *#freePteTable(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, floor: number, ceiling: number): Step<void> {
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (!ptePresent(pmd) || pmdLeaf(pmd) || !inside(addr, this.k.geo.pmdSize, floor, ceiling)) return
    yield* this.k.ops.pmdClear(mm, addr, pmdp)
    yield* this.k.gather.tlbRemoveTable(entryTable(pmd), addr, Level.pte)
    this.k.tables.mmDecNrPtes(mm)
  }
}

/** Whether the aligned span of `bytes` around `addr` lies in floor … ceiling. */
function inside(addr: number, bytes: number, floor: number, ceiling: number): boolean {
  const first = Math.floor(addr / bytes) * bytes
  return first >= floor && first + bytes <= ceiling
}
