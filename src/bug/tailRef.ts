/**
 * BUG-45. 70b50f94f164 "mm: thp: tail page refcounting fix".
 *
 * A gup reference on a tail page was counted in the head and in the tail's own count, so that a split could hand it on to
 * the tail. But a page with a count can be taken by anybody who goes by frame numbers: get_page_unless_zero() succeeds on
 * a tail, and the head does not hear of it. Dropped last, such a reference frees the tail alone; a split gives it to the
 * tail at the head's expense. The fix keeps the counts of tails at zero, always (R3).
 *
 * The split of 2011 had no freeze; here the freeze allows for the tails' counts. Its BUG_ON() is upstream's of then.
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
  if ((yield* part.k.folios.compoundHead(page)) !== page) yield* part.cpu.atomicAdd32(phys(page + PAGE.at.refcount), 1)
}

class HandsOnTailCounts extends SplitFolio {
  /** References on tails did not stand in the way of a split. */
  protected override *canSplitFolio(folio: PhysAddr): Step<boolean> {
    const left = yield* this.leftToHead(folio)
    return left - 1 <= (yield* this.k.folios.folioMapcount(folio))
  }

  protected override *freeze(folio: PhysAddr): Step<boolean> {
    const tails = yield* this.tailCounts(folio)
    if ((yield* this.leftToHead(folio)) <= 0) this.reportLost(folio)
    return yield* this.k.folios.folioRefFreeze(folio, 1 + tails)
  }

  protected override *unfreezeTail(tail: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(tail + PAGE.at.refcount), 1)
  }

  /** What is left to the head when the tails have got what is theirs: "tail_page->_count cannot change". It can. */
  protected *leftToHead(folio: PhysAddr): Step<number> {
    return (yield* this.k.folios.folioRefCount(folio)) - (yield* this.tailCounts(folio))
  }

  protected *tailCounts(folio: PhysAddr): Step<number> {
    let sum = 0
    for (let i = 1; i < this.k.folios.folioNrPages(folio); i++)
      sum += yield* this.k.folios.folioRefCount(phys(folio + i * PAGE.size))
    return sum
  }

  protected reportLost(folio: PhysAddr): never {
    const title = 'kernel BUG at mm/huge_memory.c: page_count(page) <= 0 in __split_huge_page_refcount()'
    return this.cpu.report('kernel-bug', title, folio, ['a tail has a reference that was never counted in the head'])
  }
}

export const tailRef = defineBug({
  id: 'tail-ref',
  number: 'BUG-45',
  year: 2011,
  upstream: { introduced: '71e3aac0724f', fixed: '70b50f94f164' },
  summary:
    'references on tail pages are counted in the tail, where a speculative walker can add one that the head never sees',
  symptom: 'a reference is lost in the split: the page is freed while it is in use',
  scenarios: ['scan-vs-split'],
  parts: { GupFast: CountsTailsFast, Gup: CountsTails, SplitFolio: HandsOnTailCounts },
})
