/**
 * mmap() and munmap().
 *
 * Source: mm/mmap.c do_mmap(), vm_mmap_pgoff(), mm/vma.c mmap_region(), do_vmi_munmap(), insert_vm_struct() (v6.12).
 * Left out: limits on locked or promised memory, hugetlb and device mappings. None of them changes when an entry or a
 * table goes.
 *
 * A mapping over an existing one unmaps first and then maps, mmap_lock held throughout, so nobody sees the gap.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import type { Kernel } from './kernel.js'
import {
  EEXIST,
  EINVAL,
  ENOMEM,
  EPERM,
  MM,
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
  VMA,
} from './mmStruct.js'
import { Mlock, VM_LOCKED_MASK } from './mlock.js'
import {
  MAP_DROPPABLE,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_TYPE,
} from './mmapFlags.js'
import { UnmappedArea } from './unmappedArea.js'

const NO_VMA = phys(0)

export * from './mmapFlags.js'

/** What keeps a VMA apart from others, besides file and offset. */
export interface VmaKind {
  readonly flags: number
  readonly label: number
}

export class Mmap extends UnmappedArea {
  /** Locking and populating memory; here because only calls of this family use it. */
  readonly mlock: Mlock

  constructor(k: Kernel) {
    super(k)
    this.mlock = new Mlock(k)
  }

  // ---- mmap -------------------------------------------------------------------------------------------------------

  /**
   * vm_mmap_pgoff(): the system call: maps `len` bytes of `file` (0: anonymous) from page `pgoff`. Returns the address
   * or a negative errno. Takes and releases mmap_lock, then populates if asked to.
   */
  *vmMmapPgoff(
    mm: PhysAddr,
    addr: number,
    len: number,
    prot: number,
    flags: number,
    file: PhysAddr,
    pgoff: number,
  ): Step<number> {
    yield* this.k.mms.mmapWriteLock(mm)
    const defFlags = peek32(mm + MM.at.defFlags)
    const result = yield* this.doMmap(mm, addr, len, prot, flags, file, pgoff)
    yield* this.k.mms.mmapWriteUnlock(mm)
    if (result >= 0 && populates(defFlags, flags))
      yield* this.mlock.mmPopulate(mm, result, result + this.pageAlign(len), true)
    return result
  }

  /** do_mmap(): maps, over what is there if that is asked for. The address or a negative errno. mmap_lock for write. */
  *doMmap(
    mm: PhysAddr,
    addr: number,
    len: number,
    prot: number,
    flags: number,
    file: PhysAddr,
    pgoff: number,
  ): Step<number> {
    if (len <= 0) return -EINVAL
    const size = this.pageAlign(len)
    const stamp = this.k.observer.callBegins(this.cpu)
    const at = this.place(mm, addr, size, flags, file, pgoff)
    if (at < 0) return at
    if (!(yield* this.k.upper.reach(mm, at + size))) return -ENOMEM
    const vmFlags = vmFlagsOf(prot, flags) | peek32(mm + MM.at.defFlags)
    const result = yield* this.mapAt(mm, at, size, vmFlags, file, pgoff)
    if (result >= 0) this.k.observer.callReturns(this.cpu, 'unmap', mm, result, result + size, stamp)
    return result
  }

  /** Part of do_mmap(): where the mapping goes, or a negative errno. */
  protected place(mm: PhysAddr, addr: number, len: number, flags: number, file: PhysAddr, pgoff: number): number {
    if (this.k.vmas.mapCount(mm) > this.k.config.maxMapCount) return -ENOMEM
    const at = this.getUnmappedArea(mm, addr, len, flags, file, pgoff)
    if (at < 0) return at
    const taken = (flags & MAP_FIXED_NOREPLACE) !== 0 && this.k.vmas.findVmaIntersection(mm, at, at + len) !== 0
    if (taken) return -EEXIST
    const refused = checkType(flags, file !== 0)
    return refused !== 0 ? refused : at
  }

  /** Part of do_mmap(). */
  protected *mapAt(mm: PhysAddr, at: number, len: number, flags: number, file: PhysAddr, pgoff: number): Step<number> {
    const shared = (flags & VM_SHARED) !== 0
    const anonPgoff = shared ? 0 : at / this.k.geo.pageSize
    const error = yield* this.mmapRegion(mm, at, len, flags, file, file === 0 ? anonPgoff : pgoff)
    return error < 0 ? error : at
  }

