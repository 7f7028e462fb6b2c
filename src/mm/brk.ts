/**
 * brk(): the end of the heap.
 *
 * Source: mm/mmap.c brk() and do_brk_flags() (v6.12). Left out: RLIMIT_DATA, and the early release of mmap_lock.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, pokeF64 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import { STACK_GUARD_GAP } from './unmappedArea.js'
import { MM, VM_LOCKED, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE } from './mmStruct.js'

const HEAP = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC

export class Brk extends Part {
  /** sys_brk(): sets the end of the heap if it can; returns where it is now. Takes and releases mmap_lock. */
  *sysBrk(mm: PhysAddr, brk: number): Step<number> {
    const stamp = this.k.observer.callBegins(this.cpu)
    yield* this.k.mms.mmapWriteLock(mm)
    const old = peekF64(mm + MM.at.brk)
    const [oldEnd, newEnd] = [this.k.mmap.pageAlign(old), this.k.mmap.pageAlign(brk)]
    if (brk >= peekF64(mm + MM.at.brkStart) && (yield* this.resize(mm, oldEnd, newEnd))) {
      pokeF64(mm + MM.at.brk, brk)
      if (newEnd < oldEnd) this.k.observer.callReturns(this.cpu, 'unmap', mm, newEnd, oldEnd, stamp)
    }
    const now = peekF64(mm + MM.at.brk)
    const locked = (peek32(mm + MM.at.defFlags) & VM_LOCKED) !== 0
    yield* this.k.mms.mmapWriteUnlock(mm)
    if (locked && newEnd > oldEnd && now === brk) yield* this.k.mmap.mlock.mmPopulate(mm, oldEnd, newEnd, true)
    return now
  }

  /** Part of sys_brk(). */
  protected *resize(mm: PhysAddr, from: number, to: number): Step<boolean> {
    if (to === from) return true
    return to < from ? yield* this.shrink(mm, to, from) : yield* this.doBrkFlags(mm, from, to)
  }

  /** Part of sys_brk(). */
  protected *shrink(mm: PhysAddr, from: number, to: number): Step<boolean> {
    if (this.k.vmas.findVmaIntersection(mm, from, to) === 0) return false
    return (yield* this.k.mmap.doVmiAlignMunmap(mm, from, to)) === 0
  }

  /** do_brk_flags(): a page must stay free behind the heap, and a gap below a stack. */
  protected *doBrkFlags(mm: PhysAddr, from: number, to: number): Step<boolean> {
    const { pageSize, taskSize } = this.k.geo
    if (to > taskSize || this.k.vmas.mapCount(mm) > this.k.config.maxMapCount) return false
    const next = this.k.vmas.findVmaIntersection(mm, from, to + pageSize + STACK_GUARD_GAP * pageSize)
    if (next !== 0 && to + pageSize > this.k.mmap.vmStartGap(next)) return false
    if (!(yield* this.k.upper.reach(mm, to))) return false
    const flags = HEAP | peek32(mm + MM.at.defFlags)
    return (yield* this.k.mmap.mmapRegion(mm, from, to - from, flags, phys(0), from / pageSize)) === 0
  }
}
