/**
 * mremap(): the system call and the VMAs. moveTables.ts moves the entries.
 *
 * Source: mm/mremap.c (v6.12 for what moves and how; the checks and their order as of v6.18, which made them before the
 * target is unmapped, and lets a move without resize span several VMAs: that is what the recordings show). Left out:
 * hugetlb, the limit on locked memory, and the release of mmap_lock while a shrink zaps.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { EFAULT, EINVAL, ENOMEM, EPERM, VM_DONTEXPAND, VM_LOCKED, VM_MAYSHARE, VM_SHARED, VMA } from './mmStruct.js'
import { VM_LOCKED_MASK } from './mlock.js'
import { MAP_FIXED, MAP_SHARED } from './mmapFlags.js'
import { MoveTables } from './moveTables.js'

export const MREMAP_MAYMOVE = 1
export const MREMAP_FIXED = 2
export const MREMAP_DONTUNMAP = 4

const TO_ADDRESS = MREMAP_FIXED | MREMAP_DONTUNMAP

/** vma_remap_struct: what is asked for. Lengths are whole pages. */
interface Remap {
  readonly mm: PhysAddr
  readonly addr: number
  readonly oldLen: number
  readonly newLen: number
  readonly flags: number
  readonly newAddr: number
}

export class Mremap extends MoveTables {
  /** do_mremap(): the system call. The new address, or a negative errno. Takes and releases mmap_lock. */
  *doMremap(mm: PhysAddr, addr: number, oldLen: number, newLen: number, flags: number, newAddr: number): Step<number> {
    const [oldSize, newSize] = [this.k.mmap.pageAlign(oldLen), this.k.mmap.pageAlign(newLen)]
    const asked: Remap = { mm, addr, oldLen: oldSize, newLen: newSize, flags, newAddr }
    const refused = this.checkMremapParams(asked)
    if (refused !== 0) return refused
    yield* this.k.mms.mmapWriteLock(mm)
    const grown = this.growsLocked(asked)
    const result = yield* this.remap(asked)
    yield* this.k.mms.mmapWriteUnlock(mm)
    if (result >= 0 && grown)
      yield* this.k.mmap.mlock.mmPopulate(mm, result + asked.oldLen, result + asked.newLen, true)
    return result
  }

  /** Part of do_mremap(): locked memory that grows is populated afterwards. */
  protected growsLocked({ mm, addr, oldLen, newLen }: Remap): boolean {
    const vma = this.k.vmas.vmaLookup(mm, addr)
    return newLen > oldLen && vma !== 0 && (peek32(vma + VMA.at.flags) & VM_LOCKED) !== 0
  }

  /** Part of do_mremap(). */
  protected *remap(asked: Remap): Step<number> {
    if ((asked.flags & MREMAP_FIXED) !== 0 && asked.oldLen === asked.newLen) return yield* this.remapMove(asked)
    const vma = this.k.vmas.vmaLookup(asked.mm, asked.addr)
    const refused = this.checkPrepVma(asked, vma)
    if (refused !== 0) return refused
    return (asked.flags & TO_ADDRESS) !== 0 ? yield* this.mremapTo(asked, vma) : yield* this.mremapAt(asked, vma)
  }

  // ---- checks -------------------------------------------------------------------------------------------------------

  /** check_mremap_params(): what needs no look at the address space. */
  protected checkMremapParams({ addr, oldLen, newLen, flags, newAddr }: Remap): number {
    const { pageSize, taskSize } = this.k.geo
    if ((flags & ~(MREMAP_MAYMOVE | TO_ADDRESS)) !== 0 || addr % pageSize !== 0) return -EINVAL
    if (newLen === 0 || newLen > taskSize) return -EINVAL
    if ((flags & TO_ADDRESS) === 0) return 0
    if (newAddr > taskSize - newLen || newAddr % pageSize !== 0) return -EINVAL
    if ((flags & MREMAP_MAYMOVE) === 0) return -EINVAL
    if ((flags & MREMAP_DONTUNMAP) !== 0 && oldLen !== newLen) return -EINVAL
    const overlaps = addr + oldLen > newAddr && newAddr + newLen > addr
    return overlaps ? -EINVAL : 0
  }