  /** mmap_region(): makes the VMA, over whatever is there. 0 or a negative errno. mmap_lock for write. */
  *mmapRegion(mm: PhysAddr, at: number, len: number, vmFlags: number, file: PhysAddr, pgoff: number): Step<number> {
    const end = at + len
    const error = yield* this.doVmiAlignMunmap(mm, at, end)
    if (error < 0) return error
    const accountable = (vmFlags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE
    const promised = accountable ? vmFlags | VM_ACCOUNT : vmFlags
    const flags = (vmFlags & VM_DROPPABLE) === 0 ? promised : promised & ~VM_LOCKED_MASK
    const [prev, next] = [this.k.vmas.findVmaPrev(mm, at), this.k.vmas.findVma(mm, at)]
    const range = { prev, next, middle: phys(0), start: at, end, pgoff, flags, file, label: 0, anonOf: phys(0) }
    if ((yield* this.k.vmas.vmaMergeNewRange(range, false)) !== 0) return 0
    return yield* this.newVma(mm, at, end, flags, file, pgoff)
  }

  /**
   * insert_vm_struct(): a mapping with these VM_ flags and label, merged with none. 0 or -ENOMEM. Takes and releases
   * mmap_lock.
   */
  *insertVmStruct(mm: PhysAddr, at: number, len: number, kind: VmaKind, file: PhysAddr, pgoff: number): Step<number> {
    yield* this.k.mms.mmapWriteLock(mm)
    const reached = yield* this.k.upper.reach(mm, at + len)
    const error = reached ? yield* this.newVma(mm, at, at + this.pageAlign(len), kind.flags, file, pgoff) : -ENOMEM
    if (error === 0) poke32(this.k.vmas.vmaLookup(mm, at) + VMA.at.label, kind.label)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return error
  }

  /** Part of mmap_region(). */
  protected *newVma(mm: PhysAddr, at: number, end: number, flags: number, file: PhysAddr, pgoff: number): Step<number> {
    const vma = yield* this.k.vmas.vmaAlloc(mm)
    if (vma === 0) return -ENOMEM
    const shmem = file === 0 && (flags & VM_SHARED) !== 0
    const mapped = shmem ? yield* this.k.files.shmemZeroSetup((end - at) / this.k.geo.pageSize) : file
    if (shmem && mapped === 0) {
      yield* this.k.vmas.vmAreaFree(vma)
      return -ENOMEM
    }
    if (file !== 0) yield* this.k.files.getFile(file)
    this.k.vmas.vmaSetRange(vma, at, end, pgoff)
    poke32(vma + VMA.at.flags, flags)
    poke32(vma + VMA.at.file, mapped)
    const error = yield* this.k.vmas.vmaLink(vma)
    if (error !== 0) yield* this.k.vmas.removeVma(vma)
    return error
  }

  // ---- munmap -------------------------------------------------------------------------------------------------------

  /**
   * __vm_munmap(): the system call. 0 or a negative errno. Takes mmap_lock for write; once the VMAs are out of the tree
   * a reader's lock is enough, so that faults elsewhere go on while this one zaps, and so do their races with it.
   */
  *vmMunmap(mm: PhysAddr, start: number, len: number): Step<number> {
    const stamp = this.k.observer.callBegins(this.cpu)
    const end = start + this.pageAlign(len)
    yield* this.k.mms.mmapWriteLock(mm)
    this.k.observer.contentsGivingUp(this.cpu, mm, start, end, -1)
    const first = this.isRange(start, len) ? yield* this.vmsGatherMunmapVmas(mm, start, end) : -EINVAL
    if (first > 0) {
      yield* this.k.mms.mmapWriteDowngrade(mm)
      yield* this.vmsCompleteMunmapVmas(mm, phys(first), start, end)
    }
    this.k.observer.contentsGivenUp(this.cpu, false)
    if (first >= 0) this.k.observer.callReturns(this.cpu, 'unmap', mm, start, end, stamp)
    if (first > 0) yield* this.k.mms.mmapReadUnlock(mm)
    else yield* this.k.mms.mmapWriteUnlock(mm)
    return Math.min(first, 0)
  }

  /** do_vmi_munmap(): checks, then doVmiAlignMunmap(). mmap_lock for write. */
  *doVmiMunmap(mm: PhysAddr, start: number, len: number): Step<number> {
    return this.isRange(start, len) ? yield* this.doVmiAlignMunmap(mm, start, start + this.pageAlign(len)) : -EINVAL
  }

  /** Part of do_vmi_munmap(): page aligned, not empty, within user space. */
  protected isRange(start: number, len: number): boolean {
    const { pageSize, taskSize } = this.k.geo
    return start % pageSize === 0 && start >= 0 && start <= taskSize && len > 0 && len <= taskSize - start
  }

  /** do_vmi_align_munmap() without giving the lock away. 0 or a negative errno. mmap_lock for write. */
  *doVmiAlignMunmap(mm: PhysAddr, start: number, end: number): Step<number> {
    this.k.observer.contentsGivingUp(this.cpu, mm, start, end, -1)
    const first = yield* this.vmsGatherMunmapVmas(mm, start, end)
    if (first > 0) yield* this.vmsCompleteMunmapVmas(mm, phys(first), start, end)
    this.k.observer.contentsGivenUp(this.cpu, false)
    return Math.min(first, 0)
  }

  /**
   * vms_gather_munmap_vmas(): cuts the VMAs at the edges of the range and takes those inside out of the tree; returns
   * the first of them, chained by `nextDetached`, 0 when nothing is mapped, -ENOMEM, or -EPERM where one is sealed;
   * nothing is unmapped then. mmap_lock for write.
   */
  protected *vmsGatherMunmapVmas(mm: PhysAddr, start: number, end: number): Step<number> {
    const { vmas } = this.k
    const hit = vmas.findVmaIntersection(mm, start, end)
    if (hit === 0) return 0
    const [from, to] = [peekF64(hit + VMA.at.start), peekF64(hit + VMA.at.end)]
    // Just above the limit for a moment is allowed, not afterwards.
    if (from < start && end < to && vmas.mapCount(mm) >= this.k.config.maxMapCount) return -ENOMEM
    if (!this.k.mseal.canModifyVma(hit)) return -EPERM
    if (from < start && (yield* vmas.__splitVma(hit, start as VirtAddr, true)) !== 0) return -ENOMEM
    if (!this.k.mseal.canModifyMm(mm, start, end)) return -EPERM
    const last = vmas.findVmaPrev(mm, end)
    if (peekF64(last + VMA.at.end) > end && (yield* vmas.__splitVma(last, end as VirtAddr, false)) !== 0) return -ENOMEM
    if ((yield* this.k.maple.masPreallocate(mm)) !== 0) return -ENOMEM
    return yield* this.detach(mm, start, end)
  }

  /** vms_complete_munmap_vmas(). mmap_lock in some mode: it keeps the neighbours, and with them floor and ceiling. */
  protected *vmsCompleteMunmapVmas(mm: PhysAddr, first: PhysAddr, start: number, end: number): Step<void> {
    const [prev, next] = [this.k.vmas.findVmaPrev(mm, start), this.k.vmas.findVma(mm, end)]
    const floor = prev === 0 ? 0 : peekF64(prev + VMA.at.end)
    yield* this.unmapRegion(mm, first, floor, next === 0 ? this.tablesEnd : peekF64(next + VMA.at.start), false)
    yield* this.removeVmas(first)
  }

  /**
   * Part of vms_gather_munmap_vmas() and vms_clear_ptes(): takes the VMAs in start … end out of the tree and chains
   * them by `nextDetached`. Caller: masPreallocate().
   */
  protected *detach(mm: PhysAddr, start: number, end: number): Step<PhysAddr> {
    for (let at = start; at < end && this.k.config.perVmaLock;) {
      const vma = this.k.vmas.findVmaIntersection(mm, at, end)
      if (vma === 0) break
      yield* this.k.vmaLock.vmaStartWrite(vma)
      at = peekF64(vma + VMA.at.end)
    }
    const first = this.chain(mm, start, end)
    yield* this.k.maple.masStorePrealloc(mm, start, end, NO_VMA)
    return first
  }

  /** Part of exit_mmap(): all VMAs, chained as unmapRegion() needs them; the tree has them still. 0: none. */
  detachAll(mm: PhysAddr): PhysAddr {
    return this.chain(mm, 0, Infinity)
  }

  /** Backwards, so that each is chained to the one behind it. */
  protected chain(mm: PhysAddr, start: number, end: number): PhysAddr {
    const { vmas } = this.k
    let behind = NO_VMA
    for (let at = end; at > start;) {
      const vma = vmas.findVmaPrev(mm, at)
      if (vma === 0 || peekF64(vma + VMA.at.start) < start) break
      vmas.vmaMarkDetached(vma)
      poke32(vma + VMA.at.nextDetached, behind)
      behind = vma
      at = peekF64(vma + VMA.at.start)
    }
    return behind
  }

  /**
   * unmap_region(): zaps the detached VMAs from `first` and frees tables in floor … ceiling that nobody else needs,
   * with one gather: flushed before anything is released. The VMAs leave their anon_vmas and files before the tables
   * go, so that no rmap walk can be in them.
   */
  *unmapRegion(mm: PhysAddr, first: PhysAddr, floor: number, ceiling: number, fullmm: boolean): Step<void> {
    const start = peekF64(first + VMA.at.start) as VirtAddr
    let end = start
    for (let vma = first; vma !== 0; vma = nextDetached(vma)) end = peekF64(vma + VMA.at.end) as VirtAddr
    yield* this.k.gather.tlbGatherMmu(mm, fullmm)
    yield* this.k.zap.unmapVmas(mm, first, start, end)
    for (let vma = first; vma !== 0; vma = nextDetached(vma)) {
      yield* this.k.anonVmas.unlinkAnonVmas(vma)
      yield* this.k.vmas.unlinkFileVma(vma)
    }
    yield* this.k.upper.freePgtables(mm, start, end, floor as VirtAddr, ceiling as VirtAddr)
    yield* this.k.gather.tlbFinishMmu()
  }

  /** Part of vms_complete_munmap_vmas(): frees a chain of detached VMAs. */
  *removeVmas(first: PhysAddr): Step<void> {
    for (let vma = first; vma !== 0;) {
      const next = nextDetached(vma)
      yield* this.k.vmas.removeVma(vma)
      vma = next
    }
  }

  /** USER_PGTABLES_CEILING: tables may be freed up to here, the end of the last user entry of the top table. */
  get tablesEnd(): number {
    const { geo } = this.k
    const all = geo.upperSize(geo.levels) * geo.ptrsPerTable
    return geo.levels === 5 ? all : all / 2 // with four levels the upper half is the kernel's
  }
}

/** Part of do_mmap(): whether the kind of mapping exists, for a file or without: 0 or a negative errno. */
function checkType(flags: number, hasFile: boolean): number {
  const type = flags & MAP_TYPE
  const grows = (flags & MAP_GROWSDOWN) !== 0
  if (type === MAP_PRIVATE) return hasFile && grows ? -EINVAL : 0
  if (type === MAP_SHARED) return grows ? -EINVAL : 0
  if (type === MAP_SHARED_VALIDATE) return !hasFile ? -EINVAL : grows ? -EINVAL : 0
  if (type === MAP_DROPPABLE) return hasFile || grows || (flags & MAP_LOCKED) !== 0 ? -EINVAL : 0
  return -EINVAL
}

/** Part of do_mmap(): pages are faulted in at once. */
const populates = (defFlags: number, flags: number): boolean =>
  (defFlags & VM_LOCKED) !== 0 || (flags & MAP_LOCKED) !== 0 || (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE
/** The VMA that was taken out of the tree with `vma` and comes behind it; 0: none. */
const nextDetached = (vma: PhysAddr): PhysAddr => phys(peek32(vma + VMA.at.nextDetached))

/**
 * Part of do_mmap(): calc_vm_prot_bits(), calc_vm_flag_bits(), and the rights that a mapping may get later. Files are
 * opened for read and write.
 */
function vmFlagsOf(prot: number, flags: number): number {
  let vm = prot & (VM_READ | VM_WRITE | VM_EXEC)
  vm |= VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  const type = flags & MAP_TYPE
  if (type === MAP_SHARED || type === MAP_SHARED_VALIDATE) vm |= VM_SHARED | VM_MAYSHARE
  if (type === MAP_DROPPABLE) vm |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
  if ((flags & MAP_LOCKED) !== 0) vm |= VM_LOCKED
  if ((flags & MAP_NORESERVE) !== 0) vm |= VM_NORESERVE
  if ((flags & MAP_GROWSDOWN) !== 0) vm |= VM_GROWSDOWN
  // Since v6.7, so that the stacks of threads are not made of huge pages.
  if ((flags & MAP_STACK) !== 0) vm |= VM_NOHUGEPAGE
  return vm
}
