/**
 * madvise(). A file for each kind of advice about pages, which add up to Madvise:
 *
 *   madviseFolio.ts   a walk over folios, which splits what the range covers partly
 *   madviseFree.ts    MADV_FREE
 *   madviseCold.ts    MADV_COLD, MADV_PAGEOUT
 *   madvise.ts        the call; advice about flags, and the rest of the advice about pages
 *
 * Source: mm/madvise.c (v6.12; guard pages v6.13, sealing v6.18). Left out: memory failure. KSM is a flag of the VMA
 * and nothing behind it. Guard pages are discarded, but no marker is left in their place: the next access gets a new
 * page instead of a signal. MADV_REMOVE unmaps the pages and leaves them in the file. MADV_WILLNEED of anonymous memory
 * has nothing to read.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { isSwapPmd, PMD_EMPTY, pmdNone } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { MadviseCold } from './madviseCold.js'
import type { AdvisedRange } from './madviseFolio.js'
import {
  EACCES,
  EINVAL,
  ENOMEM,
  EPERM,
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_HUGEPAGE,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_RAND_READ,
  VM_SEQ_READ,
  VM_NOHUGEPAGE,
  VM_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
  VMA,
} from './mmStruct.js'
import { VM_SPECIAL } from './vmaMerge.js'

export const MADV_NORMAL = 0
export const MADV_RANDOM = 1
export const MADV_SEQUENTIAL = 2
export const MADV_WILLNEED = 3
export const MADV_DONTNEED = 4
export const MADV_FREE = 8
export const MADV_REMOVE = 9
export const MADV_DONTFORK = 10
export const MADV_DOFORK = 11
export const MADV_MERGEABLE = 12
export const MADV_UNMERGEABLE = 13
export const MADV_HUGEPAGE = 14
export const MADV_NOHUGEPAGE = 15
export const MADV_DONTDUMP = 16
export const MADV_DODUMP = 17
export const MADV_WIPEONFORK = 18
export const MADV_KEEPONFORK = 19
export const MADV_COLD = 20
export const MADV_PAGEOUT = 21
export const MADV_POPULATE_READ = 22
export const MADV_POPULATE_WRITE = 23
export const MADV_DONTNEED_LOCKED = 24
export const MADV_COLLAPSE = 25
export const MADV_GUARD_INSTALL = 102
export const MADV_GUARD_REMOVE = 103

/** Flags that advice sets and clears; all other advice is about pages. */
const FLAG_CHANGES: ReadonlyMap<number, { readonly set: number; readonly clear: number }> = new Map([
  [MADV_NORMAL, { set: 0, clear: VM_SEQ_READ | VM_RAND_READ }],
  [MADV_RANDOM, { set: VM_RAND_READ, clear: VM_SEQ_READ }],
  [MADV_SEQUENTIAL, { set: VM_SEQ_READ, clear: VM_RAND_READ }],
  [MADV_DONTFORK, { set: VM_DONTCOPY, clear: 0 }],
  [MADV_DOFORK, { set: 0, clear: VM_DONTCOPY }],
  [MADV_HUGEPAGE, { set: VM_HUGEPAGE, clear: VM_NOHUGEPAGE }],
  [MADV_NOHUGEPAGE, { set: VM_NOHUGEPAGE, clear: VM_HUGEPAGE }],
  [MADV_DONTDUMP, { set: VM_DONTDUMP, clear: 0 }],
  [MADV_DODUMP, { set: 0, clear: VM_DONTDUMP }],
  [MADV_WIPEONFORK, { set: VM_WIPEONFORK, clear: 0 }],
  [MADV_KEEPONFORK, { set: 0, clear: VM_WIPEONFORK }],
  [MADV_MERGEABLE, { set: VM_MERGEABLE, clear: 0 }],
  [MADV_UNMERGEABLE, { set: 0, clear: VM_MERGEABLE }],
])

/** Advice about the pages that are there, under mmap_lock for read. */
const PAGE_ADVICE: readonly number[] = [
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_DONTNEED_LOCKED,
  MADV_COLLAPSE,
  MADV_REMOVE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
]

/** is_discard(): advice that takes contents away, which sealed memory refuses. */
const DISCARDS: readonly number[] = [
  MADV_FREE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_WIPEONFORK,
  MADV_GUARD_INSTALL,
]