  /** check_prep_vma(): only what grows or moves must lie in one VMA. */
  protected checkPrepVma({ addr, oldLen, newLen, flags }: Remap, vma: PhysAddr): number {
    if (vma === 0) return -EFAULT
    if (!this.k.mseal.canModifyVma(vma)) return -EPERM
    if ((flags & TO_ADDRESS) === 0 && newLen <= oldLen) return 0
    const vmFlags = peek32(vma + VMA.at.flags)
    if (oldLen === 0 && (vmFlags & (VM_SHARED | VM_MAYSHARE)) === 0) return -EINVAL
    if ((flags & MREMAP_DONTUNMAP) !== 0 && (vmFlags & VM_DONTEXPAND) !== 0) return -EINVAL
    if (Math.min(oldLen, newLen) > peekF64(vma + VMA.at.end) - addr) return -EFAULT
    return newLen > oldLen && (vmFlags & VM_DONTEXPAND) !== 0 ? -EFAULT : 0
  }

  // ---- in place -----------------------------------------------------------------------------------------------------

  /** mremap_at(): stays where it is if it can. */
  protected *mremapAt(asked: Remap, vma: PhysAddr): Step<number> {
    const { addr, oldLen, newLen } = asked
    if (newLen === oldLen) return addr
    if (newLen < oldLen) return yield* this.shrinkVma(asked)
    if (yield* this.expandVmaInPlace(asked, vma)) return addr
    if ((asked.flags & MREMAP_MAYMOVE) === 0) return -ENOMEM
    return yield* this.moveAnywhere(asked, vma)
  }

  /** shrink_vma(): the new address is `asked.addr`, or a negative errno. */
  protected *shrinkVma({ mm, addr, oldLen, newLen }: Remap): Step<number> {
    const stamp = this.k.observer.callBegins(this.cpu)
    const error = yield* this.k.mmap.doVmiMunmap(mm, addr + newLen, oldLen - newLen)
    if (error !== 0) return error
    this.k.observer.callReturns(this.cpu, 'unmap', mm, addr + newLen, addr + oldLen, stamp)
    return addr
  }

  /** expand_vma_in_place(): only at the end of its VMA, into room that nobody has. */
  protected *expandVmaInPlace({ mm, addr, oldLen, newLen }: Remap, vma: PhysAddr): Step<boolean> {
    const from = peekF64(vma + VMA.at.end)
    const end = from + newLen - oldLen
    if (from - addr !== oldLen || end > this.k.geo.taskSize) return false
    if (this.k.vmas.findVmaIntersection(mm, from, end) !== 0 || !(yield* this.k.upper.reach(mm, end))) return false
    const range = {
      prev: vma,
      next: this.k.vmas.next(vma),
      middle: phys(0),
      start: from,
      end,
      pgoff: this.k.vmas.pgoffOf(vma, from),
      flags: peek32(vma + VMA.at.flags),
      file: phys(peek32(vma + VMA.at.file)),
      label: peek32(vma + VMA.at.label),
      anonOf: vma,
    }
    return (yield* this.k.vmas.vmaMergeNewRange(range, false)) !== 0
  }

  // ---- elsewhere ----------------------------------------------------------------------------------------------------

  /**
   * remap_move(): every VMA in the range, each to its place in the new one; a hole before the first is an error, others
   * stay holes.
   */
  protected *remapMove(asked: Remap): Step<number> {
    const { mm, addr, oldLen, newAddr } = asked
    const end = addr + oldLen
    const first = this.k.vmas.findVmaIntersection(mm, addr, end)
    if (first === 0 || peekF64(first + VMA.at.start) > addr) return -EFAULT
    for (let at = addr; at < end;) {
      const vma = this.k.vmas.findVmaIntersection(mm, at, end)
      if (vma === 0) break
      const from = Math.max(at, peekF64(vma + VMA.at.start))
      const to = Math.min(end, peekF64(vma + VMA.at.end))
      const one = { ...asked, addr: from, oldLen: to - from, newLen: to - from, newAddr: newAddr + (from - addr) }
      const refused = this.checkPrepVma(one, vma)
      const result = refused !== 0 ? refused : yield* this.mremapTo(one, vma)
      if (result < 0) return result
      at = to
    }
    return newAddr
  }

