/** Bugs of get_user_pages(): what it returns, what it re-checks, and what fork and COW do to pinned pages. */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { Folios } from '../mm/folio.js'
import { Gup } from '../mm/gup.js'
import { FOLL_WRITE, GupFast } from '../mm/gupFast.js'
import type { Part } from '../mm/part.js'
import { VM_WRITE, VMA } from '../mm/mmStruct.js'
import { PAGE } from '../mm/page.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { defineBug, defineMutant } from './bug.js'

/**
 * BUG-23. c24d37322548 "mm/gup: fix try_grab_compound_head() race with split_huge_page()".
 *
 * gup_fast reads the head of a page and then takes a reference on it. If the folio is split in between, and the entries
 * are restored with the same bits, the second look at them finds nothing, and the reference is on a page that has
 * nothing to do with the one that is returned. (Hash from memory.)
 *
 * Where flushes are interrupts, the one that turns the entry into a migration entry waits for the walker, which has
 * IRQs off. It takes a flush without interrupts to get past it.
 */
class TrustsHead extends Folios {
  protected override *headUnchanged(): Step<boolean> {
    return true
  }
}

export const gupHeadRecheck = defineBug({
  id: 'gup-head-recheck',
  number: 'BUG-23',
  year: 2021,
  upstream: { introduced: '7aef4172c795', fixed: 'c24d37322548' },
  summary: 'the head of a page is not read again after the reference was taken on it',
  symptom: 'the reference is on another page than the one returned: refcount underflow, use after free',
  scenarios: ['gup-vs-folio-split'],
  parts: { Folios: TrustsHead },
  config: { flushStyle: 'broadcast' },
})

/**
 * BUG-45. 70b50f94f164 "mm: thp: tail page refcounting fix".
 *
 * A gup reference on a tail page was counted in the head and in the tail's own count, so that a split could hand it on
 * to the tail. But a page with a count can be taken by anybody who goes by frame numbers: get_page_unless_zero()
 * succeeds on a tail, and the head does not hear of it. Dropped last, such a reference frees the tail alone; a split
 * gives it to the tail at the head's expense. The fix keeps the counts of tails at zero, always (R3).
 *
 * The split of 2011 had no freeze; here the freeze allows for the tails' counts. Its BUG_ON() is upstream's of then.
 */
class CountsTailsFast extends GupFast {
  override *gupFastPgdRange(
    mm: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
  ): Step<number> {
    const got = yield* super.gupFastPgdRange(mm, start, end, flags, pages)
    for (let i = 0; i < got; i++) yield* getHugePageTail(this, this.k.memmap.page(pages[i] as number))
    return got
  }
}

class CountsTails extends Gup {
  protected override *followPageMask(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    const pfn = yield* super.followPageMask(mm, vma, addr, flags)
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

/**
 * BUG-15, CVE-2016-5195. 19be0eaffa3a "mm: remove gup_flags FOLL_WRITE games from __get_user_pages()".
 *
 * A FOLL_FORCE write to a read-only private mapping breaks COW, and the copy stays read-only. So that the next look did
 * not ask for a write again, gup dropped FOLL_WRITE. If MADV_DONTNEED removes the copy in between, that look is content
 * with the page cache page.
 *
 * Upstream dropped the flag when the fault said that COW was broken (VM_FAULT_WRITE); a write fault of the model has
 * always broken it.
 */
class DropsFollWrite extends Gup {
  protected override afterFault(vma: PhysAddr, flags: number): number {
    const readOnly = (peek32(vma + VMA.at.flags) & VM_WRITE) === 0
    return readOnly ? flags & ~FOLL_WRITE : flags
  }
}

export const dirtyCow = defineBug({
  id: 'dirty-cow',
  number: 'BUG-15',
  year: 2016,
  upstream: { introduced: 'f33ea7f404e5', fixed: '19be0eaffa3a' },
  summary: 'gup forgets that it wants to write once a fault has broken COW',
  symptom: 'a write into a read-only file page',
  scenarios: ['force-write-vs-dontneed'],
  parts: { Gup: DropsFollWrite },
})

/**
 * BUG-19. 57efa1fe5957 "mm/gup: prevent gup_fast from racing with COW during fork".
 *
 * fork looks whether a page is pinned and then write-protects it. Between the two gup_fast could pin it through the
 * entry that was still writable. The fix is a sequence count around fork's copying, which gup_fast compares when it is
 * done.
 */
class IgnoresFork extends GupFast {
  protected override *forkRaced(): Step<boolean> {
    return false
  }
}

export const forkGupfast = defineBug({
  id: 'fork-gupfast',
  number: 'BUG-19',
  also: ['K54'],
  year: 2020,
  upstream: { introduced: 'f3c64eda3e50', fixed: '57efa1fe5957' },
  summary: 'gup_fast pins a page that fork has judged unpinned and is about to share',
  symptom:
    "a pinned page is not exclusive: the parent's next write copies, and the device goes on with the child's page",
  scenarios: ['fork-vs-gup'],
  parts: { GupFast: IgnoresFork },
})

/** Where flushes are interrupts they wait for the walker, and the second look has nothing left to find. */
class LooksOnce extends GupFast {
  protected override *pteUnchanged(): Step<boolean> {
    return true
  }

  protected override *pmdUnchanged(): Step<boolean> {
    return true
  }
}

export const noRecheck = defineMutant({
  id: 'no-recheck',
  summary: 'gup_fast does not look at the entries again after it has taken its reference',
  symptom: 'gup returns a page that was unmapped, freed and reused before the reference was taken',
  scenarios: ['gup-vs-split', 'gup-vs-munmap'],
  parts: { GupFast: LooksOnce },
  config: { flushStyle: 'broadcast' },
})
