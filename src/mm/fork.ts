/**
 * fork: a second address space with the same contents.
 *
 * Source: kernel/fork.c dup_mmap(), mm/memory.c copy_page_range() … copy_present_pte() (v6.12). Left out: accounting,
 * memory policies, uffd, swap slots, copying several pages of a large folio at a time, and the pause in
 * copy_pte_range() that lets others have the locks (it splits the walk at any entry; here it is split at tables).
 *
 * Anonymous pages are shared: read-only in both, no longer exclusive to either. A page that may be pinned stays the
 * parent's, and the child gets a copy at once.
 */
import { assert } from '../base/assert.js'
import { phys, type Pfn, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isMigrationEntry,
  isReadableMigrationEntry,
  isSwapPmd,
  makeReadableMigrationEntry,
  pfnPte,
  pmdLeaf,
  pmdNone,
  pteMkclean,
  pteMkdirty,
  pteMkold,
  pteMkwrite,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteWrprotect,
  swpOffset,
  swpOffsetPfn,
  vmGetPageProt,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { writeSeqcountBegin, writeSeqcountEnd } from '../sync/seqcount.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { EAGAIN, ENOMEM, MM, VM_DONTCOPY, VM_MAYWRITE, VM_SHARED, VM_WIPEONFORK, VM_WRITE, VMA } from './mmStruct.js'
import { VM_LOCKED_MASK } from './mlock.js'
import { NO_PAGE, PG_UPTODATE } from './page.js'

/** Fields of the mm that the child starts with. */
const INHERITED = [MM.at.brkStart, MM.at.brk, MM.at.mmapBase] as const

/** Where a copy stopped: entries from `addr` on are to do, `error` says why (0: at the end, or look again). */
interface Progress {
  addr: VirtAddr
  error: number
}

export class Fork extends Part {
  /** dup_mm(): a child of `oldMm` with one user; 0 without memory. Takes and releases both mmap_locks. */
  *dupMm(oldMm: PhysAddr): Step<PhysAddr> {
    const mm = yield* this.k.mms.mmAlloc()
    if (mm === 0) return mm
    if ((yield* this.dupMmap(mm, oldMm)) === 0) return mm
    yield* this.k.mms.mmput(mm)
    return phys(0)
  }

  /** dup_mmap(): 0 or -ENOMEM, with `mm` then partly filled. */
  *dupMmap(mm: PhysAddr, oldMm: PhysAddr): Step<number> {
    yield* this.k.mms.mmapWriteLock(oldMm)
    // Nested: nobody else knows the child.
    yield* this.k.mms.mmapWriteLock(mm)
    for (const field of INHERITED) pokeF64(mm + field, peekF64(oldMm + field))
    const stamp = this.k.observer.callBegins(this.cpu)
    // Levels are inherited where they grow.
    let error = (yield* this.k.upper.reach(mm, peekF64(oldMm + MM.at.asceLimit))) ? 0 : -ENOMEM
    for (let vma = this.k.vmas.findVma(oldMm, 0); vma !== 0 && error === 0; vma = this.k.vmas.next(vma))
      if ((peek32(vma + VMA.at.flags) & VM_DONTCOPY) === 0) error = yield* this.dupVma(mm, oldMm, vma)
    yield* this.k.mms.mmapWriteUnlock(mm)
    yield* this.flushParent(oldMm)
    if (error === 0) this.noteForked(mm, oldMm, stamp)
    yield* this.k.mms.mmapWriteUnlock(oldMm)
    return error
  }

  /**
   * Tells the oracles which contents the child has. Behind the flush: until then the parent's threads may store through
   * a translation of before to a page that the child has by now.
   */
  protected noteForked(mm: PhysAddr, oldMm: PhysAddr, stamp: number): void {
    for (let vma = this.k.vmas.findVma(oldMm, 0); vma !== 0; vma = this.k.vmas.next(vma)) {
      if ((peek32(vma + VMA.at.flags) & (VM_DONTCOPY | VM_WIPEONFORK)) !== 0) continue
      const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
      this.k.observer.contentsForked(this.cpu, oldMm, mm, start, end, stamp)
    }
  }

  /**
   * Part of dup_mmap(): the parent's writable translations go before fork returns: a store through one would change a
   * page that the child shares. Before mmap_lock goes, since faults from then on rely on what the entries say.
   */
  protected *flushParent(mm: PhysAddr): Step<void> {
    yield* this.k.tlbFlush.flushTlbMm(mm)
  }

  /** Part of dup_mmap(). */
  protected *dupVma(mm: PhysAddr, oldMm: PhysAddr, vma: PhysAddr): Step<number> {
    yield* this.k.vmaLock.vmaStartWrite(vma)
    const copy = yield* this.k.vmas.vmAreaDup(vma, mm)
    if (copy === 0) return -ENOMEM
    const flags = peek32(copy + VMA.at.flags)
    const wipe = (flags & VM_WIPEONFORK) !== 0
    // Before the first page is shared: an rmap walk must find every mapping of a page.
    if (!wipe) yield* this.k.anonVmas.anonVmaFork(copy, vma)
    poke32(copy + VMA.at.flags, flags & ~VM_LOCKED_MASK)
    if ((yield* this.k.vmas.vmaLink(copy)) !== 0) {
      yield* this.k.vmas.removeVma(copy)
      return -ENOMEM
    }
    if (peek32(oldMm + MM.at.stackVma) === vma) poke32(mm + MM.at.stackVma, copy)
    if (wipe) return 0
    return yield* this.copyPageRange(copy, vma)
  }

  // ---- copy_page_range() --------------------------------------------------------------------------------------------

  /** copy_page_range(): 0 or -ENOMEM. Caller: both mmap_locks for write. */
  *copyPageRange(dstVma: PhysAddr, srcVma: PhysAddr): Step<number> {
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(dstVma))
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(srcVma))
    // Without anonymous pages faults fill the child just as well.
    if (peek32(srcVma + VMA.at.anonVma) === 0) return 0
    const srcMm = this.k.mmOf(srcVma)
    const cow = isCowMapping(srcVma)
    if (cow) yield* this.beginWriteProtect(srcMm)
    const error = yield* this.copyRange(dstVma, srcVma)
    if (cow) yield* this.endWriteProtect(srcMm)
    return error
  }

  /**
   * Part of copy_page_range(): gup_fast pins without mmap_lock. Inside this section it gives its pins up again, so that
   * a page found unpinned here stays so until it is write-protected and shared (BUG-19). Pairs with the looks
   * at the count in GupFast.gupFast().
   */
  protected *beginWriteProtect(mm: PhysAddr): Step<void> {
    yield* writeSeqcountBegin(this.cpu, phys(mm + MM.at.writeProtectSeq))
  }

  /** Part of copy_page_range(). */
  protected *endWriteProtect(mm: PhysAddr): Step<void> {
    yield* writeSeqcountEnd(this.cpu, phys(mm + MM.at.writeProtectSeq))
  }

  /** Part of copy_page_range(). */
  protected *copyRange(dstVma: PhysAddr, srcVma: PhysAddr): Step<number> {
    const { geo } = this.k
    const end = peekF64(srcVma + VMA.at.end) as VirtAddr
    for (let addr = peekF64(srcVma + VMA.at.start) as VirtAddr; addr < end; addr = geo.pmdAddrEnd(addr, end)) {
      const srcPmdp = yield* this.k.upper.mmFindPmd(this.k.mmOf(srcVma), addr)
      if (srcPmdp === 0 || pmdNone((yield* this.cpu.readOnce64(srcPmdp)) as PteWord)) continue
      const error = yield* this.copyPmd(dstVma, srcVma, srcPmdp, addr, geo.pmdAddrEnd(addr, end))
      if (error !== 0) return error
    }
    return 0
  }

  /** Part of copy_pmd_range(). */
  protected *copyPmd(
    dstVma: PhysAddr,
    srcVma: PhysAddr,
    srcPmdp: PhysAddr,
    addr: VirtAddr,
    end: VirtAddr,
  ): Step<number> {
    const [dstMm, srcMm] = [this.k.mmOf(dstVma), this.k.mmOf(srcVma)]
    const dstPmdp = yield* this.k.upper.mmAllocPmd(dstMm, addr)
    if (dstPmdp === 0) return -ENOMEM
    const pmd = (yield* this.cpu.readOnce64(srcPmdp)) as PteWord
    if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
      const error = yield* this.k.huge.copyHugePmd(dstMm, srcMm, dstPmdp, srcPmdp, addr, dstVma, srcVma)
      // -EAGAIN: maybe pinned, and split by now. Page by page then.
      if (error !== -EAGAIN) return error
      if (pmdNone((yield* this.cpu.readOnce64(srcPmdp)) as PteWord)) return 0
    }
    return yield* this.copyPteRange(dstVma, srcVma, dstPmdp, srcPmdp, addr, end)
  }

  /** copy_pte_range(). A page to copy needs memory, which is not taken under the locks: drop them, allocate, go on. */
  protected *copyPteRange(
    dstVma: PhysAddr,
    srcVma: PhysAddr,
    dstPmdp: PhysAddr,
    srcPmdp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
  ): Step<number> {
    const progress: Progress = { addr: start, error: 0 }
    let spare: Pfn = NO_PAGE
    while (progress.addr < end) {
      if (!(yield* this.k.tables.pteAlloc(this.k.mmOf(dstVma), dstPmdp, start))) return -ENOMEM
      spare = yield* this.copyLocked(dstVma, srcVma, dstPmdp, srcPmdp, progress, end, spare)
      if (progress.error !== -EAGAIN) continue
      spare = yield* this.k.pages.allocPage(FrameKind.data)
      if (spare === NO_PAGE) return -ENOMEM
    }
    if (spare !== NO_PAGE) yield* this.k.folios.folioPut(this.k.memmap.page(spare), 1)
    return 0
  }

  /**
   * Part of copy_pte_range(): copies entries until the end, or until one needs a page and there is no spare one.
   * Returns the spare page left.
   */
  protected *copyLocked(
    dstVma: PhysAddr,
    srcVma: PhysAddr,
    dstPmdp: PhysAddr,
    srcPmdp: PhysAddr,
    progress: Progress,
    end: VirtAddr,
    spare: Pfn,
  ): Step<Pfn> {
    const { tables, geo } = this.k
    progress.error = 0
    const dst = yield* tables.pteOffsetMapLock(this.k.mmOf(dstVma), dstPmdp, progress.addr)
    assert(dst !== 0, 'a table of a child that nobody knows stays')
    const src = yield* tables.pteOffsetMap(srcPmdp, progress.addr)
    if (src === 0) {
      yield* tables.pteUnmapUnlock(dst)
      progress.addr = end
      return spare
    }
    // Nested: nobody else knows the child's tables.
    yield* spinLock(this.cpu, tables.pteLockptr(src))
    let left = spare
    for (let offset = 0; progress.addr < end; offset += 8) {
      const used = yield* this.copyEntry(dstVma, srcVma, phys(dst + offset), phys(src + offset), progress.addr, left)
      if (used === NEEDS_PAGE) progress.error = -EAGAIN
      if (used === NEEDS_PAGE) break
      if (used === USED_PAGE) left = NO_PAGE
      progress.addr = (progress.addr + geo.pageSize) as VirtAddr
    }
    yield* spinUnlock(this.cpu, tables.pteLockptr(src))
    tables.pteUnmap()
    yield* tables.pteUnmapUnlock(dst)
    return left
  }

  // ---- one entry, both locks held ----------------------------------------------------------------------------------

  /** Part of copy_pte_range(). */
  protected *copyEntry(
    dstVma: PhysAddr,
    srcVma: PhysAddr,
    dst: PhysAddr,
    src: PhysAddr,
    addr: VirtAddr,
    spare: Pfn,
  ): Step<number> {
    const pte = (yield* this.cpu.readOnce64(src)) as PteWord
    if (pteNone(pte)) return COPIED
    if (!ptePresent(pte)) return yield* this.copyNonpresentPte(dstVma, srcVma, dst, src, addr, pte)
    if (!pteSpecial(pte) && !(yield* this.sharePage(dstVma, ptePfn(pte)))) {
      if (spare === NO_PAGE) return NEEDS_PAGE
      yield* this.copyPresentPage(dstVma, dst, addr, ptePfn(pte), spare)
      return USED_PAGE
    }
    let entry = pte
    if (isCowMapping(srcVma) && pteWrite(pte)) {
      yield* this.k.ops.ptepSetWrprotect(this.k.mmOf(srcVma), addr, src)
      entry = pteWrprotect(entry)
    }
    if ((peek32(srcVma + VMA.at.flags) & VM_SHARED) !== 0) entry = pteMkclean(entry)
    yield* this.k.ops.setPteAt(this.k.mmOf(dstVma), addr, dst, pteMkold(entry))
    return COPIED
  }

  /**
   * Part of copy_present_ptes(): reference, then mapcount (R1), for the child's mapping. False: may be pinned, nothing
   * done.
   */
  protected *sharePage(dstVma: PhysAddr, pfn: Pfn): Step<boolean> {
    const { folios, rmap, tables } = this.k
    const page = this.k.memmap.page(pfn)
    const folio = yield* folios.compoundHead(page)
    const anon = folios.isAnon(folio)
    yield* folios.folioGet(folio, 1)
    if (anon && !(yield* rmap.folioTryDupAnonRmapPte(page))) {
      yield* folios.folioPut(folio, 1)
      return false
    }
    if (!anon) yield* rmap.folioAddFileRmapPte(page)
    tables.addCounter(phys(this.k.mmOf(dstVma) + (anon ? MM.at.rssAnon : MM.at.rssFile)), 1)
    return true
  }

  /** copy_present_page(): the child's own, exclusive and dirty. The parent's entry stays as it is. */
  protected *copyPresentPage(dstVma: PhysAddr, dst: PhysAddr, addr: VirtAddr, from: Pfn, to: Pfn): Step<void> {
    const mm = this.k.mmOf(dstVma)
    const flags = peek32(dstVma + VMA.at.flags)
    yield* this.k.pages.copyPage(to, from)
    // Write barrier: the contents before the flag, and so before the entry (P2).
    yield* this.cpu.smpWmb()
    yield* this.k.folios.setFlag(this.k.memmap.page(to), PG_UPTODATE)
    yield* this.k.rmap.folioAddNewAnonRmap(this.k.memmap.page(to), dstVma, addr)
    this.k.tables.addCounter(phys(mm + MM.at.rssAnon), 1)
    const entry = pteMkdirty(pfnPte(to, vmGetPageProt(flags)))
    yield* this.k.ops.setPteAt(mm, addr, dst, (flags & VM_WRITE) !== 0 ? pteMkwrite(entry) : entry)
  }

  /** copy_nonpresent_pte(): a page on its way arrives read-only and shared in both. It has no references to take. */
  protected *copyNonpresentPte(
    dstVma: PhysAddr,
    srcVma: PhysAddr,
    dst: PhysAddr,
    src: PhysAddr,
    addr: VirtAddr,
    pte: PteWord,
  ): Step<number> {
    let entry = pte
    if (isMigrationEntry(pte)) {
      const anon = this.k.folios.isAnonPage(this.k.memmap.page(swpOffsetPfn(pte)))
      this.k.tables.addCounter(phys(this.k.mmOf(dstVma) + (anon ? MM.at.rssAnon : MM.at.rssFile)), 1)
      if (!isReadableMigrationEntry(pte) && isCowMapping(srcVma)) {
        entry = makeReadableMigrationEntry(swpOffset(pte))
        yield* this.k.ops.setPteAt(this.k.mmOf(srcVma), addr, src, entry)
      }
    }
    yield* this.k.ops.setPteAt(this.k.mmOf(dstVma), addr, dst, entry)
    return COPIED
  }
}

const COPIED = 0
const NEEDS_PAGE = 1
const USED_PAGE = 2

/** is_cow_mapping(): private, and writable now or later. */
function isCowMapping(vma: PhysAddr): boolean {
  return (peek32(vma + VMA.at.flags) & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE
}
