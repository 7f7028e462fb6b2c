/**
 * SysV shared memory, as far as address spaces see it: attaching a segment and detaching it.
 *
 * Source: ipc/shm.c do_shmat(), ksys_shmdt() (v6.12). A segment is a file of shared memory that is there from the
 * beginning; keys, permissions and removal are left out.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { MAP_FIXED, MAP_SHARED } from './mmapFlags.js'
import { EINVAL, FILE, SYSV_SEGMENT, VM_EXEC, VM_READ, VM_WRITE, VMA } from './mmStruct.js'
import { Part } from './part.js'

const SHM_RDONLY = 0o10000
const SHM_RND = 0o20000
const SHM_REMAP = 0o40000
const SHM_EXEC = 0o100000

export class Shm extends Part {
  /** do_shmat(): maps all of `segment`. The address or a negative errno. Takes and releases mmap_lock. */
  *doShmat(mm: PhysAddr, segment: PhysAddr, addr: number, flags: number): Step<number> {
    const { pageSize } = this.k.geo
    const at = (flags & SHM_RND) !== 0 ? Math.floor(addr / pageSize) * pageSize : addr
    if (at % pageSize !== 0) return -EINVAL
    if (at === 0 && (flags & SHM_REMAP) !== 0) return -EINVAL
    const size = peek32(segment + FILE.at.pages) * pageSize
    const write = (flags & SHM_RDONLY) !== 0 ? 0 : VM_WRITE
    const prot = VM_READ | write | ((flags & SHM_EXEC) !== 0 ? VM_EXEC : 0)
    yield* this.k.mms.mmapWriteLock(mm)
    const taken = at !== 0 && (flags & SHM_REMAP) === 0 && this.k.vmas.findVmaIntersection(mm, at, at + size) !== 0
    const how = MAP_SHARED | (at !== 0 ? MAP_FIXED : 0)
    const result = taken ? -EINVAL : yield* this.k.mmap.doMmap(mm, at, size, prot, how, segment, 0)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return result
  }

  /**
   * ksys_shmdt(): unmaps what is left of the attachment that began at `addr`. 0, or -EINVAL where there is none. Takes
   * and releases mmap_lock.
   */
  *ksysShmdt(mm: PhysAddr, addr: number): Step<number> {
    if (addr % this.k.geo.pageSize !== 0) return -EINVAL
    yield* this.k.mms.mmapWriteLock(mm)
    let [segment, end] = [phys(0), Infinity]
    for (let vma = this.k.vmas.findVma(mm, addr); vma !== 0 && peekF64(vma + VMA.at.end) <= end;) {
      const next = this.k.vmas.next(vma)
      const file = phys(peek32(vma + VMA.at.file))
      if (this.isAttached(vma, addr) && (segment === 0 || segment === file)) {
        segment = file
        end = addr + peek32(file + FILE.at.pages) * this.k.geo.pageSize
        yield* this.k.mmap.doVmiAlignMunmap(mm, peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end))
      }
      vma = next
    }
    yield* this.k.mms.mmapWriteUnlock(mm)
    return segment === 0 ? -EINVAL : 0
  }

  /** The VMA is of an attachment at `addr`: its place in the file is that in the range. */
  protected isAttached(vma: PhysAddr, addr: number): boolean {
    const pages = (peekF64(vma + VMA.at.start) - addr) / this.k.geo.pageSize
    const file = peek32(vma + VMA.at.file)
    const isSegment = file !== 0 && peek32(file + FILE.at.zeroed) === SYSV_SEGMENT
    return isSegment && peekF64(vma + VMA.at.pgoff) === pages
  }
}
