/**
 * Advice about the folios of a range. Large ones that the range covers only partly are split first, so that the advice
 * is about whole folios. The first part of Madvise.
 *
 * Source: mm/madvise.c madvise_folio_pte_batch(), and what madvise_free_pte_range() and
 * madvise_cold_or_pageout_pte_range() have in common (v6.12).
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pteNone, ptePfn, ptePresent, pteSpecial } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { Part } from './part.js'

/** The range that one entry of the PMD level translates, and how far a walk of it has come. */
export interface AdvisedRange {
  readonly advice: 'free' | 'cold' | 'pageout'
  readonly vma: PhysAddr
  readonly pmdp: PhysAddr
  /** The entries to look at next: the first of them and, of one folio, how many. */
  addr: VirtAddr
  nr: number
  readonly end: VirtAddr
  /** MADV_PAGEOUT: folios that were isolated. */
  readonly isolated: PhysAddr[]
}

export abstract class MadviseFolio extends Part {
  /** The advice about a folio that range.nr entries from `ptep` map. Caller: the lock of their table. */
  protected abstract adviseFolio(range: AdvisedRange, ptep: PhysAddr, folio: PhysAddr): Step<void>

  /** A walk of PTEs. The lock goes while a folio is split, and the walk goes on with what it was split into. */
  protected *advisePtes(range: AdvisedRange): Step<void> {
    while (range.addr < range.end) {
      const large = yield* this.adviseLocked(range)
      if (large === 0) return
      const error = yield* this.k.splitFolio.splitFolio(large)
      yield* this.k.folios.folioUnlock(large)
      yield* this.k.folios.folioPut(large, 1)
      if (error !== 0) this.skip(range)
    }
  }

  /** Up to the first folio to split, which is locked and referenced then; 0: the end of the range, or no table. */
  protected *adviseLocked(range: AdvisedRange): Step<PhysAddr> {
    const { tables, tlbBatch } = this.k
    const mm = this.k.mmOf(range.vma)
    const first = yield* tables.pteOffsetMapLock(mm, range.pmdp, range.addr)
    if (first === 0) return phys(0)
    yield* tlbBatch.flushTlbBatchedPending(mm)
    let [ptep, split] = [first, phys(0)]
    while (range.addr < range.end && split === 0) {
      split = yield* this.adviseEntries(range, ptep)
      if (split !== 0) break
      ptep = phys(ptep + 8 * range.nr)
      this.skip(range)
    }
    yield* tables.pteUnmapUnlock(first)
    return split
  }

  /** The entries at `ptep` that map one folio; returns it when it has to be split first. */
  protected *adviseEntries(range: AdvisedRange, ptep: PhysAddr): Step<PhysAddr> {
    const { folios, memmap } = this.k
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    range.nr = 1
    if (pteNone(pte) || !ptePresent(pte) || pteSpecial(pte)) return phys(0)
    const folio = yield* folios.compoundHead(memmap.page(ptePfn(pte)))
    if (folios.isLarge(folio)) range.nr = yield* this.madviseFolioPteBatch(range, ptep, ptePfn(pte), folio)
    if (range.nr < folios.folioNrPages(folio)) return (yield* this.claimForSplit(folio)) ? folio : phys(0)
    yield* this.adviseFolio(range, ptep, folio)
    return phys(0)
  }

  protected skip(range: AdvisedRange): void {
    range.addr = (range.addr + range.nr * this.k.geo.pageSize) as VirtAddr
  }

  /** madvise_folio_pte_batch(): how many entries from `ptep` map pages of `folio` in a row, from frame `pfn` on. */
  protected *madviseFolioPteBatch(range: AdvisedRange, ptep: PhysAddr, pfn: number, folio: PhysAddr): Step<number> {
    const { folios, geo, memmap } = this.k
    const left = memmap.pfnOf(folio) + folios.folioNrPages(folio) - pfn
    const most = Math.min(left, geo.pagesIn(range.end - range.addr))
    let nr = 1
    for (; nr < most; nr++) {
      const pte = (yield* this.cpu.readOnce64(phys(ptep + 8 * nr))) as PteWord
      if (pteNone(pte) || !ptePresent(pte) || pteSpecial(pte) || ptePfn(pte) !== pfn + nr) break
    }
    return nr
  }

  /** The lock and a reference, unless other processes map the folio too, or somebody else has the lock. */
  protected *claimForSplit(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if ((yield* folios.folioLikelyMappedShared(folio)) || !(yield* folios.folioTrylock(folio))) return false
    yield* folios.folioGet(folio, 1)
    return true
  }
}
