/**
 * get_user_pages_fast(): pages of the current mm, referenced without any lock.
 *
 * Source: mm/gup.c gup_fast() and below (v6.12). What makes it safe: IRQs are off from the first table read to the
 * last, so that no table can be freed or reused meanwhile (G1); each entry is read once and every decision taken from
 * that value (G2); after the reference the entries are read again, and whoever changes an entry looks at the reference
 * count only after the change (G3, a Dekker pair); a count of zero is never raised (G4).
 *
 * Left out: hugetlb, devmap and PUD leaves, secretmem, the file-backed long-term rule (no such files exist here).
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  pmdAccessPermitted,
  pmdLeaf,
  pmdPfn,
  pmdPresent,
  pmdProtnone,
  pmdWrite,
  pteAccessPermitted,
  ptePfn,
  pteProtnone,
  pteSame,
  pteSpecial,
  pteWrite,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { Level } from '../arch/level.js'
import { rawReadSeqcount, readSeqcountRetry } from '../sync/seqcount.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'
import { PG_ANON_EXCLUSIVE } from './page.js'

export const FOLL_WRITE = 0x1
export const FOLL_GET = 0x4
export const FOLL_FORCE = 0x10
export const FOLL_PIN = 0x40000
export const FOLL_FAST_ONLY = 0x80000
export const FOLL_LONGTERM = 0x100000

export class GupFast extends Part {
  /**
   * get_user_pages_fast(), and pin_user_pages_fast() with FOLL_PIN; gup_fast_fallback() is in it. Fills `pages` with
   * the frame numbers of up to `n` pages from `addr` (page aligned), each with a reference (FOLL_GET) or a pin; returns
   * how many, or a negative errno when there is none. The slow walk takes the pages that the fast one does not get,
   * unless FOLL_FAST_ONLY.
   */
  *getUserPagesFast(addr: VirtAddr, n: number, flags: number, pages: Int32Array): Step<number> {
    const mm = this.k.mms.currentMm()
    const end = (addr + n * this.k.geo.pageSize) as VirtAddr
    if (mm === 0 || addr < 0 || end > this.k.geo.taskSize) return -14
    if ((flags & FOLL_PIN) !== 0) yield* this.mmSetHasPinnedFlag(mm)
    const got = yield* this.gupFast(mm, addr, end, flags, pages)
    if (got === n || (flags & FOLL_FAST_ONLY) !== 0) return got
    const from = (addr + got * this.k.geo.pageSize) as VirtAddr
    const more = yield* this.k.gup.getUserPages(mm, from, n - got, flags, pages, got)
    if (more < 0) return got > 0 ? got : more
    return got + more
  }

  /** mm_set_has_pinned_flag(): MMF_HAS_PINNED, before the walk: a fork that starts later must look for pins. */
  protected *mmSetHasPinnedFlag(mm: PhysAddr): Step<void> {
    const at = phys(mm + MM.at.hasPinned)
    if ((yield* this.cpu.readOnce32(at)) === 0) yield* this.cpu.writeOnce32(at, 1)
  }

  /** gup_fast(): the walk with IRQs off, and for pins the bracket that detects a fork. */
  protected *gupFast(mm: PhysAddr, addr: VirtAddr, end: VirtAddr, flags: number, pages: Int32Array): Step<number> {
    const pin = (flags & FOLL_PIN) !== 0
    const seq = phys(mm + MM.at.writeProtectSeq)
    const start = pin ? yield* rawReadSeqcount(this.cpu, seq) : 0
    if ((start & 1) !== 0 || !(yield* this.k.upper.gupFastPermitted(mm, end))) return 0
    this.k.observer.gupBegins()
    this.cpu.localIrqSave()
    const got = yield* this.gupFastPgdRange(mm, addr, end, flags, pages)
    yield* this.cpu.localIrqRestore()
    // A fork that write-protects meanwhile may have judged the pages unpinned: the pins are worth nothing.
    if (pin && got > 0 && (yield* this.forkRaced(seq, start))) {
      for (let i = 0; i < got; i++) yield* this.k.gup.putPage(pages[i] as number, flags)
      return 0
    }
    const { observer, geo } = this.k
    const stamp = observer.gupStamp()
    for (let i = 0; i < got; i++) {
      const at = addr + i * geo.pageSize
      observer.gupDone(this.cpu, mm, at, pages[i] as number, stamp, pin, (flags & FOLL_WRITE) !== 0)
    }
    return got
  }

  /** Part of gup_fast(): a fork that write-protects meanwhile may have judged the pages unpinned. */
  protected *forkRaced(seq: PhysAddr, start: number): Step<boolean> {
    return yield* readSeqcountRetry(this.cpu, seq, start)
  }

  // ---- the walk, IRQs off -----------------------------------------------------------------------------------------

  /** gup_fast_pgd_range(): the walk: fills `pages`, returns how many. IRQs are off. */
  *gupFastPgdRange(mm: PhysAddr, start: VirtAddr, end: VirtAddr, flags: number, pages: Int32Array): Step<number> {
    return yield* this.k.upper.gupFastPgdRange(mm, start, end, flags, pages)
  }

  /**
   * Part of gup_fast_pmd_range(), one step of its loop: pages of start … end, within one PMD entry, from pages[from];
   * the new count.
   */
  *gupFastPmdEntry(
    pmdp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
    from: number,
  ): Step<number> {
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (!pmdPresent(pmd)) return from
    if (pmdLeaf(pmd)) return yield* this.gupFastPmdLeaf(pmd, pmdp, start, end, flags, pages, from)
    return yield* this.gupFastPteRange(pmd, pmdp, start, end, flags, pages, from)
  }

  /** gup_fast_pte_range(). */
  protected *gupFastPteRange(
    pmd: PteWord,
    pmdp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
    from: number,
  ): Step<number> {
    const { memmap, observer, geo } = this.k
    let nr = from
    let ptep = this.k.tables.pteOffset(pmd, start)
    for (let addr: number = start; addr < end; addr += geo.pageSize, ptep = phys(ptep + 8)) {
      const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
      observer.tableRead(this.cpu, Level.pte, ptep)
      // Protnone and read-only entries fail the access test as well as missing ones. The slow path may take them.
      if (pteProtnone(pte) || !pteAccessPermitted(pte, (flags & FOLL_WRITE) !== 0) || pteSpecial(pte)) return nr
      const pfn = ptePfn(pte)
      const page = memmap.page(pfn)
      observer.gupTaking(this.cpu)
      const folio = yield* this.tryGrabFolioFast(page, 1, flags)
      if (folio === 0) return nr
      if (
        !(yield* this.pteUnchanged(pmd, pmdp, pte, ptep)) ||
        (yield* this.gupMustUnshare(page, flags, pteWrite(pte)))
      ) {
        yield* this.gupPutFolio(folio, 1, flags)
        return nr
      }
      pages[nr++] = pfn
    }
    return nr
  }

  /**
   * Part of gup_fast_pte_range(): the second look, ordered after the reference by its full barrier. The PTE meets
   * reclaim, migration, zap; the PMD meets collapse, which leaves the entries of the detached table in place (BUG-02).
   * Otherwise the page could be given away between the first look and the reference. Pairs with the order "change the
   * entry, full barrier, read the count" of updaters: Rmap.folioTryShareAnonRmapPte(), Folios.folioRefFreeze() and
   * Khugepaged.excludeGupFast().
   */
  protected *pteUnchanged(pmd: PteWord, pmdp: PhysAddr, pte: PteWord, ptep: PhysAddr): Step<boolean> {
    const pmdNow = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (!pteSame(pmdNow, pmd)) return false
    const pteNow = (yield* this.cpu.readOnce64(ptep)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pte, ptep)
    return pteSame(pteNow, pte)
  }

  /** gup_fast_pmd_leaf(). */
  protected *gupFastPmdLeaf(
    pmd: PteWord,
    pmdp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
    from: number,
  ): Step<number> {
    const { geo, memmap } = this.k
    if (pmdProtnone(pmd) || !this.pmdAccessPermitted(pmd, (flags & FOLL_WRITE) !== 0)) return from
    const first = pmdPfn(pmd, geo.hpagePmdNr) + geo.pteIndex(start)
    if (this.k.pages.isHugeZeroPfn(first)) return from
    const refs = geo.pagesIn(end - start)
    this.k.observer.gupTaking(this.cpu)
    const folio = yield* this.tryGrabFolioFast(memmap.page(first), refs, flags)
    if (folio === 0) return from
    const head = memmap.page(first - geo.pteIndex(start))
    if (!(yield* this.pmdUnchanged(pmd, pmdp)) || (yield* this.gupMustUnshare(head, flags, pmdWrite(pmd)))) {
      yield* this.gupPutFolio(folio, refs, flags)
      return from
    }
    for (let i = 0; i < refs; i++) pages[from + i] = first + i
    return from + refs
  }

  /** pmd_access_permitted(). */
  protected pmdAccessPermitted(pmd: PteWord, write: boolean): boolean {
    return pmdAccessPermitted(pmd, write)
  }

  /** Part of gup_fast_pmd_leaf(). */
  protected *pmdUnchanged(pmd: PteWord, pmdp: PhysAddr): Step<boolean> {
    const now = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    return pteSame(now, pmd)
  }

  // ---- references -------------------------------------------------------------------------------------------------

  /** try_grab_folio_fast(): `refs` references or pins on the folio of `page`; 0 when it has no reference left. */
  protected *tryGrabFolioFast(page: PhysAddr, refs: number, flags: number): Step<PhysAddr> {
    const folio = yield* this.k.folios.tryGetFolio(page, refs)
    if (folio !== 0 && (flags & FOLL_PIN) !== 0) yield* this.k.folios.addPins(folio, refs)
    return folio
  }

  /** gup_put_folio(). */
  *gupPutFolio(folio: PhysAddr, refs: number, flags: number): Step<void> {
    if ((flags & FOLL_PIN) !== 0) yield* this.k.folios.dropPins(folio, refs)
    else yield* this.k.folios.folioPut(folio, refs)
  }

  /**
   * gup_must_unshare(): a read-only pin of an anonymous page that is not exclusive would lose the page at the owner's
   * next write (A5). A writable entry implies exclusive (A1).
   */
  protected *gupMustUnshare(page: PhysAddr, flags: number, writable: boolean): Step<boolean> {
    if ((flags & FOLL_PIN) === 0 || writable || !this.k.folios.isAnonPage(page)) return false
    // Read barrier: the entry before the flag. Pairs with the second barrier in Rmap.folioTryShareAnonRmapPte().
    yield* this.cpu.smpRmb()
    return !(yield* this.k.folios.testFlag(page, PG_ANON_EXCLUSIVE))
  }
}
