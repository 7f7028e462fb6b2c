/**
 * Page faults.
 *
 * Source: mm/memory.c handle_mm_fault() and below, arch/x86/mm/fault.c (v6.12). P1: what was decided from is compared
 * with what is stored, under the lock, before anything changes. P2: a page's contents are visible before the entry that
 * maps it.
 *
 * Left out: per-VMA locks (faults take mmap_lock for read, upstream's fallback, so more is excluded than upstream only
 * where a VMA changes), swap-in, uffd, KSM, multi-size folios, and write notification of shared files.
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isMigrationEntry,
  isSwapPmd,
  pfnPte,
  pmdLeaf,
  pmdNone,
  pmdProtnone,
  pmdWrite,
  pteMkdirty,
  pteMkspecial,
  pteMkwrite,
  pteMkyoung,
  pteNone,
  ptePfn,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteWrite,
  vmGetPageProt,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { FrameKind } from '../arch/observer.js'
import { lockdepAssertHeld } from '../sync/spinlock.js'
import { Part } from './part.js'
import { downRead, upRead } from '../sync/rwsem.js'
import { FILE, MM, VM_EXEC, VM_READ, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'
import { NO_PAGE, PG_ANON_EXCLUSIVE, PG_UPTODATE } from './page.js'

export const FAULT_FLAG_WRITE = 1
/** From R/O pinning: end with a page that is exclusive, mapped read-only. */
export const FAULT_FLAG_UNSHARE = 2

export const VM_FAULT_OOM = 0x1
export const VM_FAULT_SIGBUS = 0x2
export const VM_FAULT_SIGSEGV = 0x40
export const VM_FAULT_RETRY = 0x400
/** The huge page path could not; try base pages. */
export const VM_FAULT_FALLBACK = 0x800

export class FaultHandler extends Part {
  /**
   * do_user_addr_fault(): a fault of this CPU's user code at `addr`: 0 to try the access again, or VM_FAULT_SIGSEGV,
   * SIGBUS, OOM. Takes and releases mmap_lock for read.
   */
  *doUserAddrFault(addr: VirtAddr, write: boolean): Step<number> {
    const mm = this.k.mms.currentMm()
    if (mm === 0) return VM_FAULT_SIGSEGV
    const vma = yield* this.k.stackGrowth.lockMmAndFindVma(mm, addr)
    const needed = write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC
    let result = VM_FAULT_SIGSEGV
    if (vma !== 0 && (peek32(vma + VMA.at.flags) & needed) !== 0)
      result = yield* this.handleMmFault(mm, vma, addr, write ? FAULT_FLAG_WRITE : 0)
    yield* this.k.mms.mmapReadUnlock(mm)
    return result
  }

