/**
 * The scan: khugepaged's look at a range before it is collapsed.
 *
 * Source: mm/khugepaged.c hugepage_vma_revalidate(), find_pmd_or_thp_or_none(), hpage_collapse_scan_pmd() (v6.12).
 * Everything found here is a hint: mmap_lock is dropped afterwards, and every condition is checked again by whoever
 * relies on it.
 *
 * Left out: swapped pages (there is no swap: an entry that is neither empty nor present aborts), uffd-wp, LRU lists
 * (isolation is by folio lock and reference, see khugepaged.ts), NUMA placement, memcg limits, the sleep between scans.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  pmdBad,
  pmdNone,
  pmdPresent,
  pmdTransHuge,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteYoung,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { load32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import type { Kernel } from './kernel.js'
import { Part } from './part.js'
import { MM, VMA } from './mmStruct.js'
import { PG_LOCKED, PG_REFERENCED } from './page.js'

/** enum scan_result: why a range was not collapsed, or that it was. */
export const Scan = {
  fail: 0,
  succeed: 1,
  pmdNull: 2,
  pmdNone: 3,
  pmdMapped: 4, // it is huge already
  exceedNonePte: 5,
  exceedSharedPte: 6,
  pteNonPresent: 7,
  pageRo: 8,
  lackReferencedPage: 9,
  pageCount: 10, // somebody has a reference that no mapping explains
  pageLock: 11,
  pageAnon: 12,
  vmaNull: 13,
  vmaCheck: 14,
  anyProcess: 15, // the mm is going away
  allocHugePageFail: 16,
} as const
export type Scan = (typeof Scan)[keyof typeof Scan]

/** collapse_control: on whose behalf, and how much a collapse may add or unshare. */
export interface CollapseControl {
  readonly isKhugepaged: boolean
  readonly maxPtesNone: number
  readonly maxPtesShared: number
}

export class CollapseScan extends Part {
  /** khugepaged's defaults: one page in use is enough, at most half of the pages shared. */
  readonly khugepagedControl: CollapseControl
  /** MADV_COLLAPSE has no limits. */
  readonly madviseControl: CollapseControl

  constructor(k: Kernel) {
    super(k)
    const nr = k.geo.hpagePmdNr
    this.khugepagedControl = { isKhugepaged: true, maxPtesNone: nr - 1, maxPtesShared: nr / 2 }
    this.madviseControl = { isKhugepaged: false, maxPtesNone: nr, maxPtesShared: nr }
  }

  /** hugepage_vma_revalidate(): may the range at `haddr` be huge, as far as mm and VMA go? Caller: mmap_lock. */
  *hugepageVmaRevalidate(mm: PhysAddr, haddr: VirtAddr, cc: CollapseControl): Step<Scan> {
    this.k.mms.mmapAssertLocked(mm)
    if (yield* this.hpageCollapseTestExit(mm)) return Scan.anyProcess
    const vma = this.k.vmas.vmaLookup(mm, haddr)
    if (vma === 0) return Scan.vmaNull
    const allowed = cc.isKhugepaged
      ? this.k.hugeFault.thpVmaAllowableOrder(vma, haddr)
      : this.k.hugeFault.thpSuitable(vma, haddr)
    if (!allowed) return Scan.vmaCheck
    // Never faulted on: there is nothing to collapse, and no anon_vma to lock.
    return load32(vma + VMA.at.anonVma) === 0 ? Scan.pageAnon : Scan.succeed
  }

  /**
   * hpage_collapse_test_exit(): the last user has gone; exit_mmap() frees tables without waiting for anybody (BUG-10).
   */
  protected *hpageCollapseTestExit(mm: PhysAddr): Step<boolean> {
    return (yield* this.cpu.readOnce32(phys(mm + MM.at.mmUsers))) === 0
  }

  /** check_pmd_state(): does the entry point to a table that could be collapsed? Read once (BUG-50). */
  *checkPmdState(pmdp: PhysAddr): Step<Scan> {
    if (pmdp === 0) return Scan.pmdNull
    const pmd = yield* this.k.ops.pmdpGetLockless(pmdp)
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (pmdNone(pmd)) return Scan.pmdNone
    if (!pmdPresent(pmd)) return Scan.pmdNull
    if (pmdTransHuge(pmd)) return Scan.pmdMapped
    return pmdBad(pmd) ? Scan.pmdNull : Scan.succeed
  }