export class Madvise extends MadviseCold {
  /** do_madvise(). 0 or a negative errno; over a hole it goes on and returns -ENOMEM at the end. */
  *doMadvise(mm: PhysAddr, start: number, len: number, advice: number): Step<number> {
    const populate = advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE
    if (!populate && !PAGE_ADVICE.includes(advice) && !FLAG_CHANGES.has(advice)) return -EINVAL
    if (start % this.k.geo.pageSize !== 0) return -EINVAL
    const end = start + this.k.mmap.pageAlign(len)
    if (end < start) return -EINVAL
    if (end === start) return 0
    if (populate) return yield* this.madvisePopulate(mm, start, end, advice === MADV_POPULATE_WRITE)
    return FLAG_CHANGES.has(advice)
      ? yield* this.adviseFlags(mm, start, end, advice)
      : yield* this.advisePages(mm, start, end, advice)
  }

  // ---- flags --------------------------------------------------------------------------------------------------------

  /** Part of do_madvise(). */
  protected *adviseFlags(mm: PhysAddr, start: number, end: number, advice: number): Step<number> {
    yield* this.k.mms.mmapWriteLock(mm)
    let [at, error, unmapped] = [start, 0, 0]
    while (at < end && error === 0) {
      const vma = this.k.vmas.findVma(mm, at)
      if (vma === 0 || peekF64(vma + VMA.at.start) > at) unmapped = -ENOMEM
      if (vma === 0 || peekF64(vma + VMA.at.start) >= end) break
      const from = Math.max(at, peekF64(vma + VMA.at.start))
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      error = yield* this.madviseUpdateVma(vma, from, to, advice)
      at = to
    }
    yield* this.k.mms.mmapWriteUnlock(mm)
    return error !== 0 ? error : unmapped
  }

  /** madvise_update_vma(). */
  protected *madviseUpdateVma(vma: PhysAddr, start: number, end: number, advice: number): Step<number> {
    const old = peek32(vma + VMA.at.flags)
    if (!this.canMadviseModify(vma, advice)) return -EPERM
    const change = FLAG_CHANGES.get(advice)
    const shared = peek32(vma + VMA.at.file) !== 0 || (old & VM_SHARED) !== 0
    if (change === undefined || (advice === MADV_WIPEONFORK && shared)) return -EINVAL
    if (advice === MADV_DODUMP && (old & (VM_SPECIAL | VM_DROPPABLE)) !== 0) return -EINVAL
    if (advice === MADV_KEEPONFORK && (old & VM_DROPPABLE) !== 0) return -EINVAL
    // What KSM cannot merge, it is not told of.
    const excluded = VM_SHARED | VM_MAYSHARE | VM_SPECIAL | VM_DROPPABLE
    if (advice === MADV_MERGEABLE && (old & excluded) !== 0) return 0
    const wanted = (old & ~change.clear) | change.set
    if (wanted === old) return 0
    const changed = yield* this.k.vmas.vmaModifyFlags(vma, start as VirtAddr, end as VirtAddr, wanted)
    if (changed === 0) return -ENOMEM
    poke32(changed + VMA.at.flags, wanted)
    return 0
  }

  /** can_madvise_modify(): files, and what could be written over anyway, may be discarded, too. */
  protected canMadviseModify(vma: PhysAddr, advice: number): boolean {
    if (this.k.mseal.canModifyVma(vma) || !DISCARDS.includes(advice)) return true
    return peek32(vma + VMA.at.file) !== 0 || (peek32(vma + VMA.at.flags) & VM_WRITE) !== 0
  }

