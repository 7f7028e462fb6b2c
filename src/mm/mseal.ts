/**
 * mseal(): mappings that nobody can change any more.
 *
 * Source: mm/mseal.c do_mseal(), mm/vma.h can_modify_vma() (v6.18). Those who would change a sealed VMA ask first:
 * munmap and mmap over it, mremap, mprotect, and advice that discards (can_madvise_modify()).
 */
import type { PhysAddr, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { EINVAL, ENOMEM, VM_SEALED, VMA } from './mmStruct.js'
import { Part } from './part.js'

export class Mseal extends Part {
  /** do_mseal(): 0 or a negative errno; over a hole nothing is sealed. Takes and releases mmap_lock. */
  *doMseal(mm: PhysAddr, start: number, len: number, flags: number): Step<number> {
    if (flags !== 0 || start % this.k.geo.pageSize !== 0) return -EINVAL
    const end = start + this.k.mmap.pageAlign(len)
    if (end < start) return -EINVAL
    if (end === start) return 0
    yield* this.k.mms.mmapWriteLock(mm)
    const result = this.rangeContainsUnmapped(mm, start, end) ? -ENOMEM : yield* this.msealApply(mm, start, end)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return result
  }

  /** can_modify_vma(). */
  canModifyVma(vma: PhysAddr): boolean {
    return (peek32(vma + VMA.at.flags) & VM_SEALED) === 0
  }

  /** can_modify_mm(): no VMA in start … end is sealed. mmap_lock held. */
  canModifyMm(mm: PhysAddr, start: number, end: number): boolean {
    for (let at = start; at < end;) {
      const vma = this.k.vmas.findVmaIntersection(mm, at, end)
      if (vma === 0) return true
      if (!this.canModifyVma(vma)) return false
      at = peekF64(vma + VMA.at.end)
    }
    return true
  }

  /** range_contains_unmapped(). mmap_lock held. */
  protected rangeContainsUnmapped(mm: PhysAddr, start: number, end: number): boolean {
    for (let at = start; at < end;) {
      const vma = this.k.vmas.vmaLookup(mm, at)
      if (vma === 0) return true
      at = peekF64(vma + VMA.at.end)
    }
    return false
  }

  /** mseal_apply(): 0 or -ENOMEM. mmap_lock for write. */
  protected *msealApply(mm: PhysAddr, start: number, end: number): Step<number> {
    for (let at = start; at < end;) {
      const vma = this.k.vmas.vmaLookup(mm, at)
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      const flags = peek32(vma + VMA.at.flags) | VM_SEALED
      if (flags !== peek32(vma + VMA.at.flags)) {
        const changed = yield* this.k.vmas.vmaModifyFlags(vma, at as VirtAddr, to as VirtAddr, flags)
        if (changed === 0) return -ENOMEM
        poke32(changed + VMA.at.flags, flags)
      }
      at = to
    }
    return 0
  }
}
