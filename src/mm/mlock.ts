/**
 * mlock(), munlock(), mlockall(), and populating memory: faulting pages in before they are touched.
 *
 * Source: mm/mlock.c, mm/gup.c __mm_populate() and faultin_page_range() (v6.12). Left out: PG_mlocked, the unevictable
 * list and RLIMIT_MEMLOCK: nothing is reclaimed here, so a locked page is one that is there.
 *
 * Populating looks at each page and faults until it is usable. That is gup without references, which does not care
 * about NUMA hints; entries are read without locks, which is enough to decide whether to fault once more.
 */
import { type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pmdLeaf, pmdPresent, pmdWrite, pteNone, ptePresent, pteWrite } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_RETRY } from './faultFlags.js'
import { Part } from './part.js'
import {
  EAGAIN,
  EFAULT,
  EINVAL,
  ENOMEM,
  MM,
  VM_DROPPABLE,
  VM_EXEC,
  VM_LOCKED,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
  VMA,
} from './mmStruct.js'
import { VM_SPECIAL } from './vmaMerge.js'

export const MCL_CURRENT = 1
export const MCL_FUTURE = 2
export const MCL_ONFAULT = 4

/** Locked when touched, not before. */
export const VM_LOCKONFAULT = 0x80000
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT

export class Mlock extends Part {
  // ---- the system calls --------------------------------------------------------------------------------------------

  /** do_mlock(), of mlock2(): `onfault` for MLOCK_ONFAULT. 0 or a negative errno. */
  *doMlock(mm: PhysAddr, start: number, len: number, onfault: boolean): Step<number> {
    const first = this.k.geo.pageAlignDown(start as VirtAddr)
    const end = first + this.k.mmap.pageAlign(len + (start - first))
    const error = yield* this.lockRange(mm, first, end, onfault ? VM_LOCKED_MASK : VM_LOCKED)
    if (error !== 0) return error
    const populated = yield* this.mmPopulate(mm, first, end, false)
    // What POSIX wants mlock() to say.
    return populated === -EFAULT ? -ENOMEM : populated === -ENOMEM ? -EAGAIN : populated
  }

  *doMunlock(mm: PhysAddr, start: number, len: number): Step<number> {
    const first = this.k.geo.pageAlignDown(start as VirtAddr)
    return yield* this.lockRange(mm, first, first + this.k.mmap.pageAlign(len + (start - first)), 0)
  }

  /** sys_mlockall(): 0 or a negative errno; pages that cannot be had are no error. */
  *sysMlockall(mm: PhysAddr, flags: number): Step<number> {
    const known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT
    if (flags === 0 || (flags & ~known) !== 0 || flags === MCL_ONFAULT) return -EINVAL
    yield* this.k.mms.mmapWriteLock(mm)
    yield* this.applyMlockallFlags(mm, flags)
    yield* this.k.mms.mmapWriteUnlock(mm)
    if ((flags & MCL_CURRENT) !== 0) yield* this.mmPopulate(mm, 0, this.k.geo.taskSize, true)
    return 0
  }

  /** sys_munlockall(). */
  *sysMunlockall(mm: PhysAddr): Step<number> {
    yield* this.k.mms.mmapWriteLock(mm)
    yield* this.applyMlockallFlags(mm, 0)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return 0
  }

