/**
 * MADV_COLD and MADV_PAGEOUT: memory that is not used soon. A part of Madvise.
 *
 * Source: mm/madvise.c madvise_cold(), madvise_pageout(), madvise_cold_or_pageout_pte_range() (v6.12). Left out: pages
 * of files that the caller could not write to, which others may be using. Where the lists are not modelled, MADV_COLD
 * makes entries old and folios unreferenced, and that is all.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pmdMkold, pmdPresent, pmdTransHuge, pmdYoung, pteMkold, pteYoung } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { MadviseFree } from './madviseFree.js'
import type { AdvisedRange } from './madviseFolio.js'
import { PG_LRU, PG_REFERENCED } from './page.js'

export abstract class MadviseCold extends MadviseFree {
  /** madvise_cold_or_pageout_pte_range(). Inside a gather. */
  protected *madviseColdOrPageoutPteRange(range: AdvisedRange, pmd: PteWord): Step<void> {
    if (!pmdTransHuge(pmd) || !(yield* this.coldHugePmd(range))) yield* this.advisePtes(range)
    if (range.isolated.length > 0) yield* this.k.reclaim.reclaimPages(range.isolated)
  }

  /** Part of madvise_cold_or_pageout_pte_range(): false: it was split, and there are PTEs to look at. */
  protected *coldHugePmd(range: AdvisedRange): Step<boolean> {
    const { folios, huge, splitFolio, tables } = this.k
    if (!(yield* huge.pmdTransHugeLock(range.pmdp))) return true
    const pmd = (yield* this.cpu.readOnce64(range.pmdp)) as PteWord
    const folio = pmdPresent(pmd) && !huge.isHugeZeroPmd(pmd) ? this.k.splitHugePmd.folioOfPmd(pmd) : phys(0)
    const mine = folio !== 0 && !(yield* folios.folioLikelyMappedShared(folio))
    if (mine && range.end - range.addr !== this.k.geo.pmdSize) {
      yield* folios.folioGet(folio, 1)
      yield* tables.pmdUnlock(range.pmdp)
      yield* folios.folioLock(folio)
      const error = yield* splitFolio.splitFolio(folio)
      yield* folios.folioUnlock(folio)
      yield* folios.folioPut(folio, 1)
      return error !== 0
    }
    if (mine && range.advice !== 'pageout' && pmdYoung(pmd)) yield* this.makePmdOld(range)
    if (mine) yield* this.deactivateOrIsolate(range, folio)
    yield* tables.pmdUnlock(range.pmdp)
    return true
  }

  /** Part of madvise_cold_or_pageout_pte_range(): through the invalidated state, never through none (I1). */
  protected *makePmdOld(range: AdvisedRange): Step<void> {
    const { ops } = this.k
    const old = yield* ops.pmdpInvalidate(range.vma, range.addr, range.pmdp)
    yield* ops.setPmdAt(this.k.mmOf(range.vma), range.addr, range.pmdp, pmdMkold(old))
    this.k.gather.tlbFlushPmdRange(range.addr, this.k.geo.pmdSize)
  }

  /** Part of madvise_cold_or_pageout_pte_range(): folios that others map too, or have isolated, are left alone. */
  protected *coldFolio(range: AdvisedRange, ptep: PhysAddr, folio: PhysAddr): Step<void> {
    const { folios } = this.k
    if (!(yield* folios.testFlag(folio, PG_LRU))) return
    if ((yield* folios.folioMapcount(folio)) !== folios.folioNrPages(folio)) return
    if (range.advice !== 'pageout')
      for (let i = 0; i < range.nr; i++)
        yield* this.makePteOld(
          this.k.mmOf(range.vma),
          (range.addr + i * this.k.geo.pageSize) as VirtAddr,
          phys(ptep + 8 * i),
        )
    yield* this.deactivateOrIsolate(range, folio)
  }

  /** Part of madvise_cold_or_pageout_pte_range(): taken out in between, since a dirty bit may be set. */
  protected *makePteOld(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    if (!pteYoung((yield* this.cpu.readOnce64(ptep)) as PteWord)) return
    const old = yield* this.k.ops.ptepGetAndClear(mm, addr, ptep)
    yield* this.k.ops.setPteAt(mm, addr, ptep, pteMkold(old))
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
  }

  /** Part of madvise_cold_or_pageout_pte_range(). */
  protected *deactivateOrIsolate(range: AdvisedRange, folio: PhysAddr): Step<void> {
    yield* this.k.folios.clearFlag(folio, PG_REFERENCED)
    if (range.advice === 'pageout' && (yield* this.k.lru.folioIsolateLru(folio))) range.isolated.push(folio)
  }
}
