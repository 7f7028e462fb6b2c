/**
 * mprotect(), and the NUMA hints that use the same walk.
 *
 * Source: mm/mprotect.c do_mprotect_pkey(), mprotect_fixup(), change_protection() (v6.12). Left out:
 * protection keys, READ_IMPLIES_EXEC, soft-dirty and uffd write protection, hugetlb.
 *
 * All entries are changed first, each under the lock of its table, and flushed once at the end, through a gather. In
 * between other CPUs use the old rights; mm.tlbFlushPending, which the gather raises before the first lock, tells those
 * who would conclude something from an entry.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isSwapPmd,
  isWritableMigrationEntry,
  makeReadableExclusiveMigrationEntry,
  makeReadableMigrationEntry,
  pmdLeaf,
  pmdNone,
  pteDirty,
  pteMkwrite,
  pteModify,
  pteNeedsFlush,
  pteNone,
  ptePfn,
  ptePresent,
  pteProtnone,
  pteSpecial,
  pteWrite,
  swpOffset,
  swpOffsetPfn,
  vmGetPageProt,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { PROT_GROWSDOWN, PROT_GROWSUP } from './mmapFlags.js'
import { Part } from './part.js'
import {
  EACCES,
  VM_ACCESS_FLAGS,
  EINVAL,
  ENOMEM,
  EPERM,
  VM_ACCOUNT,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYWRITE,
  VM_NORESERVE,
  VM_SHARED,
  VM_WRITE,
  VMA,
} from './mmStruct.js'
import { PG_ANON_EXCLUSIVE, PG_DIRTY } from './page.js'

const PROT_GROWS = PROT_GROWSDOWN | PROT_GROWSUP

/** What an entry is changed to, and how (MM_CP_ flags). */
interface Change {
  readonly prot: bigint
  /** A hint: the page's rights do not change, its next use is to be seen. mmap_lock is held for read only. */
  readonly numa: boolean
  /** MM_CP_TRY_CHANGE_WRITABLE: spare the write fault where it would just make the entry writable. */
  readonly tryWritable: boolean
}

export class Mprotect extends Part {
  // ---- the system call ----------------------------------------------------------------------------------------------

  /**
   * do_mprotect_pkey(): 0 or a negative errno; at a hole it stops with -ENOMEM, what came before is done. Takes and
   * releases mmap_lock.
   */
  *doMprotectPkey(mm: PhysAddr, start: number, len: number, prot: number): Step<number> {
    const { pageSize } = this.k.geo
    if (start % pageSize !== 0) return -EINVAL
    if (len === 0) return 0
    const end = start + this.k.mmap.pageAlign(len)
    if (end <= start) return -ENOMEM
    if ((prot & ~(VM_ACCESS_FLAGS | PROT_GROWS)) !== 0 || (prot & PROT_GROWS) === PROT_GROWS) return -EINVAL
    const stamp = this.k.observer.callBegins(this.cpu)
    yield* this.k.mms.mmapWriteLock(mm)
    const from = this.firstToProtect(mm, start, end, prot)
    const result = from < 0 ? from : yield* this.protectVmas(mm, from, end, prot & VM_ACCESS_FLAGS)
    if (result === 0) this.k.observer.callReturns(this.cpu, 'protect', mm, start, end, stamp)
    yield* this.k.mms.mmapWriteUnlock(mm)
    return result
  }

  /**
   * Part of do_mprotect_pkey(): where the change begins: with PROT_GROWSDOWN where the stack does that `start` is in,
   * or a negative errno.
   */
  protected firstToProtect(mm: PhysAddr, start: number, end: number, prot: number): number {
    if ((prot & PROT_GROWS) === 0) return start
    const vma = this.k.vmas.findVmaIntersection(mm, start, end)
    if (vma === 0) return -ENOMEM
    const isStack = (prot & PROT_GROWSDOWN) !== 0 && (peek32(vma + VMA.at.flags) & VM_GROWSDOWN) !== 0
    return isStack ? peekF64(vma + VMA.at.start) : -EINVAL
  }