  /** Part of hpage_collapse_scan_pmd(): the scan of one range. Caller: mmap_lock for read. */
  *scanRange(mm: PhysAddr, haddr: VirtAddr, cc: CollapseControl): Step<Scan> {
    this.k.mms.mmapAssertLocked(mm)
    const valid = yield* this.hugepageVmaRevalidate(mm, haddr, cc)
    if (valid !== Scan.succeed) return valid
    const pmdp = yield* this.k.upper.mmFindPmd(mm, haddr)
    const state = yield* this.checkPmdState(pmdp)
    if (state !== Scan.succeed) return state
    const first = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, haddr)
    if (first === 0) return Scan.pmdNull
    const result = yield* this.scanPtes(first, cc)
    yield* this.k.tables.pteUnmapUnlock(first)
    return result
  }

  /** Part of hpage_collapse_scan_pmd(): caller: PTE lock. */
  protected *scanPtes(first: PhysAddr, cc: CollapseControl): Step<Scan> {
    const tally = new Tally(cc)
    for (let i = 0; i < this.k.geo.hpagePmdNr; i++) {
      const pte = (yield* this.cpu.readOnce64(phys(first + i * 8))) as PteWord
      if (this.isHole(pte)) tally.hole()
      else if (!ptePresent(pte)) tally.result = Scan.pteNonPresent
      else {
        const folio = yield* this.k.folios.compoundHead(this.k.memmap.page(ptePfn(pte)))
        yield* this.tallyPte(tally, pte, folio)
        if (tally.result === Scan.succeed) tally.result = yield* this.scanFolio(folio)
      }
      if (tally.result !== Scan.succeed) return tally.result
    }
    return tally.verdict()
  }

  /** Part of hpage_collapse_scan_pmd(): would isolation find the folio usable? */
  protected *scanFolio(folio: PhysAddr): Step<Scan> {
    if (!this.k.folios.isAnon(folio)) return Scan.pageAnon
    if (yield* this.k.folios.testFlag(folio, PG_LOCKED)) return Scan.pageLock
    return (yield* this.isRefcountSuitable(folio)) ? Scan.succeed : Scan.pageCount
  }

  /** What counts of a mapped page, whoever asks. */
  *tallyPte(tally: Tally, pte: PteWord, folio: PhysAddr): Step<void> {
    if (pteWrite(pte)) tally.writable = true
    if (pteYoung(pte) || (yield* this.k.folios.testFlag(folio, PG_REFERENCED))) tally.referenced = true
    if (yield* this.k.folios.folioLikelyMappedShared(folio)) tally.shared()
  }

  /**
   * is_refcount_suitable(): every reference is a mapping's. During a collapse the real test, so it runs after new gup
   * references became impossible.
   */
  *isRefcountSuitable(folio: PhysAddr): Step<boolean> {
    return (yield* this.k.folios.folioRefCount(folio)) === (yield* this.k.folios.folioMapcount(folio))
  }

  /** Nothing there, or the zero page: becomes zeroes in the huge page. */
  isHole(pte: PteWord): boolean {
    return pteNone(pte) || (ptePresent(pte) && pteSpecial(pte) && this.k.pages.isZeroPfn(ptePfn(pte)))
  }
}

/** Counts over the PTEs of one range, and the verdict on them. */
export class Tally {
  result: Scan = Scan.succeed
  writable = false
  referenced = false
  readonly #cc: CollapseControl
  #holes = 0
  #shared = 0

  constructor(cc: CollapseControl) {
    this.#cc = cc
  }

  hole(): void {
    if (++this.#holes > this.#cc.maxPtesNone) this.result = Scan.exceedNonePte
  }

  shared(): void {
    if (++this.#shared > this.#cc.maxPtesShared) this.result = Scan.exceedSharedPte
  }

  /** After all PTEs: something is written to, and for khugepaged something is in use. */
  verdict(): Scan {
    if (!this.writable) return Scan.pageRo
    return this.#cc.isKhugepaged && !this.referenced ? Scan.lackReferencedPage : Scan.succeed
  }
}
