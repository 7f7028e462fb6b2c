/**
 * remap_file_pages(): another part of the file at an address of a shared mapping.
 *
 * Source: mm/mmap.c SYSCALL_DEFINE5(remap_file_pages) (v6.12), which has been a mmap() over the range since v4.0. Left
 * out: the first look at the VMA under mmap_lock for read, which decides nothing.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { MAP_FIXED, MAP_LOCKED, MAP_NONBLOCK, MAP_POPULATE, MAP_SHARED } from './mmapFlags.js'
import { EINVAL, VM_EXEC, VM_LOCKED, VM_READ, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'
import { Part } from './part.js'

export class RemapFilePages extends Part {
  /** 0 or a negative errno. Takes and releases mmap_lock. */
  *sysRemapFilePages(
    mm: PhysAddr,
    addr: number,
    len: number,
    prot: number,
    pgoff: number,
    flags: number,
  ): Step<number> {
    const { pageSize } = this.k.geo
    const start = Math.floor(addr / pageSize) * pageSize
    const size = Math.floor(len / pageSize) * pageSize
    if (prot !== 0 || size <= 0) return -EINVAL
    yield* this.k.mms.mmapWriteLock(mm)
    const vma = this.k.vmas.vmaLookup(mm, start)
    const isShared = vma !== 0 && (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0
    const covered = isShared && this.isOneMapping(vma, start + size)
    const result = covered ? yield* this.remap(mm, vma, start, size, pgoff, flags) : -EINVAL
    yield* this.k.mms.mmapWriteUnlock(mm)
    if (result === 0 && (flags & MAP_NONBLOCK) === 0) yield* this.k.mmap.mlock.mmPopulate(mm, start, start + size, true)
    return result
  }

  /** From `vma` on up to `end` there is one file with one set of flags, and no hole. */
  protected isOneMapping(vma: PhysAddr, end: number): boolean {
    let last = vma
    while (peekF64(last + VMA.at.end) < end) {
      const next = this.k.vmas.next(last)
      if (next === 0 || peekF64(next + VMA.at.start) !== peekF64(last + VMA.at.end)) return false
      if (peek32(next + VMA.at.file) !== peek32(vma + VMA.at.file)) return false
      if (peek32(next + VMA.at.flags) !== peek32(vma + VMA.at.flags)) return false
      last = next
    }
    return true
  }

  protected *remap(
    mm: PhysAddr,
    vma: PhysAddr,
    start: number,
    size: number,
    pgoff: number,
    flags: number,
  ): Step<number> {
    const vmFlags = peek32(vma + VMA.at.flags)
    const prot = vmFlags & (VM_READ | VM_WRITE | VM_EXEC)
    const locked = (vmFlags & VM_LOCKED) !== 0 ? MAP_LOCKED : 0
    const how = (flags & MAP_NONBLOCK) | MAP_SHARED | MAP_FIXED | MAP_POPULATE | locked
    const file = phys(peek32(vma + VMA.at.file))
    // The mapping that goes may be the file's last.
    yield* this.k.files.getFile(file)
    const result = yield* this.k.mmap.doMmap(mm, start, size, prot, how, file, pgoff)
    yield* this.k.files.fput(file)
    return Math.min(result, 0)
  }
}