  /** mremap_to(): makes room at the target and moves there. */
  protected *mremapTo(asked: Remap, vma: PhysAddr): Step<number> {
    const { mm, addr, newAddr, newLen, flags } = asked
    // The target and the source may both be cut in three.
    if (this.k.vmas.mapCount(mm) + 2 >= this.k.config.maxMapCount - 3) return -ENOMEM
    let source = vma
    if ((flags & MREMAP_FIXED) !== 0) {
      const stamp = this.k.observer.callBegins(this.cpu)
      const error = yield* this.k.mmap.doVmiMunmap(mm, newAddr, newLen)
      if (error !== 0) return error
      this.k.observer.callReturns(this.cpu, 'unmap', mm, newAddr, newAddr + newLen, stamp)
      // The target may have been part of the same VMA.
      source = this.k.vmas.vmaLookup(mm, addr)
      if (source === 0) return -EFAULT
    }
    if (asked.oldLen <= newLen) return yield* this.moveAnywhere(asked, source)
    const shrunk = yield* this.shrinkVma(asked)
    // Cut: which of the parts kept the name of the whole is munmap's affair.
    source = this.k.vmas.vmaLookup(mm, addr)
    return shrunk < 0 ? shrunk : yield* this.moveAnywhere({ ...asked, oldLen: newLen }, source)
  }

  /** Part of mremap_at(): vrm_set_new_addr(), then the move. */
  protected *moveAnywhere(asked: Remap, vma: PhysAddr): Step<number> {
    const { mm, addr, newLen, flags, newAddr } = asked
    const hint = (flags & TO_ADDRESS) !== 0 ? newAddr : 0
    const shared = (peek32(vma + VMA.at.flags) & VM_MAYSHARE) !== 0 ? MAP_SHARED : 0
    const fixed = (flags & MREMAP_FIXED) !== 0 ? MAP_FIXED : 0
    const [file, pgoff] = [phys(peek32(vma + VMA.at.file)), this.k.vmas.pgoffOf(vma, addr)]
    const to = this.k.mmap.getUnmappedArea(mm, hint, newLen, fixed | shared, file, pgoff)
    if (to >= 0 && !(yield* this.k.upper.reach(mm, to + newLen))) return -ENOMEM
    return to < 0 ? to : yield* this.moveVma({ ...asked, newAddr: to }, vma)
  }

  /** move_vma(): a VMA at the target, the entries moved, the source unmapped. The new address or a negative errno. */
  protected *moveVma(asked: Remap, vma: PhysAddr): Step<number> {
    const { mm, addr, oldLen, newAddr, newLen, flags } = asked
    // As many as the move may cut off.
    if (this.k.vmas.mapCount(mm) >= this.k.config.maxMapCount - 3) return -ENOMEM
    yield* this.k.vmaLock.vmaStartWrite(vma)
    const stamp = this.k.observer.callBegins(this.cpu)
    const merged = yield* this.copyByMerge(mm, vma, addr, newAddr, newLen)
    const copy = merged !== 0 ? merged : yield* this.copyVma(mm, vma, addr, newAddr, newLen)
    if (copy === 0) return -ENOMEM
    // The source may be part of the copy by now.
    const source = this.k.vmas.vmaLookup(mm, addr)
    const locks = merged !== 0 && this.needRmapLocks(source, copy)
    this.k.observer.contentsGivingUp(this.cpu, mm, addr, addr + oldLen, newAddr)
    const moved = yield* this.movePageTables(source, addr, copy, newAddr, oldLen, locks)
    this.k.observer.contentsGivenUp(this.cpu, moved === oldLen)
    if (moved < oldLen) return yield* this.moveBack(asked, source, copy, moved)
    if ((flags & MREMAP_DONTUNMAP) !== 0) yield* this.dontunmapComplete(source, copy, addr, addr + oldLen)
    // A source of length 0 duplicates a shared mapping and stays.
    else if (oldLen > 0) yield* this.k.mmap.doVmiMunmap(mm, addr, oldLen)
    this.k.observer.callReturns(this.cpu, 'unmap', mm, addr, addr + oldLen, stamp)
    return newAddr
  }