  /**
   * Gives every VMA of start … end the label, as madvise_set_anon_name() and mbind_range() do theirs. 0, or -ENOMEM at
   * the end when it has gone over a hole. Takes and releases mmap_lock.
   */
  *setLabel(mm: PhysAddr, start: number, len: number, label: number): Step<number> {
    if (start % this.k.geo.pageSize !== 0) return -EINVAL
    const end = start + this.k.mmap.pageAlign(len)
    yield* this.k.mms.mmapWriteLock(mm)
    let [at, error] = [start, 0]
    while (at < end) {
      const vma = this.k.vmas.vmaLookup(mm, at)
      const next = vma === 0 ? this.k.vmas.findVmaIntersection(mm, at, end) : vma
      if (vma === 0) error = -ENOMEM
      if (next === 0) break
      const from = Math.max(at, peekF64(next + VMA.at.start))
      const to = Math.min(end, peekF64(next + VMA.at.end))
      if (peek32(next + VMA.at.label) !== label) {
        const changed = yield* this.k.vmas.vmaModifyLabel(next, from as VirtAddr, to as VirtAddr, label)
        if (changed === 0) error = -ENOMEM
        else poke32(changed + VMA.at.label, label)
      }
      at = to
    }
    yield* this.k.mms.mmapWriteUnlock(mm)
    return error
  }

  // ---- pages --------------------------------------------------------------------------------------------------------

