/**
 * MADV_FREE: clean and old entries, and folios that reclaim may drop until somebody stores to them again. A part of
 * Madvise.
 *
 * Source: mm/madvise.c madvise_free_single_vma(), madvise_free_pte_range(), mm/huge_memory.c madvise_free_huge_pmd()
 * (v6.12). Left out: swap entries.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  pmdDirty,
  pmdMkclean,
  pmdMkold,
  pmdPresent,
  pmdTransHuge,
  pmdYoung,
  pteDirty,
  pteMkclean,
  pteMkold,
  pteYoung,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { MadviseFolio, type AdvisedRange } from './madviseFolio.js'
import { PG_DIRTY } from './page.js'

export abstract class MadviseFree extends MadviseFolio {
  /** madvise_free_pte_range(). Inside a gather. */
  protected *madviseFreePteRange(range: AdvisedRange, pmd: PteWord): Step<void> {
    if (pmdTransHuge(pmd) && (yield* this.madviseFreeHugePmd(range))) return
    yield* this.advisePtes(range)
  }

  /** madvise_free_huge_pmd(): false: there are PTEs to look at by now, perhaps. */
  protected *madviseFreeHugePmd(range: AdvisedRange): Step<boolean> {
    const { folios, huge, splitFolio, tables } = this.k
    if (!(yield* huge.pmdTransHugeLock(range.pmdp))) return false
    const pmd = (yield* this.cpu.readOnce64(range.pmdp)) as PteWord
    const folio = pmdPresent(pmd) && !huge.isHugeZeroPmd(pmd) ? this.k.splitHugePmd.folioOfPmd(pmd) : phys(0)
    // If others map it too, only all of them together could give it up.
    const mine = folio !== 0 && !(yield* folios.folioLikelyMappedShared(folio)) && (yield* folios.folioTrylock(folio))
    if (mine && range.end - range.addr !== this.k.geo.pmdSize) {
      yield* folios.folioGet(folio, 1)
      yield* tables.pmdUnlock(range.pmdp)
      yield* splitFolio.splitFolio(folio)
      yield* folios.folioUnlock(folio)
      yield* folios.folioPut(folio, 1)
      return false
    }
    if (mine) yield* this.freeHugeFolio(range, pmd, folio)
    yield* tables.pmdUnlock(range.pmdp)
    return mine
  }

  /** Part of madvise_free_huge_pmd(): enters with the folio locked. */
  protected *freeHugeFolio(range: AdvisedRange, pmd: PteWord, folio: PhysAddr): Step<void> {
    const { folios, ops } = this.k
    if (yield* folios.testFlag(folio, PG_DIRTY)) yield* folios.clearFlag(folio, PG_DIRTY)
    yield* folios.folioUnlock(folio)
    if (pmdYoung(pmd) || pmdDirty(pmd)) {
      // Invalid in between, so that the hardware sets no bit that gets lost; never none (I1).
      const old = yield* ops.pmdpInvalidate(range.vma, range.addr, range.pmdp)
      yield* ops.setPmdAt(this.k.mmOf(range.vma), range.addr, range.pmdp, pmdMkclean(pmdMkold(old)))
      this.k.gather.tlbFlushPmdRange(range.addr, this.k.geo.pmdSize)
    }
    yield* this.k.lru.folioMarkLazyfree(folio)
  }

  /** Part of madvise_free_pte_range(). */
  protected *freeFolio(range: AdvisedRange, ptep: PhysAddr, folio: PhysAddr): Step<void> {
    if (!(yield* this.cleanFolio(folio))) return
    for (let i = 0; i < range.nr; i++)
      yield* this.clearYoungDirtyPte(
        this.k.mmOf(range.vma),
        (range.addr + i * this.k.geo.pageSize) as VirtAddr,
        phys(ptep + 8 * i),
      )
    yield* this.k.lru.folioMarkLazyfree(folio)
  }

  /** Part of madvise_free_pte_range(): a dirty folio becomes clean if nobody else maps it; otherwise false. */
  protected *cleanFolio(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if (!(yield* folios.testFlag(folio, PG_DIRTY))) return true
    if (!(yield* folios.folioTrylock(folio))) return false
    const mine = (yield* folios.folioMapcount(folio)) === folios.folioNrPages(folio)
    if (mine) yield* folios.clearFlag(folio, PG_DIRTY)
    yield* folios.folioUnlock(folio)
    return mine
  }

  /**
   * Part of madvise_free_pte_range(): taken out in between, so that the hardware sets no bit that gets lost;
   * flushed by the gather, or the next store would go through a dirty translation and leave the entry clean.
   */
  protected *clearYoungDirtyPte(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (!pteYoung(pte) && !pteDirty(pte)) return
    const old = yield* this.k.ops.ptepGetAndClear(mm, addr, ptep)
    yield* this.k.ops.setPteAt(mm, addr, ptep, pteMkold(pteMkclean(old)))
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
  }
}