  /** apply_mlockall_flags(): for new mappings, and for all that there are unless only those are asked for. */
  protected *applyMlockallFlags(mm: PhysAddr, flags: number): Step<void> {
    const locked = (flags & MCL_ONFAULT) !== 0 ? VM_LOCKED_MASK : VM_LOCKED
    const others = peek32(mm + MM.at.defFlags) & ~VM_LOCKED_MASK
    poke32(mm + MM.at.defFlags, (flags & MCL_FUTURE) !== 0 ? others | locked : others)
    if ((flags & MCL_FUTURE) !== 0 && (flags & MCL_CURRENT) === 0) return
    const wanted = (flags & MCL_CURRENT) !== 0 ? locked : 0
    for (let vma = this.k.vmas.findVma(mm, 0); vma !== 0; vma = this.k.vmas.next(vma)) {
      const fixed = yield* this.mlockFixup(vma, peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end), wanted)
      if (fixed !== 0) vma = fixed
    }
  }

  /** Part of do_mlock(). */
  protected *lockRange(mm: PhysAddr, start: number, end: number, flags: number): Step<number> {
    if (end < start) return -EINVAL
    if (end === start) return 0
    yield* this.k.mms.mmapWriteLock(mm)
    const result = yield* this.applyVmaLockFlags(mm, start, end, flags)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return result
  }

  /** apply_vma_lock_flags(): up to the first hole, which is -ENOMEM. mmap_lock for write. */
  protected *applyVmaLockFlags(mm: PhysAddr, start: number, end: number, flags: number): Step<number> {
    for (let at = start; at < end;) {
      const vma = this.k.vmas.vmaLookup(mm, at)
      if (vma === 0) return -ENOMEM
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      if ((yield* this.mlockFixup(vma, at, to, flags)) === 0) return -ENOMEM
      at = to
    }
    return 0
  }

  /** mlock_fixup(): the VMA that start … end of `vma` is in afterwards; 0 without memory for one. */
  protected *mlockFixup(vma: PhysAddr, start: number, end: number, flags: number): Step<PhysAddr> {
    const old = peek32(vma + VMA.at.flags)
    const wanted = (old & ~VM_LOCKED_MASK) | flags
    if (wanted === old || (old & (VM_SPECIAL | VM_DROPPABLE)) !== 0) return vma
    const changed = yield* this.k.vmas.vmaModifyFlags(vma, start as VirtAddr, end as VirtAddr, wanted)
    if (changed === 0) return changed
    poke32(changed + VMA.at.flags, wanted)
    // mlock_vma_pages_range(): pages are not marked here, so having the LRU up to date for it is what is left.
    if ((old & wanted & VM_LOCKED) === 0) yield* this.k.lru.lruAddDrain()
    return changed
  }

  // ---- populate ----------------------------------------------------------------------------------------------------

  /**
   * __mm_populate(): every mapped page of start … end. 0 or a negative errno; stops at the first unless it is to ignore
   * them. Takes mmap_lock.
   */
  *mmPopulate(mm: PhysAddr, start: number, end: number, ignoreErrors: boolean): Step<number> {
    yield* this.k.mms.mmapReadLock(mm)
    let error = 0
    for (let at = start; at < end && error === 0;) {
      const vma = this.k.vmas.findVmaIntersection(mm, at, end)
      if (vma === 0) break
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      error = yield* this.populateVmaPageRange(vma, Math.max(at, peekF64(vma + VMA.at.start)), to)
      if (ignoreErrors) error = 0
      at = to
    }
    yield* this.k.mms.mmapReadUnlock(mm)
    return error
  }

  /** populate_vma_page_range(): private writable memory as if written to. mmap_lock held. 0 or a negative errno. */
  *populateVmaPageRange(vma: PhysAddr, start: number, end: number): Step<number> {
    const flags = peek32(vma + VMA.at.flags)
    if ((flags & VM_LOCKONFAULT) !== 0) return 0
    if ((flags & (VM_READ | VM_WRITE | VM_EXEC)) === 0) return -EFAULT
    return yield* this.faultinRange(vma, start, end, (flags & (VM_WRITE | VM_SHARED)) === VM_WRITE)
  }

  /**
   * Part of populate_vma_page_range(): faults until every page of start … end, all in `vma`, can be read or written.
   * mmap_lock held.
   */
  *faultinRange(vma: PhysAddr, start: number, end: number, write: boolean): Step<number> {
    const mm = this.k.mmOf(vma)
    for (let at = start; at < end;) {
      const mapped = yield* this.mappedUpTo(mm, at as VirtAddr, write)
      if (mapped > at) {
        at = mapped
        continue
      }
      const result = yield* this.k.fault.handleMmFault(mm, vma, at as VirtAddr, write ? FAULT_FLAG_WRITE : 0)
      if ((result & VM_FAULT_OOM) !== 0) return -ENOMEM
      if ((result & ~VM_FAULT_RETRY) !== 0) return -EFAULT
      yield* this.cpu.cpuRelax()
    }
    return 0
  }

  /** End of the page, base or huge, that is usable at `addr`; `addr` when there is none. */
  protected *mappedUpTo(mm: PhysAddr, addr: VirtAddr, write: boolean): Step<number> {
    const { geo, tables } = this.k
    const pmdp = yield* this.k.upper.mmFindPmd(mm, addr)
    if (pmdp === 0) return addr
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdLeaf(pmd)) {
      const usable = pmdPresent(pmd) && (!write || pmdWrite(pmd))
      return usable ? geo.pmdAlignDown(addr) + geo.pmdSize : addr
    }
    const ptep = yield* tables.pteOffsetMap(pmdp, addr)
    if (ptep === 0) return addr
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    tables.pteUnmap()
    const usable = !pteNone(pte) && ptePresent(pte) && (!write || pteWrite(pte))
    return usable ? addr + geo.pageSize : addr
  }
}
