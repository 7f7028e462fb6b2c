/**
 * VMAs: finding, splitting and merging.
 *
 * Source: mm/vma.c, mm/mmap.c (v6.12, merging as of v6.18, see vmaMerge.ts). An mm finds its VMAs in a maple tree
 * (maple/mapleTree.ts). Left out: accounting of memory promised, hugetlb, vm_ops.
 *
 * Fields of a VMA change under mmap_lock for write, and start, end and pgoff under the anon_vma lock for write too:
 * rmap walkers hold nothing else.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { fillBytes, peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { downWrite, upWrite } from '../sync/rwsem.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import type { Kernel } from './kernel.js'
import { Part } from './part.js'
import { TABLES } from './mms.js'
import { ENOMEM, FILE, MM, POISON_FREE, VMA } from './mmStruct.js'
import { canMergeLeft, canMergeRight, hasClose, type MergeRange } from './vmaMerge.js'

const NO_VMA = phys(0)

/** What a merge does: `target` gets start … end, `adjusted` begins at `end`, `removed` VMAs go. 0: no such VMA. */
interface MergePlan {
  readonly target: PhysAddr
  readonly start: number
  readonly end: number
  readonly pgoff: number
  readonly adjusted: PhysAddr
  readonly removed: readonly PhysAddr[]
}

