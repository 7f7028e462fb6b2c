/**
 * BUG-45. 70b50f94f164 "mm: thp: tail page refcounting fix".
 *
 * A gup reference on a tail page was counted in the head and in the tail's own count, so that a split could hand it on to
 * the tail. But a page with a count can be taken by anybody who goes by frame numbers: get_page_unless_zero() succeeds on
 * a tail, the head does not hear of it, and the split stores a count that leaves that reference out. The fix keeps the
 * counts of tails at zero, always (R3).
 *
 * The split of 2011 had no freeze; here the freeze allows for the tails' counts, which comes to the same: nobody may
 * change them from the sum to the store.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { Gup } from '../mm/gup.js'
import { GupFast } from '../mm/gupFast.js'
import type { Part } from '../mm/kernel.js'
import { PAGE } from '../mm/page.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { defineBug } from './bug.js'

class CountsTailsFast extends GupFast {
  override *gupRange(mm: PhysAddr, start: VirtAddr, end: VirtAddr, flags: number, pages: Int32Array): Step<number> {
    const got = yield* super.gupRange(mm, start, end, flags, pages)
    for (let i = 0; i < got; i++) yield* getHugePageTail(this, this.k.memmap.page(pages[i] as number))
    return got
  }
}

class CountsTails extends Gup {
  protected override *followPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    const pfn = yield* super.followPage(mm, vma, addr, flags)
    if (pfn >= 0) yield* getHugePageTail(this, this.k.memmap.page(pfn))
    return pfn
  }

  /** put_compound_page(): the tail's count goes under a lock that keeps the folio from being split meanwhile. */
  override *putPage(pfn: number, flags: number): Step<void> {
    const page = this.k.memmap.page(pfn)
    const head = yield* this.k.folios.compoundHead(page)
    if (head !== page && !this.k.pages.isHugeZeroPfn(pfn)) {
      yield* this.k.folios.folioLock(head)
      if ((yield* this.k.folios.compoundHead(page)) === head)
        yield* this.cpu.atomicAdd32(phys(page + PAGE.at.refcount), -1)
      yield* this.k.folios.folioUnlock(head)
    }
    yield* super.putPage(pfn, flags)
  }
}

/** get_huge_page_tail(): a tail has a count of its own. Caller: a reference on the head, so the folio stays whole. */
function* getHugePageTail(part: Part, page: PhysAddr): Step<void> {
  if ((yield* part.k.folios.compoundHead(page)) !== page)
    yield* part.cpu.atomicAdd32(phys(page + PAGE.at.refcount), 1)
}

class HandsOnTailCounts extends SplitFolio {
  protected override *canSplitFolio(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    const references = (yield* folios.folioRefCount(folio)) - (yield* this.tailCounts(folio))
    return (yield* folios.folioMapcount(folio)) === references - 1
  }

  protected override *freeze(folio: PhysAddr): Step<boolean> {
    return yield* this.k.folios.folioRefFreeze(folio, 1 + (yield* this.tailCounts(folio)))
  }

  /** "tail_page->_count cannot change": it can. */
  protected override *unfreezeTail(tail: PhysAddr): Step<void> {
    const references = yield* this.k.folios.folioRefCount(tail)
    yield* this.k.folios.folioRefUnfreeze(tail, 1 + references)
  }

  protected *tailCounts(folio: PhysAddr): Step<number> {
    let sum = 0
    for (let i = 1; i < this.k.folios.folioNrPages(folio); i++)
      sum += yield* this.k.folios.folioRefCount(phys(folio + i * PAGE.size))
    return sum
  }
}

export const tailRef = defineBug({
  id: 'tail-ref',
  number: 'BUG-45',
  year: 2011,
  upstream: { introduced: '71e3aac0724f', fixed: '70b50f94f164' },
  summary: 'references on tail pages are counted in the tail, where a speculative walker can add one that the head never sees',
  symptom: 'a reference is lost in the split: the page is freed while it is in use',
  scenarios: ['scan-vs-split'],
  parts: { GupFast: CountsTailsFast, Gup: CountsTails, SplitFolio: HandsOnTailCounts },
})