  /**
   * Part of move_vma(): without memory for tables at the target: what was moved goes back, for which there are tables,
   * and the target goes.
   */
  protected *moveBack(
    { mm, addr, newAddr, newLen }: Remap,
    source: PhysAddr,
    copy: PhysAddr,
    moved: number,
  ): Step<number> {
    yield* this.movePageTables(copy, newAddr, source, addr, moved, true)
    yield* this.k.mmap.doVmiMunmap(mm, newAddr, newLen)
    return -ENOMEM
  }

  /**
   * Part of copy_vma(): copy_vma(): a neighbour of newAddr … newAddr + len that can grow over it as a continuation of
   * `vma`; 0: none.
   */
  protected *copyByMerge(mm: PhysAddr, vma: PhysAddr, addr: number, newAddr: number, len: number): Step<PhysAddr> {
    const { vmas } = this.k
    const [file, flags] = [phys(peek32(vma + VMA.at.file)), peek32(vma + VMA.at.flags)]
    const label = peek32(vma + VMA.at.label)
    const [pgoff, end] = [this.copyPgoff(vma, addr, newAddr), newAddr + len]
    const [prev, next] = [vmas.findVmaPrev(mm, newAddr), vmas.findVma(mm, newAddr)]
    const range = { prev, next, middle: phys(0), start: newAddr, end, pgoff, flags, file, label, anonOf: vma }
    return yield* vmas.vmaMergeNewRange(range, false)
  }

  /** copy_vma(): a VMA of its own; 0 without memory. */
  protected *copyVma(mm: PhysAddr, vma: PhysAddr, addr: number, newAddr: number, len: number): Step<PhysAddr> {
    const copy = yield* this.k.vmas.vmAreaDup(vma, mm)
    if (copy === 0) return copy
    this.k.vmas.vmaSetRange(copy, newAddr, newAddr + len, this.copyPgoff(vma, addr, newAddr))
    yield* this.k.anonVmas.anonVmaClone(copy, vma)
    if ((yield* this.k.vmas.vmaLink(copy)) === 0) return copy
    yield* this.k.vmas.removeVma(copy)
    return phys(0)
  }

  /**
   * Part of copy_vma(): pages keep their index in the mapping. Anonymous memory that never had pages takes the index of
   * its new place, so that it merges with what is there.
   */
  protected copyPgoff(vma: PhysAddr, addr: number, newAddr: number): number {
    const untouched = peek32(vma + VMA.at.file) === 0 && peek32(vma + VMA.at.anonVma) === 0
    return untouched ? newAddr / this.k.geo.pageSize : this.k.vmas.pgoffOf(vma, addr)
  }

  /**
   * Part of copy_vma(): an rmap walk visits the VMAs in order of their pgoff, equal ones in order of arrival. When it
   * meets the old place first, it finds a page that moves meanwhile at the old place or at the new one; when it meets
   * the new one first it could miss it at both, so the move must exclude it. A copy of its own arrives last, and its
   * pgoff is not smaller.
   */
  protected needRmapLocks(source: PhysAddr, copy: PhysAddr): boolean {
    return peekF64(copy + VMA.at.pgoff) <= peekF64(source + VMA.at.pgoff)
  }

  /** dontunmap_complete(): the source stays mapped, empty and unlocked. */
  protected *dontunmapComplete(source: PhysAddr, copy: PhysAddr, start: number, end: number): Step<void> {
    poke32(source + VMA.at.flags, peek32(source + VMA.at.flags) & ~VM_LOCKED_MASK)
    const whole = peekF64(source + VMA.at.start) === start && peekF64(source + VMA.at.end) === end
    if (source !== copy && whole) yield* this.k.anonVmas.unlinkAnonVmas(source)
  }
}