export class Vmas extends Part {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.__vmAreaFree(phys(head - VMA.at.rcuNext)) })
  }

  // ---- finding: mmap_lock held --------------------------------------------------------------------------------------

  /** find_vma(): the first VMA that ends behind `addr`, or 0. */
  findVma(mm: PhysAddr, addr: number): PhysAddr {
    this.k.mms.mmapAssertLocked(mm)
    return this.k.maple.masFind(mm, addr)
  }

  /** vma_lookup(): the VMA that contains `addr`, or 0. */
  vmaLookup(mm: PhysAddr, addr: number): PhysAddr {
    const vma = this.findVma(mm, addr)
    return vma !== 0 && peekF64(vma + VMA.at.start) <= addr ? vma : NO_VMA
  }

  /** find_vma_intersection(): the first VMA that overlaps start … end, or 0. */
  findVmaIntersection(mm: PhysAddr, start: number, end: number): PhysAddr {
    const vma = this.findVma(mm, start)
    return vma !== 0 && peekF64(vma + VMA.at.start) < end ? vma : NO_VMA
  }

  /** find_vma_prev(): the last VMA that starts before `addr`, or 0. */
  findVmaPrev(mm: PhysAddr, addr: number): PhysAddr {
    this.k.mms.mmapAssertLocked(mm)
    return this.k.maple.masPrev(mm, addr)
  }

  /** The VMA behind `vma`, which is in the tree; 0: none. */
  next(vma: PhysAddr): PhysAddr {
    return this.findVma(this.k.mmOf(vma), peekF64(vma + VMA.at.end))
  }

  /** The VMA before `vma`, which is in the tree; 0: none. */
  prev(vma: PhysAddr): PhysAddr {
    return this.findVmaPrev(this.k.mmOf(vma), peekF64(vma + VMA.at.start))
  }

  // ---- slots and the tree -------------------------------------------------------------------------------------------

  /** A VMA that is linked nowhere, all fields 0; 0 without a free slot. */
  *vmaAlloc(mm: PhysAddr): Step<PhysAddr> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.vmaLock))
    const vma = this.takeSlot()
    if (vma !== 0) {
      this.k.observer.objectAllocated(this.cpu, vma)
      fillBytes(vma, 0, VMA.size)
      poke32(vma + VMA.at.inUse, 1)
      poke32(vma + VMA.at.mm, mm)
    }
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.vmaLock))
    return vma
  }

  /** A slot that was used before, or else one that nobody has had yet; 0: there is none. */
  protected takeSlot(): PhysAddr {
    const { tables, vmas } = this.k.regions
    const free = peek32(tables + TABLES.at.freeVma)
    if (free !== 0) {
      poke32(tables + TABLES.at.freeVma, peek32(free + VMA.at.nextFree))
      return phys(free)
    }
    const used = peek32(tables + TABLES.at.vmasUsed)
    if (used === this.k.config.vmas) return NO_VMA
    poke32(tables + TABLES.at.vmasUsed, used + 1)
    return phys(vmas + used * VMA.size)
  }

  /** vm_area_free(): a VMA that is in no tree. Faults that find it under RCU may still look at its lock. */
  *vmAreaFree(vma: PhysAddr): Step<void> {
    if (this.k.config.perVmaLock) yield* this.k.rcu.callRcu(phys(vma + VMA.at.rcuNext), this.#freeCallback)
    else yield* this.__vmAreaFree(vma)
  }

  /** __vm_area_free(): nobody knows the VMA any more. It is poisoned, so that one who kept its address notices. */
  protected *__vmAreaFree(vma: PhysAddr): Step<void> {
    const { tables } = this.k.regions
    fillBytes(vma, POISON_FREE, VMA.size)
    yield* spinLock(this.cpu, phys(tables + TABLES.at.vmaLock))
    poke32(vma + VMA.at.inUse, 0)
    poke32(vma + VMA.at.nextFree, peek32(tables + TABLES.at.freeVma))
    poke32(tables + TABLES.at.freeVma, vma)
    this.k.observer.objectFreed(this.cpu, vma)
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.vmaLock))
  }

  /** vm_area_dup(): a copy that is linked nowhere and has no anon_vma yet; 0 without a free slot. Takes the file. */
  *vmAreaDup(vma: PhysAddr, mm: PhysAddr): Step<PhysAddr> {
    const copy = yield* this.vmaAlloc(mm)
    if (copy === 0) return NO_VMA
    this.vmaSetRange(copy, peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end), peekF64(vma + VMA.at.pgoff))
    poke32(copy + VMA.at.flags, peek32(vma + VMA.at.flags))
    poke32(copy + VMA.at.label, peek32(vma + VMA.at.label))
    const file = phys(peek32(vma + VMA.at.file))
    poke32(copy + VMA.at.file, file)
    if (file !== 0) yield* this.k.files.getFile(file)
    return copy
  }

  /** remove_vma(): lets go of what an unlinked VMA holds, and of the VMA. */
  *removeVma(vma: PhysAddr): Step<void> {
    yield* this.unlinkFileVma(vma)
    yield* this.k.anonVmas.unlinkAnonVmas(vma)
    const file = phys(peek32(vma + VMA.at.file))
    if (file !== 0) yield* this.k.files.fput(file)
    yield* this.vmAreaFree(vma)
  }

  /** vma_link(): puts `vma` into the tree of its mm and on the list of its file: 0 or -ENOMEM. mmap_lock for write. */
  *vmaLink(vma: PhysAddr): Step<number> {
    if ((yield* this.k.maple.masPreallocate(this.k.mmOf(vma))) !== 0) return -ENOMEM
    yield* this.vmaIterStore(vma)
    return 0
  }

  /** Part of vma_link() and vma_complete(): a new VMA. Caller: masPreallocate(), mmap_lock for write. */
  protected *vmaIterStore(vma: PhysAddr): Step<void> {
    const mm = this.k.mmOf(vma)
    const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
    yield* this.k.vmaLock.vmaStartWrite(vma)
    this.k.observer.objectShared(this.cpu, vma)
    yield* this.k.maple.masStorePrealloc(mm, start, end, vma)
    this.countMaps(mm, 1)
    yield* this.vmaLinkFile(vma)
  }

  /**
   * vma_mark_detached(): `vma` is about to leave the tree of its mm, or has left it. mmap_lock for write, and
   * vma_start_write() was called.
   */
  vmaMarkDetached(vma: PhysAddr): void {
    const mm = this.k.mmOf(vma)
    this.k.mms.mmapAssertWriteLocked(mm)
    this.k.observer.objectOwned(this.cpu, vma)
    poke32(vma + VMA.at.detached, 1)
    this.countMaps(mm, -1)
  }

  // ---- the list of VMAs of a file -----------------------------------------------------------------------------------

  /** vma_link_file(): whoever walks the mappings of its file finds `vma`, from any process. mmap_lock for write. */
  *vmaLinkFile(vma: PhysAddr): Step<void> {
    const file = phys(peek32(vma + VMA.at.file))
    if (file === 0) return
    yield* this.lockFile(file)
    // Behind the others: a walk of the list meets the source of an mremap before its target, and misses no page on the
    // way.
    let prev = 0
    for (let at = peek32(file + FILE.at.firstVma); at !== 0; at = peek32(at + VMA.at.fileNext)) prev = at
    poke32(vma + VMA.at.fileNext, 0)
    poke32(vma + VMA.at.filePrev, prev)
    poke32(vma + VMA.at.fileLinked, 1)
    poke32(prev === 0 ? file + FILE.at.firstVma : prev + VMA.at.fileNext, vma)
    yield* this.unlockFile(file)
  }

  /** unlink_file_vma(): before the tables of `vma` go, since those who found it by its file take no mmap_lock. */
  *unlinkFileVma(vma: PhysAddr): Step<void> {
    const file = phys(peek32(vma + VMA.at.file))
    if (file === 0 || peek32(vma + VMA.at.fileLinked) === 0) return
    yield* this.lockFile(file)
    const [next, prev] = [peek32(vma + VMA.at.fileNext), peek32(vma + VMA.at.filePrev)]
    if (next !== 0) poke32(next + VMA.at.filePrev, prev)
    if (prev === 0) poke32(file + FILE.at.firstVma, next)
    else poke32(prev + VMA.at.fileNext, next)
    poke32(vma + VMA.at.fileLinked, 0)
    yield* this.unlockFile(file)
  }

  protected *lockFile(file: PhysAddr): Step<void> {
    if (file !== 0) yield* downWrite(this.cpu, this.k.rcu, phys(file + FILE.at.rwsem))
  }

  protected *unlockFile(file: PhysAddr): Step<void> {
    if (file !== 0) yield* upWrite(this.cpu, phys(file + FILE.at.rwsem))
  }

  /** mm->map_count. */
  mapCount(mm: PhysAddr): number {
    return peek32(mm + MM.at.mapCount)
  }

  protected countMaps(mm: PhysAddr, delta: number): void {
    poke32(mm + MM.at.mapCount, this.mapCount(mm) + delta)
  }

  /** vma_set_range(). */
  vmaSetRange(vma: PhysAddr, start: number, end: number, pgoff: number): void {
    pokeF64(vma + VMA.at.start, start)
    pokeF64(vma + VMA.at.end, end)
    pokeF64(vma + VMA.at.pgoff, pgoff)
  }

  /** The page offset in the mapping of `addr`, in or at the edge of `vma`. */
  pgoffOf(vma: PhysAddr, addr: number): number {
    return peekF64(vma + VMA.at.pgoff) + (addr - peekF64(vma + VMA.at.start)) / this.k.geo.pageSize
  }

  // ---- splitting ----------------------------------------------------------------------------------------------------

  /** split_vma(): as __splitVma(), if the mm may have one more. */
  *splitVma(vma: PhysAddr, addr: VirtAddr, newBelow: boolean): Step<number> {
    if (this.mapCount(this.k.mmOf(vma)) >= this.k.config.maxMapCount) return -ENOMEM
    return yield* this.__splitVma(vma, addr, newBelow)
  }

  /**
   * __split_vma(): cuts `vma` at `addr`; the new VMA is the lower part if `newBelow`. 0 or -ENOMEM. mmap_lock for
   * write.
   */
  *__splitVma(vma: PhysAddr, addr: VirtAddr, newBelow: boolean): Step<number> {
    const mm = this.k.mmOf(vma)
    this.k.mms.mmapAssertWriteLocked(mm)
    const fresh = yield* this.vmAreaDup(vma, mm)
    if (fresh === 0) return -ENOMEM
    if ((yield* this.k.maple.masPreallocate(mm)) !== 0) {
      yield* this.removeVma(fresh)
      return -ENOMEM
    }
    yield* this.k.vmaLock.vmaStartWrite(vma)
    const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
    const [pgoff, middle] = [peekF64(vma + VMA.at.pgoff), this.pgoffOf(vma, addr)]
    if (newBelow) this.vmaSetRange(fresh, start, addr, pgoff)
    else this.vmaSetRange(fresh, addr, end, middle)
    yield* this.k.anonVmas.anonVmaClone(fresh, vma)
    const [file, anonVma] = [phys(peek32(vma + VMA.at.file)), phys(peek32(vma + VMA.at.anonVma))]
    yield* this.lockFile(file)
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaLockWrite(anonVma)
    // A huge page has one VMA around it: an rmap walk or a zap of one half must not meet the other's PMD entry.
    yield* this.splitHugePmdIfNeeded(vma, addr)
    if (newBelow) this.resize(vma, addr, end, middle)
    else this.resize(vma, start, addr, pgoff)
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaUnlockWrite(anonVma)
    yield* this.unlockFile(file)
    yield* this.vmaIterStore(fresh)
    return 0
  }

  /** Part of expand_downwards(): `vma`, which has an anon_vma, begins at `start`. 0 or -ENOMEM. mmap_lock for write. */
  *extendDown(vma: PhysAddr, start: number): Step<number> {
    const [mm, anonVma] = [this.k.mmOf(vma), phys(peek32(vma + VMA.at.anonVma))]
    if ((yield* this.k.maple.masPreallocate(mm)) !== 0) return -ENOMEM
    yield* this.k.vmaLock.vmaStartWrite(vma)
    yield* this.k.anonVmas.anonVmaLockWrite(anonVma)
    const end = peekF64(vma + VMA.at.end)
    this.resize(vma, start, end, this.pgoffOf(vma, start))
    yield* this.k.maple.masStorePrealloc(mm, start, end, vma)
    yield* this.k.anonVmas.anonVmaUnlockWrite(anonVma)
    return 0
  }

  /** Gives `vma` a new range, in its place in the anon_vma's list too. Anon_vma lock for write. */
  protected resize(vma: PhysAddr, start: number, end: number, pgoff: number): void {
    const anonVma = phys(peek32(vma + VMA.at.anonVma))
    if (anonVma !== 0) this.k.anonVmas.removeVma(anonVma, vma)
    this.vmaSetRange(vma, start, end, pgoff)
    if (anonVma !== 0) this.k.anonVmas.insertVma(anonVma, vma)
  }

  /** split_huge_pmd_if_needed(): if a huge page of `vma` could straddle the boundary `addr`. */
  protected *splitHugePmdIfNeeded(vma: PhysAddr, addr: number): Step<void> {
    const { geo } = this.k
    const first = geo.pmdAlignDown(addr as VirtAddr)
    if (first === addr || first < peekF64(vma + VMA.at.start)) return
    if (first + geo.pmdSize > peekF64(vma + VMA.at.end)) return
    const pmdp = yield* this.k.upper.mmFindPmd(phys(peek32(vma + VMA.at.mm)), addr as VirtAddr)
    if (pmdp !== 0) yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, addr as VirtAddr, false, phys(0))
  }

  // ---- merging ------------------------------------------------------------------------------------------------------

  /**
   * vma_modify_flags(): start … end of `vma`, which is to get `flags`, as a VMA of its own or merged into a neighbour
   * that has them. Returns that VMA, whose flags the caller sets; 0 without memory. mmap_lock for write.
   */
  *vmaModifyFlags(vma: PhysAddr, start: VirtAddr, end: VirtAddr, flags: number): Step<PhysAddr> {
    return yield* this.vmaModify(vma, start, end, flags, peek32(vma + VMA.at.label))
  }

  /** As vmaModifyFlags(), for a label: upstream's vma_modify_name() and vma_modify_policy(). */
  *vmaModifyLabel(vma: PhysAddr, start: VirtAddr, end: VirtAddr, label: number): Step<PhysAddr> {
    return yield* this.vmaModify(vma, start, end, peek32(vma + VMA.at.flags), label)
  }

  /** vma_modify(). */
  protected *vmaModify(vma: PhysAddr, start: VirtAddr, end: VirtAddr, flags: number, label: number): Step<PhysAddr> {
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(vma))
    const merged = yield* this.vmaMergeExistingRange(vma, start, end, flags, label)
    if (merged !== 0) return merged
    if (peekF64(vma + VMA.at.start) < start && (yield* this.splitVma(vma, start, true)) !== 0) return NO_VMA
    if (peekF64(vma + VMA.at.end) > end && (yield* this.splitVma(vma, end, false)) !== 0) return NO_VMA
    yield* this.k.vmaLock.vmaStartWrite(vma)
    return vma
  }

  /** vma_merge_existing_range(): the neighbour that start … end of `middle` became part of, or 0. */
  protected *vmaMergeExistingRange(
    middle: PhysAddr,
    start: number,
    end: number,
    flags: number,
    label: number,
  ): Step<PhysAddr> {
    const { pageSize } = this.k.geo
    const mm = this.k.mmOf(middle)
    const atStart = start === peekF64(middle + VMA.at.start)
    const atEnd = end === peekF64(middle + VMA.at.end)
    const [prev, next] = [atStart ? this.prev(middle) : NO_VMA, atEnd ? this.next(middle) : NO_VMA]
    const [pgoff, file] = [this.pgoffOf(middle, start), phys(peek32(middle + VMA.at.file))]
    const range: MergeRange = { prev, next, middle, start, end, pgoff, flags, file, label, anonOf: middle }
    const left = canMergeLeft(range, pageSize)
    const right = canMergeRight(range, left, pageSize)
    if ((left || right) && atStart && atEnd && hasClose(middle)) return NO_VMA
    if (left) {
      const donor = right && peek32(next + VMA.at.anonVma) !== 0 ? next : middle
      if ((yield* this.k.maple.masPreallocate(mm)) !== 0) return NO_VMA
      yield* this.startWriteAll([prev, middle, right ? next : NO_VMA])
      yield* this.dupAnonVma(prev, donor)
      yield* this.commitMerge(planLeft(range, right, atEnd))
      return prev
    }
    if (!right || (yield* this.k.maple.masPreallocate(mm)) !== 0) return NO_VMA
    yield* this.startWriteAll([middle, next])
    yield* this.dupAnonVma(next, middle)
    yield* this.commitMerge(this.planRight(range, atStart))
    return next
  }

  /** Part of vma_merge_existing_range(): the range leaves `middle` for `next`: all of it, or its end. */
  protected planRight(range: MergeRange, atStart: boolean): MergePlan {
    const { middle, next, start, pgoff } = range
    if (atStart) {
      const end = peekF64(next + VMA.at.end)
      return { target: next, start, end, pgoff, adjusted: NO_VMA, removed: [middle] }
    }
    const [first, firstPgoff] = [peekF64(middle + VMA.at.start), peekF64(middle + VMA.at.pgoff)]
    return { target: middle, start: first, end: start, pgoff: firstPgoff, adjusted: next, removed: [] }
  }

  /**
   * vma_merge_new_range(): a neighbour that grew over a range where nothing is mapped; 0: none could. `justExpand`:
   * only the one before it may.
   */
  *vmaMergeNewRange(range: MergeRange, justExpand: boolean): Step<PhysAddr> {
    const { prev, next, anonOf } = range
    const left = canMergeLeft(range, this.k.geo.pageSize)
    const right = !justExpand && canMergeRight(range, left, this.k.geo.pageSize)
    if (!left && !right) return NO_VMA
    const target = left ? prev : next
    if ((yield* this.k.maple.masPreallocate(this.k.mmOf(target))) !== 0) return NO_VMA
    yield* this.startWriteAll(left && right ? [prev, next] : [target])
    if (left && right) yield* this.dupAnonVma(target, next)
    if (anonOf !== 0) yield* this.dupAnonVma(target, anonOf)
    const [start, pgoff] = left
      ? [peekF64(prev + VMA.at.start), peekF64(prev + VMA.at.pgoff)]
      : [range.start, range.pgoff]
    const end = right ? peekF64(next + VMA.at.end) : range.end
    yield* this.commitMerge({ target, start, end, pgoff, adjusted: NO_VMA, removed: left && right ? [next] : [] })
    return target
  }

  /** Part of vma_merge_existing_range() and vma_merge_new_range(): locks what a merge changes or removes. */
  protected *startWriteAll(vmas: readonly PhysAddr[]): Step<void> {
    for (const vma of vmas) if (vma !== 0) yield* this.k.vmaLock.vmaStartWrite(vma)
  }

  /** dup_anon_vma(): before `dst` takes over pages of `src`. */
  protected *dupAnonVma(dst: PhysAddr, src: PhysAddr): Step<void> {
    if (peek32(dst + VMA.at.anonVma) === 0) yield* this.k.anonVmas.anonVmaClone(dst, src)
  }

  /** commit_merge(): the anon_vmas of all VMAs in the plan are one by now, or none. Caller: masPreallocate(). */
  protected *commitMerge(plan: MergePlan): Step<void> {
    const { target, start, end, pgoff, adjusted, removed } = plan
    const own = peek32(target + VMA.at.anonVma)
    const anonVma = phys(own !== 0 || adjusted === 0 ? own : peek32(adjusted + VMA.at.anonVma))
    const file = phys(peek32(target + VMA.at.file))
    yield* this.lockFile(file)
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaLockWrite(anonVma)
    yield* this.splitHugePmdIfNeeded(target, start)
    yield* this.splitHugePmdIfNeeded(target, end)
    if (adjusted !== 0) yield* this.splitHugePmdIfNeeded(adjusted, end)
    const shrinks = end < peekF64(target + VMA.at.end)
    this.resize(target, start, end, pgoff)
    if (adjusted !== 0) this.resize(adjusted, end, peekF64(adjusted + VMA.at.end), this.pgoffOf(adjusted, end))
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaUnlockWrite(anonVma)
    yield* this.unlockFile(file)
    // The one that grew; the others keep what is left of them.
    const grown = shrinks ? adjusted : target
    const range = [peekF64(grown + VMA.at.start), peekF64(grown + VMA.at.end)] as const
    yield* this.k.maple.masStorePrealloc(this.k.mmOf(target), ...range, grown)
    for (const vma of removed) {
      this.vmaMarkDetached(vma)
      yield* this.removeVma(vma)
    }
  }
}

/** The range leaves `middle` for `prev`: all of it, with `next` too or not, or its beginning. */
function planLeft(range: MergeRange, right: boolean, atEnd: boolean): MergePlan {
  const { prev, middle, next } = range
  const [start, pgoff] = [peekF64(prev + VMA.at.start), peekF64(prev + VMA.at.pgoff)]
  const end = right ? peekF64(next + VMA.at.end) : range.end
  const removed = right ? [middle, next] : atEnd ? [middle] : []
  return { target: prev, start, end, pgoff, adjusted: atEnd ? NO_VMA : middle, removed }
}
