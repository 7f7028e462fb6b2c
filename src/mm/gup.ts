/**
 * get_user_pages(): the slow path under mmap_lock, and giving pages back.
 *
 * Source: mm/gup.c __get_user_pages(), follow_page_pte(), faultin_page(), unpin_user_page() (v6.12). Left out: dropping
 * mmap_lock inside a fault, long-term migration out of movable zones, protection keys.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  pmdLeaf,
  pmdNone,
  pmdPfn,
  pmdPresent,
  pmdWrite,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE, VM_FAULT_OOM } from './faultFlags.js'
import { FOLL_FORCE, FOLL_PIN, FOLL_WRITE } from './gupFast.js'
import { Part } from './part.js'
import { EFAULT, ENOMEM, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'
import { PG_ANON_EXCLUSIVE } from './page.js'

/** follow_page: no usable page there. */
const NO_PFN = -1
/** The page is there, but a read-only pin of it needs it exclusive first (-EMLINK). */
const UNSHARE = -2

export class Gup extends Part {
  /**
   * get_user_pages(): pages addr … addr + n pages of `mm` under mmap_lock for read, into `pages` from index `from`.
   * Returns how many, or a negative errno when the first fails.
   */
  *getUserPages(mm: PhysAddr, addr: VirtAddr, n: number, flags: number, pages: Int32Array, from: number): Step<number> {
    yield* this.k.mms.mmapReadLock(mm)
    let got = 0
    let error = 0
    while (got < n) {
      const at = (addr + got * this.k.geo.pageSize) as VirtAddr
      const pfn = yield* this.getOne(mm, at, flags)
      if (pfn < 0) {
        error = pfn
        break
      }
      this.k.observer.gupDone(
        this.cpu,
        mm,
        at,
        pfn,
        this.k.observer.gupStamp(),
        (flags & FOLL_PIN) !== 0,
        (flags & FOLL_WRITE) !== 0,
      )
      pages[from + got++] = pfn
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return got > 0 ? got : error
  }

  /** Part of __get_user_pages(): one page: look, and fault it in until it is there. */
  protected *getOne(mm: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    let remaining = flags
    for (;;) {
      const vma = this.k.vmas.vmaLookup(mm, addr)
      if (vma === 0 || !this.checkVmaFlags(vma, flags)) return -EFAULT
      const pfn = yield* this.followPageMask(mm, vma, addr, remaining)
      if (pfn >= 0) return pfn
      const unshare = pfn === UNSHARE
      const fault = unshare ? FAULT_FLAG_UNSHARE : (remaining & FOLL_WRITE) !== 0 ? FAULT_FLAG_WRITE : 0
      const result = yield* this.k.fault.handleMmFault(mm, vma, addr, fault)
      if (result !== 0) return result === VM_FAULT_OOM ? -ENOMEM : -EFAULT
      remaining = this.afterFault(vma, remaining)
      yield* this.k.mms.mmapReadUnlock(mm)
      yield* this.cpu.cpuRelax()
      yield* this.k.mms.mmapReadLock(mm)
    }
  }

  /**
   * Part of faultin_page(): what the next look asks for, after a fault was handled: the same. Until 2016 FOLL_WRITE was
   * dropped here (BUG-15).
   */
  protected afterFault(_vma: PhysAddr, flags: number): number {
    return flags
  }

  /** check_vma_flags(): FOLL_FORCE writes to private mappings that may be made writable, and reads likewise. */
  protected checkVmaFlags(vma: PhysAddr, flags: number): boolean {
    const vm = peek32(vma + VMA.at.flags)
    const force = (flags & FOLL_FORCE) !== 0
    if ((flags & FOLL_WRITE) === 0) return (vm & VM_READ) !== 0 || (force && (vm & VM_MAYREAD) !== 0)
    if ((vm & VM_WRITE) !== 0) return true
    return force && (vm & VM_SHARED) === 0 && (vm & VM_MAYWRITE) !== 0
  }

  /**
   * follow_page_mask(): a referenced or pinned frame, NO_PFN, or UNSHARE. PROT_NONE entries are followed, as upstream
   * does without FOLL_HONOR_NUMA_FAULT: a NUMA hint is for the CPU's own accesses, and the VMA has been asked before.
   */
  protected *followPageMask(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    const pmdp = yield* this.k.upper.mmFindPmd(mm, addr)
    if (pmdp === 0) return NO_PFN
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (pmdNone(pmd) || !pmdPresent(pmd)) return NO_PFN
    return pmdLeaf(pmd)
      ? yield* this.followHugePmd(vma, addr, pmdp, flags)
      : yield* this.followPagePte(mm, vma, addr, pmdp, flags)
  }

  /** follow_page_pte(). */
  protected *followPagePte(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return NO_PFN
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    let pfn = NO_PFN
    if (!pteNone(pte) && ptePresent(pte)) {
      const special = pteSpecial(pte)
      pfn = yield* this.take(vma, ptePfn(pte), special, pteWrite(pte), flags)
    }
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return pfn
  }

  /** follow_huge_pmd(). */
  protected *followHugePmd(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    const { geo } = this.k
    yield* this.k.tables.pmdLock(pmdp)
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    let pfn = NO_PFN
    if (!pmdNone(pmd) && pmdPresent(pmd) && pmdLeaf(pmd)) {
      const first = pmdPfn(pmd, geo.hpagePmdNr)
      const zero = this.k.pages.isHugeZeroPfn(first)
      pfn = yield* this.take(vma, first + geo.pteIndex(addr), zero, pmdWrite(pmd), flags)
    }
    yield* this.k.tables.pmdUnlock(pmdp)
    return pfn
  }

  /**
   * Part of follow_page_pte() and follow_huge_pmd(): rights and the reference, under the lock of the entry: a plain
   * add, since the mapping keeps the count above zero.
   */
  protected *take(vma: PhysAddr, pfn: number, zero: boolean, writable: boolean, flags: number): Step<number> {
    const page = this.k.memmap.page(pfn)
    if ((flags & FOLL_WRITE) !== 0 && !writable && !(yield* this.canFollowWritePte(vma, page, zero, flags)))
      return NO_PFN
    if (zero) return pfn
    const folio = yield* this.k.folios.compoundHead(page)
    if ((flags & FOLL_PIN) !== 0 && !writable && this.k.folios.isAnon(folio) && !(yield* this.exclusive(page)))
      return UNSHARE
    this.k.observer.gupBegins()
    this.k.observer.gupTaking(this.cpu)
    yield* this.k.folios.folioGet(folio, 1)
    if ((flags & FOLL_PIN) !== 0) yield* this.k.folios.addPins(folio, 1)
    return pfn
  }

  /**
   * can_follow_write_pte(): a FOLL_FORCE write through a read-only entry is right only when COW is surely broken: the
   * page is anonymous and exclusive.
   */
  protected *canFollowWritePte(vma: PhysAddr, page: PhysAddr, zero: boolean, flags: number): Step<boolean> {
    const vm = peek32(vma + VMA.at.flags)
    if ((flags & FOLL_FORCE) === 0 || (vm & VM_SHARED) !== 0 || (vm & VM_WRITE) !== 0) return false
    return !zero && this.k.folios.isAnonPage(page) && (yield* this.exclusive(page))
  }

  /**
   * Part of can_follow_write_pte(): PageAnonExclusive: of the page, or of the head when the folio is mapped as a whole.
   */
  protected *exclusive(page: PhysAddr): Step<boolean> {
    if (yield* this.k.folios.testFlag(page, PG_ANON_EXCLUSIVE)) return true
    const folio = yield* this.k.folios.compoundHead(page)
    return folio !== page && (yield* this.k.folios.testFlag(folio, PG_ANON_EXCLUSIVE))
  }

  // ---- giving back ------------------------------------------------------------------------------------------------

  /** Drops a page that gup returned, at the end of its use: put_page() or unpin_user_page(). */
  *release(pfn: number, flags: number): Step<void> {
    this.k.observer.gupReleased(this.cpu, pfn, (flags & FOLL_PIN) !== 0)
    yield* this.putPage(pfn, flags)
  }

  /** As release(), for a page that the caller never got to see. The zero pages carry no counts. */
  *putPage(pfn: number, flags: number): Step<void> {
    if (this.k.pages.isZeroPfn(pfn) || this.k.pages.isHugeZeroPfn(pfn)) return
    const folio = yield* this.k.folios.compoundHead(phys(this.k.memmap.page(pfn)))
    yield* this.k.gupFast.gupPutFolio(folio, 1, flags)
  }
}
