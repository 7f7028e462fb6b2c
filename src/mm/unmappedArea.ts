/**
 * Room for new mappings.
 *
 * Source: mm/mmap.c get_unmapped_area(), mm/vma.c unmapped_area_topdown(), mm/huge_memory.c __thp_get_unmapped_area()
 * (v6.12, anonymous memory aligned as of v6.18: only when its length is a multiple of a huge page). Left out: the
 * bottom-up layout, mmap_min_addr, and areas of the drivers' own choice. Nothing here is shared with anybody but under
 * mmap_lock.
 */
import type { PhysAddr } from '../base/units.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import { MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED } from './mmapFlags.js'
import { EINVAL, ENOMEM, MM, VM_GROWSDOWN, VMA } from './mmStruct.js'

/** Pages that stay free below an area that grows down. */
export const STACK_GUARD_GAP = 256

export abstract class UnmappedArea extends Part {
  /** get_unmapped_area(): an address for `len` bytes, or a negative errno. mmap_lock held. */
  getUnmappedArea(mm: PhysAddr, addr: number, len: number, flags: number, file: PhysAddr, pgoff: number): number {
    const { taskSize, pageSize, pmdSize } = this.k.geo
    if (len > taskSize) return -ENOMEM
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0)
      return addr > taskSize - len ? -ENOMEM : addr % pageSize !== 0 || addr < 0 ? -EINVAL : addr
    const hint = Math.floor(addr / pageSize) * pageSize
    if (hint > 0 && hint <= taskSize - len && this.isFree(mm, hint, len)) return hint
    const align = file !== 0 || (hint === 0 && len % pmdSize === 0 && (flags & MAP_SHARED) === 0)
    const aligned = align ? this.thpGetUnmappedArea(mm, len, file === 0 ? 0 : pgoff * pageSize) : -1
    return aligned >= 0 ? aligned : this.vmUnmappedArea(mm, len)
  }

  /**
   * __thp_get_unmapped_area(): so that offsets in the file and addresses are aligned alike; -1 when it does not pay.
   */
  protected thpGetUnmappedArea(mm: PhysAddr, len: number, offset: number): number {
    const { pmdSize } = this.k.geo
    const firstHuge = Math.ceil(offset / pmdSize) * pmdSize
    if (offset + len <= firstHuge || offset + len - firstHuge < pmdSize) return -1
    const at = this.vmUnmappedArea(mm, len + pmdSize)
    if (at < 0) return -1
    const missing = (((offset - at) % pmdSize) + pmdSize) % pmdSize
    return missing === 0 ? at + pmdSize : at + missing
  }

  /** vm_unmapped_area(): the highest free room below mmapBase; failing that, the lowest above it. */
  protected vmUnmappedArea(mm: PhysAddr, len: number): number {
    const base = peekF64(mm + MM.at.mmapBase)
    const below = this.searchDown(mm, len, base)
    return below >= 0 ? below : this.searchUp(mm, len, base)
  }

  /** A negative number when there is none. What grows down keeps its guard gap. */
  protected searchDown(mm: PhysAddr, len: number, limit: number): number {
    for (let below = limit; ;) {
      const at = this.k.maple.masEmptyAreaRev(mm, this.k.geo.pageSize, below, len)
      const next = at < 0 ? 0 : this.k.vmas.findVma(mm, at)
      if (next === 0 || this.vmStartGap(next) >= at + len) return at
      below = this.vmStartGap(next)
    }
  }

  protected searchUp(mm: PhysAddr, len: number, start: number): number {
    for (let from = start; ;) {
      const at = this.k.maple.masEmptyArea(mm, from, this.k.geo.taskSize, len)
      const next = at < 0 ? 0 : this.k.vmas.findVma(mm, at)
      if (next === 0) return at < 0 ? -ENOMEM : at
      if (this.vmStartGap(next) >= at + len) return at
      from = peekF64(next + VMA.at.end)
    }
  }

  protected isFree(mm: PhysAddr, at: number, len: number): boolean {
    const vma = this.k.vmas.findVma(mm, at)
    return vma === 0 || at + len <= this.vmStartGap(vma)
  }

  /** vm_start_gap(): where other mappings must end. */
  vmStartGap(vma: number): number {
    const grows = (peek32(vma + VMA.at.flags) & VM_GROWSDOWN) !== 0
    return Math.max(0, peekF64(vma + VMA.at.start) - (grows ? STACK_GUARD_GAP * this.k.geo.pageSize : 0))
  }

  /** PAGE_ALIGN(). */
  pageAlign(bytes: number): number {
    return Math.ceil(bytes / this.k.geo.pageSize) * this.k.geo.pageSize
  }
}