  /** Part of do_madvise(). */
  protected *advisePages(mm: PhysAddr, start: number, end: number, advice: number): Step<number> {
    const stamp = this.k.observer.callBegins(this.cpu)
    yield* this.k.mms.mmapReadLock(mm)
    let [at, error, unmapped] = [start, 0, 0]
    while (at < end && error === 0) {
      const vma = this.k.vmas.findVma(mm, at)
      if (vma === 0 || peekF64(vma + VMA.at.start) > at) unmapped = -ENOMEM
      if (vma === 0 || peekF64(vma + VMA.at.start) >= end) break
      const from = Math.max(at, peekF64(vma + VMA.at.start))
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      error = yield* this.adviseVma(mm, vma, from as VirtAddr, to as VirtAddr, advice, stamp)
      at = to
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return error !== 0 ? error : unmapped
  }

  /**
   * Part of madvise_vma_behavior(): `stamp`: when the call began. A hole promises nothing: a munmap() that made it may
   * still be about to zap.
   */
  protected *adviseVma(
    mm: PhysAddr,
    vma: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    advice: number,
    stamp: number,
  ): Step<number> {
    const locked = (peek32(vma + VMA.at.flags) & VM_LOCKED) !== 0
    const file = peek32(vma + VMA.at.file) !== 0
    if (!this.canMadviseModify(vma, advice)) return -EPERM
    switch (advice) {
      case MADV_DONTNEED:
      case MADV_DONTNEED_LOCKED:
        if (locked && advice === MADV_DONTNEED) return -EINVAL
        yield* this.k.zap.zapPageRangeSingle(mm, vma, start, end)
        this.k.observer.callReturns(this.cpu, 'discard', mm, start, end, stamp)
        return 0
      case MADV_FREE:
        if (locked || file) return -EINVAL
        this.k.observer.contentsGivingUp(this.cpu, mm, start, end, -1)
        yield* this.adviseFolios(mm, vma, start, end, 'free')
        this.k.observer.contentsFreed(this.cpu, mm, start, end)
        this.k.observer.contentsGivenUp(this.cpu, false)
        return 0
      case MADV_COLD:
      case MADV_PAGEOUT:
        if (locked) return -EINVAL
        yield* this.adviseFolios(mm, vma, start, end, advice === MADV_COLD ? 'cold' : 'pageout')
        return 0
      case MADV_REMOVE:
        return yield* this.madviseRemove(mm, vma, start, end)
      case MADV_GUARD_INSTALL:
        return locked ? -EINVAL : yield* this.madviseGuardInstall(mm, vma, start, end)
      case MADV_GUARD_REMOVE:
        return (peek32(vma + VMA.at.flags) & VM_SPECIAL) !== 0 ? -EINVAL : 0
      case MADV_WILLNEED:
        if (file) yield* this.madviseWillneed(vma, start, end)
        return 0
      case MADV_COLLAPSE:
        return yield* this.collapse(mm, start, end)
      default:
        return 0
    }
  }

  /** Part of madvise_vma_behavior(): madvise_collapse() gives mmap_lock away, and the caller looks its VMA up again. */
  protected *collapse(mm: PhysAddr, start: VirtAddr, end: VirtAddr): Step<number> {
    yield* this.k.mms.mmapReadUnlock(mm)
    const result = yield* this.k.khugepaged.madviseCollapse(mm, start, end)
    yield* this.k.mms.mmapReadLock(mm)
    return result
  }

  /** madvise_remove(): mmap_lock is given away while the hole is punched. */
  protected *madviseRemove(mm: PhysAddr, vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<number> {
    const flags = peek32(vma + VMA.at.flags)
    const file = phys(peek32(vma + VMA.at.file))
    if ((flags & VM_LOCKED) !== 0 || file === 0) return -EINVAL
    if ((flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE)) return -EACCES
    const [first, pages] = [this.k.vmas.pgoffOf(vma, start), (end - start) / this.k.geo.pageSize]
    yield* this.k.files.getFile(file)
    yield* this.k.mms.mmapReadUnlock(mm)
    yield* this.k.truncate.vfsFallocate(file, first, pages)
    yield* this.k.files.fput(file)
    yield* this.k.mms.mmapReadLock(mm)
    return 0
  }

  /** madvise_guard_install(). */
  protected *madviseGuardInstall(mm: PhysAddr, vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<number> {
    const flags = peek32(vma + VMA.at.flags)
    if ((flags & VM_SPECIAL) !== 0) return -EINVAL
    // With markers in its tables the VMA is not empty, so that it has to look like one with pages.
    if ((flags & VM_SHARED) === 0 && (yield* this.k.anonVmas.anonVmaPrepare(vma)) !== 0) return -ENOMEM
    yield* this.k.zap.zapPageRangeSingle(mm, vma, start, end)
    return 0
  }

  // ---- MADV_FREE, MADV_COLD, MADV_PAGEOUT ---------------------------------------------------------------------------

  /** Part of madvise_vma_behavior(): madvise_free_single_vma(), madvise_cold() and madvise_pageout(). */
  protected *adviseFolios(
    mm: PhysAddr,
    vma: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    advice: AdvisedRange['advice'],
  ): Step<void> {
    const { gather, geo, lru, upper } = this.k
    yield* lru.lruAddDrain()
    yield* gather.tlbGatherMmu(mm, false)
    for (let addr = start; addr < end;) {
      const next = geo.pmdAddrEnd(addr, end)
      const pmdp = yield* upper.mmFindPmd(mm, addr)
      const pmd = pmdp === 0 ? PMD_EMPTY : ((yield* this.cpu.readOnce64(pmdp)) as PteWord)
      const range: AdvisedRange = { advice, vma, pmdp, addr, nr: 1, end: next, isolated: [] }
      if (!pmdNone(pmd) && !isSwapPmd(pmd))
        yield* advice === 'free' ? this.madviseFreePteRange(range, pmd) : this.madviseColdOrPageoutPteRange(range, pmd)
      addr = next
    }
    yield* gather.tlbFinishMmu()
  }

  protected override *adviseFolio(range: AdvisedRange, ptep: PhysAddr, folio: PhysAddr): Step<void> {
    if (range.advice === 'free') yield* this.freeFolio(range, ptep, folio)
    else yield* this.coldFolio(range, ptep, folio)
  }

  // ---- MADV_WILLNEED ------------------------------------------------------------------------------------------------

  /** madvise_willneed(), of a file. Upstream gives mmap_lock away meanwhile: reading may take long. */
  protected *madviseWillneed(vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    const first = this.k.rmap.linearPageIndex(vma, start)
    yield* this.k.readahead.forcePageCacheReadahead(
      phys(peek32(vma + VMA.at.file)),
      first,
      this.k.geo.pagesIn(end - start),
    )
  }

  // ---- MADV_POPULATE ------------------------------------------------------------------------------------------------

  /** madvise_populate(): up to the first hole (-ENOMEM) or wrong right (-EINVAL). */
  protected *madvisePopulate(mm: PhysAddr, start: number, end: number, write: boolean): Step<number> {
    yield* this.k.mms.mmapReadLock(mm)
    let error = 0
    for (let at = start; at < end && error === 0;) {
      const vma = this.k.vmas.vmaLookup(mm, at)
      const allowed = vma !== 0 && (peek32(vma + VMA.at.flags) & (write ? VM_WRITE : VM_READ)) !== 0
      if (vma === 0 || !allowed) error = vma === 0 ? -ENOMEM : -EINVAL
      else {
        const to = Math.min(end, peekF64(vma + VMA.at.end))
        error = yield* this.k.mmap.mlock.faultinRange(vma, at, to, write)
        at = to
      }
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return error
  }
}
