/**
 * Stacks that grow down: an access below a VMA with VM_GROWSDOWN makes it larger.
 *
 * Source: mm/mmap_lock.c lock_mm_and_find_vma(), mm/vma.c expand_downwards() (v6.18). Left out: the attempt to upgrade
 * mmap_lock in place (it is given up and taken for write, as upstream does where the attempt fails), stacks that grow
 * up, and limits other than the default of RLIMIT_STACK.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { EFAULT, ENOMEM, VM_EXEC, VM_GROWSDOWN, VM_READ, VM_WRITE, VMA } from './mmStruct.js'
import { Part } from './part.js'
import { STACK_GUARD_GAP } from './unmappedArea.js'

/** _STK_LIM: bytes of a stack, at most. */
const STACK_LIMIT = 8 << 20

export class StackGrowth extends Part {
  /**
   * lock_mm_and_find_vma(): mmap_lock for read, and the VMA that contains `addr`, which may be a stack that has grown
   * for it; 0: none does, and mmap_lock is held all the same.
   */
  *lockMmAndFindVma(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    yield* this.k.mms.mmapReadLock(mm)
    const vma = this.k.vmas.findVma(mm, addr)
    if (vma === 0 || peekF64(vma + VMA.at.start) <= addr) return vma
    if ((peek32(vma + VMA.at.flags) & VM_GROWSDOWN) === 0) return phys(0)
    yield* this.k.mms.mmapReadUnlock(mm)
    yield* this.k.mms.mmapWriteLock(mm)
    const found = yield* this.findExtendVma(mm, addr)
    yield* this.k.mms.mmapWriteDowngrade(mm)
    return found
  }

  /** Part of lock_mm_and_find_vma(): looks again, since nothing was locked for a moment. mmap_lock for write. */
  protected *findExtendVma(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const vma = this.k.vmas.findVma(mm, addr)
    if (vma === 0 || peekF64(vma + VMA.at.start) <= addr) return vma
    return (yield* this.expandDownwards(vma, addr)) === 0 ? vma : phys(0)
  }

  /** expand_downwards(): `vma` begins at the page of `addr`. 0 or a negative errno. mmap_lock for write. */
  *expandDownwards(vma: PhysAddr, addr: VirtAddr): Step<number> {
    const { geo, vmas, anonVmas } = this.k
    const start = geo.pageAlignDown(addr)
    if ((peek32(vma + VMA.at.flags) & VM_GROWSDOWN) === 0) return -EFAULT
    if (this.isTooClose(vmas.prev(vma), start)) return -ENOMEM
    const grown = (peekF64(vma + VMA.at.start) - start) / geo.pageSize
    if (peekF64(vma + VMA.at.end) - start > STACK_LIMIT || grown > peekF64(vma + VMA.at.pgoff)) return -ENOMEM
    if ((yield* anonVmas.anonVmaPrepare(vma)) !== 0) return -ENOMEM
    return yield* vmas.extendDown(vma, start)
  }

  /** What is below must leave a gap, unless it is a stack itself or cannot be accessed. */
  protected isTooClose(below: PhysAddr, start: number): boolean {
    if (below === 0) return false
    const flags = peek32(below + VMA.at.flags)
    const isPassable = (flags & VM_GROWSDOWN) !== 0 || (flags & (VM_READ | VM_WRITE | VM_EXEC)) === 0
    return !isPassable && start - peekF64(below + VMA.at.end) < STACK_GUARD_GAP * this.k.geo.pageSize
  }
}