  /**
   * handle_mm_fault(): caller: mmap_lock held, in some mode; `addr` in `vma`; access rights checked. 0: handled, or to
   * be tried again.
   */
  *handleMmFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    const page = this.k.geo.pageAlignDown(addr)
    const pmdp = yield* this.k.upper.mmAllocPmd(mm, page)
    if (pmdp === 0) return VM_FAULT_OOM
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (pmdNone(pmd)) {
      if (!this.k.hugeFault.thpVmaAllowableOrder(vma, this.k.geo.pmdAlignDown(page)))
        return yield* this.handlePteFault(mm, vma, page, pmdp, flags)
      const result = yield* this.k.hugeFault.doHugePmdAnonymousPage(vma, page, pmdp, (flags & FAULT_FLAG_WRITE) !== 0)
      return (result & VM_FAULT_FALLBACK) === 0 ? result : yield* this.handlePteFault(mm, vma, page, pmdp, flags)
    }
    if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
      const result = yield* this.handleHugePmd(mm, vma, page, pmdp, pmd, flags)
      if ((result & VM_FAULT_FALLBACK) === 0) return result
    }
    return yield* this.handlePteFault(mm, vma, page, pmdp, flags)
  }

  /** Part of __handle_mm_fault(): the PMD is a huge page or a migration entry. */
  protected *handleHugePmd(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pmd: PteWord,
    flags: number,
  ): Step<number> {
    if (isSwapPmd(pmd)) {
      yield* this.k.migrationEntries.pmdMigrationEntryWait(mm, pmdp)
      return 0
    }
    if (pmdProtnone(pmd)) return yield* this.k.hugeFault.doHugePmdNumaPage(vma, addr, pmdp, pmd)
    const write = (flags & FAULT_FLAG_WRITE) !== 0
    if (flags !== 0 && !pmdWrite(pmd)) return yield* this.k.hugeFault.doHugePmdWpPage(vma, addr, pmdp, pmd, flags)
    yield* this.k.hugeFault.hugePmdSetAccessed(vma, addr, pmdp, pmd, write)
    return 0
  }

  /** handle_pte_fault(). */
  protected *handlePteFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    if (!(yield* this.k.tables.pteAlloc(mm, pmdp, addr))) return VM_FAULT_OOM
    const ptep = yield* this.k.tables.pteOffsetMap(pmdp, addr)
    if (ptep === 0) return 0
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pte, ptep)
    this.k.tables.pteUnmap()
    if (pteNone(pte)) return yield* this.doPteMissing(mm, vma, addr, pmdp, flags)
    if (!ptePresent(pte)) {
      if (isMigrationEntry(pte)) yield* this.k.migrationEntries.migrationEntryWait(mm, pmdp, addr)
      return 0
    }
    return yield* this.handlePresentPte(mm, vma, addr, pmdp, pte, flags)
  }

  /** Part of handle_pte_fault(). */
  protected *handlePresentPte(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pte: PteWord,
    flags: number,
  ): Step<number> {
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return 0
    if ((yield* this.cpu.readOnce64(ptep)) !== pte) {
      yield* this.k.tables.pteUnmapUnlock(ptep)
      return 0
    }
    if (pteProtnone(pte)) return yield* this.doNumaPage(vma, addr, ptep, pte)
    if (flags !== 0 && !pteWrite(pte)) return yield* this.doWpPage(mm, vma, addr, pmdp, ptep, pte, flags)
    const write = (flags & FAULT_FLAG_WRITE) !== 0
    const entry = write ? pteMkdirty(pteMkyoung(pte)) : pteMkyoung(pte)
    const changed = yield* this.k.ops.ptepSetAccessFlags(vma, addr, ptep, entry, write)
    // Another CPU was first: the entry allows the store, and this CPU's translation may not yet.
    if (!changed && write) yield* this.k.tlbFlush.flushTlbFixSpuriousFault(vma, addr, ptep)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** do_numa_page() without the migration: the entry gets its access rights back. */
  protected *doNumaPage(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<number> {
    const entry = pfnPte(ptePfn(pte), this.pageProt(vma))
    yield* this.k.ops.ptepModifyProtStart(vma, addr, ptep)
    yield* this.k.ops.ptepModifyProtCommit(vma, addr, ptep, pte, pteMkyoung(entry))
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** do_pte_missing(). */
  protected *doPteMissing(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    return peek32(vma + VMA.at.file) !== 0
      ? yield* this.doFault(mm, vma, addr, pmdp, flags)
      : yield* this.doAnonymousPage(mm, vma, addr, pmdp, flags)
  }

  // ---- anonymous memory -------------------------------------------------------------------------------------------

  /** do_anonymous_page(). */
  protected *doAnonymousPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    return (flags & FAULT_FLAG_WRITE) !== 0
      ? yield* this.mapAnonPage(mm, vma, addr, pmdp)
      : yield* this.mapZeroPage(mm, vma, addr, pmdp)
  }

  /** Part of do_anonymous_page(), for a read: the zero page, read-only and special (no counts). */
  protected *mapZeroPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    const entry = pteMkspecial(pfnPte(this.k.pages.zeroPfn, this.pageProt(vma)))
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return 0
    if (pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)) yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** Part of do_anonymous_page(), for a write. */
  protected *mapAnonPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    if ((yield* this.k.anonVmas.anonVmaPrepare(vma)) !== 0) return VM_FAULT_OOM
    const pfn = yield* this.allocAnonFolio()
    if (pfn === NO_PAGE) return VM_FAULT_OOM
    const page = this.k.memmap.page(pfn)
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) yield* this.mapNewAnon(mm, vma, addr, ptep, page, true)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (!free) yield* this.k.folios.folioPut(page, 1)
    return 0
  }

  /** alloc_anon_folio(): a cleared page with one reference, uptodate; NO_PAGE without memory. */
  protected *allocAnonFolio(): Step<Pfn> {
    const pfn = yield* this.k.pages.allocPage(FrameKind.data)
    if (pfn === NO_PAGE) return NO_PAGE
    yield* this.k.pages.clearPage(pfn)
    yield* this.folioMarkUptodate(this.k.memmap.page(pfn))
    return pfn
  }

  /**
   * __folio_mark_uptodate(): write barrier: the contents before the flag, and so before the entry that is stored later
   * (P2). Without it another CPU could find the page and read what its last owner left. A reader reaches the data
   * through the entry (dependency).
   */
  protected *folioMarkUptodate(page: PhysAddr): Step<void> {
    yield* this.cpu.smpWmb()
    yield* this.k.folios.setFlag(page, PG_UPTODATE)
  }

  /**
   * Part of do_anonymous_page(), do_cow_fault() and wp_page_copy(): maps a new anonymous page, whose allocation
   * reference becomes the mapping's. Caller: the table's lock.
   */
  protected *mapNewAnon(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    ptep: PhysAddr,
    page: PhysAddr,
    write: boolean,
  ): Step<void> {
    lockdepAssertHeld(this.cpu, this.k.tables.pteLockptr(ptep))
    yield* this.k.rmap.folioAddNewAnonRmap(page, vma, addr)
    this.k.tables.addCounter(phys(mm + MM.at.rssAnon), 1)
    let entry = pteMkyoung(pfnPte(this.k.memmap.pfnOf(page), this.pageProt(vma)))
    if (write) entry = pteMkdirty(entry)
    if (write && (peek32(vma + VMA.at.flags) & VM_WRITE) !== 0) entry = pteMkwrite(entry)
    yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
  }

  // ---- files ------------------------------------------------------------------------------------------------------

  /** do_fault(). The page is looked up here, by __do_fault(), for all three kinds of fault. */
  protected *doFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    const page = yield* this.k.files.filemapFault(vma, this.k.rmap.linearPageIndex(vma, addr))
    if (page === 0) return VM_FAULT_SIGBUS
    if ((flags & FAULT_FLAG_WRITE) === 0) return yield* this.doReadFault(mm, vma, addr, pmdp, page)
    return (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0
      ? yield* this.doSharedFault(mm, vma, addr, pmdp, page)
      : yield* this.doCowFault(mm, vma, addr, pmdp, page)
  }

  /** do_read_fault(): maps the page of the cache. */
  protected *doReadFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    yield* this.finishFault(mm, vma, addr, pmdp, page, false)
    return 0
  }

  /** do_shared_fault(): maps the page of the cache, writable. */
  protected *doSharedFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    yield* this.finishFault(mm, vma, addr, pmdp, page, true)
    return 0
  }

  /**
   * finish_fault(): maps `page` of the vma's file, whose reference becomes the mapping's or is dropped because the
   * entry is taken, or the table gone.
   */
  *finishFault(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    page: PhysAddr,
    write: boolean,
  ): Step<'mapped' | 'taken' | 'gone'> {
    // The folio lock, which filemap_fault() takes and finish_fault() still holds: against the range becoming huge.
    const folio = phys(peek32(vma + VMA.at.file) + FILE.at.hugeLock)
    yield* downRead(this.cpu, this.k.rcu, folio)
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) {
      let entry = pteMkyoung(pfnPte(this.k.memmap.pfnOf(page), this.pageProt(vma)))
      if (write) entry = pteMkwrite(pteMkdirty(entry))
      yield* this.k.rmap.folioAddFileRmapPte(page)
      this.k.tables.addCounter(phys(mm + MM.at.rssFile), 1)
      yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
    }
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    yield* upRead(this.cpu, folio)
    if (!free) yield* this.k.folios.folioPut(page, 1)
    return free ? 'mapped' : ptep === 0 ? 'gone' : 'taken'
  }

  /** do_cow_fault(): `page` comes with a reference, which is dropped. */
  protected *doCowFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    const prepared = yield* this.k.anonVmas.anonVmaPrepare(vma)
    const copy = prepared === 0 ? yield* this.allocCopy(this.k.memmap.pfnOf(page)) : NO_PAGE
    yield* this.k.folios.folioPut(page, 1)
    if (copy === NO_PAGE) return VM_FAULT_OOM
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) yield* this.mapNewAnon(mm, vma, addr, ptep, this.k.memmap.page(copy), true)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (!free) yield* this.k.folios.folioPut(this.k.memmap.page(copy), 1)
    return 0
  }

  /** Part of do_cow_fault() and wp_page_copy(). */
  protected *allocCopy(pfn: Pfn): Step<Pfn> {
    const copy = yield* this.k.pages.allocPage(FrameKind.data)
    if (copy === NO_PAGE) return NO_PAGE
    if (this.k.pages.isZeroPfn(pfn)) yield* this.k.pages.clearPage(copy)
    else yield* this.k.pages.copyPage(copy, pfn)
    yield* this.folioMarkUptodate(this.k.memmap.page(copy))
    return copy
  }

  // ---- write faults on present entries ------------------------------------------------------------------------------

  /** do_wp_page(). Enters with the table locked and the entry equal to `pte`; leaves it unlocked. */
  protected *doWpPage(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    ptep: PhysAddr,
    pte: PteWord,
    flags: number,
  ): Step<number> {
    const unshare = (flags & FAULT_FLAG_UNSHARE) !== 0
    const page = this.k.memmap.page(ptePfn(pte))
    if (!pteSpecial(pte) && (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0)
      return yield* this.wpPageReuse(vma, addr, ptep, pte)
    if (!pteSpecial(pte) && this.k.folios.isAnonPage(page)) {
      if (yield* this.anonReusable(page)) {
        if (!unshare) return yield* this.wpPageReuse(vma, addr, ptep, pte)
        yield* this.k.tables.pteUnmapUnlock(ptep)
        return 0
      }
    }
    if (!pteSpecial(pte)) yield* this.k.folios.folioGet(yield* this.k.folios.compoundHead(page), 1)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return yield* this.wpPageCopy(mm, vma, addr, pmdp, pte, unshare)
  }

  /**
   * Part of do_wp_page(): A4: an exclusive page is never copied; another one is reused only if this mapping is its only
   * reference.
   */
  protected *anonReusable(page: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if (yield* folios.testFlag(page, PG_ANON_EXCLUSIVE)) return true
    const folio = yield* folios.compoundHead(page)
    if ((yield* folios.folioRefCount(folio)) !== 1 || !(yield* folios.folioTrylock(folio))) return false
    const alone = (yield* folios.folioRefCount(folio)) === 1
    if (alone) yield* folios.setFlag(page, PG_ANON_EXCLUSIVE)
    yield* folios.folioUnlock(folio)
    return alone
  }

  /** wp_page_reuse(): the page stays, the entry becomes writable. Unlocks the table. */
  protected *wpPageReuse(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<number> {
    let entry = pteMkdirty(pteMkyoung(pte))
    if ((peek32(vma + VMA.at.flags) & VM_WRITE) !== 0) entry = pteMkwrite(entry)
    yield* this.k.ops.ptepSetAccessFlags(vma, addr, ptep, entry, true)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** wp_page_copy(). A non-special old page comes with a reference, which keeps it for the copy. */
  protected *wpPageCopy(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pte: PteWord,
    unshare: boolean,
  ): Step<number> {
    const old = pteSpecial(pte) ? phys(0) : this.k.memmap.page(ptePfn(pte))
    const prepared = yield* this.k.anonVmas.anonVmaPrepare(vma)
    const copy = prepared === 0 ? yield* this.allocCopy(ptePfn(pte)) : NO_PAGE
    const ptep = copy === NO_PAGE ? phys(0) : yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const same = ptep !== 0 && (yield* this.cpu.readOnce64(ptep)) === pte
    if (same) yield* this.replace(mm, vma, addr, ptep, old, this.k.memmap.page(copy), unshare)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (copy !== NO_PAGE && !same) yield* this.k.folios.folioPut(this.k.memmap.page(copy), 1)
    // The copy's reference, and with the mapping replaced the mapping's own.
    if (old !== 0) yield* this.k.folios.folioPut(yield* this.k.folios.compoundHead(old), same ? 2 : 1)
    return copy === NO_PAGE ? VM_FAULT_OOM : 0
  }

  /** Part of wp_page_copy(). */
  protected *replace(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    ptep: PhysAddr,
    old: PhysAddr,
    page: PhysAddr,
    unshare: boolean,
  ): Step<void> {
    // Cleared and flushed before the new entry is stored: otherwise another CPU could go on reading the old page while
    // this one already writes the new.
    yield* this.k.ops.ptepClearFlush(vma, addr, ptep)
    if (old !== 0) {
      const counter = this.k.folios.isAnonPage(old) ? MM.at.rssAnon : MM.at.rssFile
      this.k.tables.addCounter(phys(mm + counter), -1)
    }
    yield* this.mapNewAnon(mm, vma, addr, ptep, page, !unshare)
    // After the new entry: whoever finds the old page's mapcount at zero may free or reuse it, and no TLB has it now.
    if (old !== 0) yield* this.k.rmap.folioRemoveRmapPte(old)
  }

  /**
   * Part of do_anonymous_page() and finish_fault(): protection bits of `vma` for a page that is not (or not yet)
   * writable: private mappings never start writable.
   */
  protected pageProt(vma: PhysAddr): bigint {
    return vmGetPageProt(peek32(vma + VMA.at.flags))
  }
}