  /** Part of do_mprotect_pkey(). */
  protected *protectVmas(mm: PhysAddr, start: number, end: number, prot: number): Step<number> {
    let vma = this.k.vmas.vmaLookup(mm, start)
    if (vma === 0) return -ENOMEM
    yield* this.k.gather.tlbGatherMmu(mm, false)
    let error = 0
    let at = start
    while (at < end && error === 0) {
      if (vma === 0 || peekF64(vma + VMA.at.start) > at) {
        error = -ENOMEM
        break
      }
      const fixed: number = yield* this.mprotectFixup(vma, at, Math.min(end, peekF64(vma + VMA.at.end)), prot)
      if (fixed < 0) error = fixed
      else {
        // Merged with a neighbour that had these rights already, it may reach further than the range asked for.
        at = peekF64(fixed + VMA.at.end)
        vma = this.k.vmas.next(phys(fixed))
      }
    }
    yield* this.k.gather.tlbFinishMmu()
    return error
  }

  /** mprotect_fixup(): the VMA that start … end of `vma` is in afterwards, or a negative errno. */
  protected *mprotectFixup(vma: PhysAddr, start: number, end: number, prot: number): Step<number> {
    const old = peek32(vma + VMA.at.flags)
    const wanted = (old & ~VM_ACCESS_FLAGS) | prot
    // VM_MAYREAD … are the same bits, four places up.
    if ((wanted & ~(wanted >>> 4) & VM_ACCESS_FLAGS) !== 0) return -EACCES
    if (!this.k.mseal.canModifyVma(vma)) return -EPERM
    if (wanted === old) return vma
    const flags = accounted(vma, old, wanted)
    const changed = yield* this.k.vmas.vmaModifyFlags(vma, start as VirtAddr, end as VirtAddr, flags)
    if (changed === 0) return -ENOMEM
    poke32(changed + VMA.at.flags, flags)
    const tryWritable = (flags & VM_WRITE) !== 0 && (flags & VM_SHARED) === 0
    yield* this.changeProtection(changed, start, end, { prot: vmGetPageProt(flags), numa: false, tryWritable })
    // Locked memory that becomes writable: break COW now instead of at the first write.
    if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) === VM_LOCKED && (flags & VM_WRITE) !== 0)
      yield* this.k.mmap.mlock.populateVmaPageRange(changed, start, end)
    return changed
  }

  /**
   * change_prot_numa(): makes the pages of start … end, all in `vma`, inaccessible, so that their next use faults and
   * tells which CPU it came from. mmap_lock for read.
   */
  *changeProtNuma(vma: PhysAddr, start: number, end: number): Step<void> {
    yield* this.k.gather.tlbGatherMmu(this.k.mmOf(vma), false)
    yield* this.changeProtection(vma, start, end, { prot: vmGetPageProt(0), numa: true, tryWritable: false })
    yield* this.k.gather.tlbFinishMmu()
  }

  // ---- the walk ----------------------------------------------------------------------------------------------------

  /** change_protection(): inside a gather, which flushes later. */
  *changeProtection(vma: PhysAddr, start: number, end: number, change: Change): Step<void> {
    const { geo } = this.k
    const mm = this.k.mmOf(vma)
    for (let addr = start as VirtAddr; addr < end;) {
      const next = geo.pmdAddrEnd(addr, end as VirtAddr)
      const pmdp = yield* this.k.upper.mmFindPmd(mm, addr)
      if (pmdp !== 0) yield* this.changePmd(vma, pmdp, addr, next, change)
      addr = next
    }
  }

  /** Part of change_pmd_range(). */
  protected *changePmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, end: VirtAddr, change: Change): Step<void> {
    const { geo, huge, gather } = this.k
    for (;;) {
      // Peeked at without a lock: what is decided from it is checked again under one.
      const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
      if (pmdNone(pmd)) return
      if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
        if (end - addr !== geo.pmdSize) yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, addr, false, phys(0))
        else {
          const changed = yield* huge.changeHugePmd(vma, pmdp, addr, change.prot, change.numa)
          if (changed === geo.hpagePmdNr) gather.tlbFlushPmdRange(addr, geo.pmdSize)
          if (changed !== 0) return
        }
      }
      // No table: the entry changed under our eyes. Look again.
      if (yield* this.changePteRange(vma, pmdp, addr, end, change)) return
    }
  }

  /** change_pte_range(): false when there is no table (any more). */
  protected *changePteRange(
    vma: PhysAddr,
    pmdp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    change: Change,
  ): Step<boolean> {
    const { pageSize } = this.k.geo
    const first = yield* this.k.tables.pteOffsetMapLock(this.k.mmOf(vma), pmdp, start)
    if (first === 0) return false
    yield* this.k.tlbBatch.flushTlbBatchedPending(this.k.mmOf(vma))
    let ptep = first
    for (let addr = start; addr < end; addr = (addr + pageSize) as VirtAddr) {
      yield* this.changePte(vma, addr, ptep, change)
      ptep = phys(ptep + 8)
    }
    yield* this.k.tables.pteUnmapUnlock(first)
    return true
  }

  /** Part of change_pte_range(). */
  protected *changePte(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, change: Change): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteNone(pte)) return
    if (!ptePresent(pte)) return yield* this.changeMigrationEntry(vma, addr, ptep, pte)
    if (change.numa && !(yield* this.wantsNumaHint(vma, pte))) return
    const old = yield* this.k.ops.ptepModifyProtStart(vma, addr, ptep)
    let entry = pteModify(old, change.prot)
    if (change.tryWritable && !pteWrite(entry) && (yield* this.canChangePteWritable(vma, entry)))
      entry = pteMkwrite(entry)
    yield* this.k.ops.ptepModifyProtCommit(vma, addr, ptep, old, entry)
    if (pteNeedsFlush(old, entry)) this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
  }

  /**
   * Part of change_pte_range(): a hint on the zero page would say nothing about where the process runs, one is enough,
   * and pages that could not be moved get none: shared on write, maybe pinned, dirty and a file's.
   */
  protected *wantsNumaHint(vma: PhysAddr, pte: PteWord): Step<boolean> {
    const { folios } = this.k
    if (pteProtnone(pte) || pteSpecial(pte)) return false
    const folio = yield* folios.compoundHead(this.k.memmap.page(ptePfn(pte)))
    const cow = (peek32(vma + VMA.at.flags) & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE
    if (cow && ((yield* folios.folioMaybeDmaPinned(folio)) || (yield* folios.folioLikelyMappedShared(folio))))
      return false
    return folios.isAnon(folio) || !(yield* folios.testFlag(folio, PG_DIRTY))
  }

  /**
   * Part of change_pte_range(): rights of a page on its way: not writable when it arrives; the next write will tell.
   */
  protected *changeMigrationEntry(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<void> {
    if (!isWritableMigrationEntry(pte)) return
    const anon = this.k.folios.isAnonPage(this.k.memmap.page(swpOffsetPfn(pte)))
    const offset = swpOffset(pte)
    const entry = anon ? makeReadableExclusiveMigrationEntry(offset) : makeReadableMigrationEntry(offset)
    yield* this.k.ops.setPteAt(this.k.mmOf(vma), addr, ptep, entry)
  }

  /**
   * can_change_pte_writable(): a write fault would make the entry writable without a look at anything but the page,
   * under the lock that is held. In private memory that means anonymous and exclusive (A4).
   */
  *canChangePteWritable(vma: PhysAddr, pte: PteWord): Step<boolean> {
    if (pteProtnone(pte)) return false
    if ((peek32(vma + VMA.at.flags) & VM_SHARED) !== 0) return pteDirty(pte)
    if (pteSpecial(pte)) return false
    const page = this.k.memmap.page(ptePfn(pte))
    return this.k.folios.isAnonPage(page) && (yield* this.k.folios.testFlag(page, PG_ANON_EXCLUSIVE))
  }
}

/**
 * Part of mprotect_fixup(): memory that becomes writable and private is promised from then on (VM_ACCOUNT); the promise
 * is taken back only while no page can exist.
 */
function accounted(vma: PhysAddr, old: number, wanted: number): number {
  if ((wanted & VM_WRITE) !== 0) {
    const promised = (old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE)) !== 0
    return promised ? wanted : wanted | VM_ACCOUNT
  }
  const untouched = peek32(vma + VMA.at.file) === 0 && peek32(vma + VMA.at.anonVma) === 0
  return (old & VM_ACCOUNT) !== 0 && untouched ? wanted & ~VM_ACCOUNT : wanted
}

/** vma_is_accessible(): user code may read, write or execute something here. Caller: mmap_lock. */
export function vmaIsAccessible(vma: PhysAddr): boolean {
  return (peek32(vma + VMA.at.flags) & VM_ACCESS_FLAGS) !== 0
}
