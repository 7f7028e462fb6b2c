/**
 * Transparent huge pages of anonymous memory, mapped by one PMD entry.
 *
 * Source: mm/huge_memory.c (v6.12). Three parts, a file each:
 *
 *   splitHugePmd.ts   __split_huge_pmd() and what belongs to it
 *   hugeFault.ts      faults: map, copy on write, accessed bits, NUMA hints
 *   hugeMemory.ts     zap, fork, mprotect and NUMA hints, mremap
 *
 * Rule of the file: code that holds mmap_lock only for read changes a live huge entry in place or through the
 * invalidated state, never through none, unless it destroys the mapping (I1; seven upstream bugs broke it).
 *
 * Left out: file THPs, uffd, soft-dirty, PUD-sized pages, memcg, the deferred split queue (partly unmapped folios stay
 * whole until somebody asks), mmu notifiers (there is no secondary MMU). Each of them adds users of the same
 * transitions and locks, none changes a transition.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  PMD_EMPTY,
  isMigrationEntry,
  isReadableMigrationEntry,
  isSwapPmd,
  isWritableMigrationEntry,
  makeReadableExclusiveMigrationEntry,
  makeReadableMigrationEntry,
  pmdMkold,
  pmdMkwrite,
  pmdModify,
  pmdNone,
  pmdPfn,
  pmdPresent,
  pmdProtnone,
  pmdTransHuge,
  pmdWrite,
  pmdWrprotect,
  swpOffset,
  swpToPmd,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { EAGAIN, ENOMEM, MM } from './mmStruct.js'
import { NO_TABLE } from './page.js'

export class HugeMemory extends Part {
  /**
   * pmd_trans_huge_lock(): takes the lock of a PMD that maps or migrates a huge page; false, and no lock, for others.
   */
  *pmdTransHugeLock(pmdp: PhysAddr): Step<boolean> {
    yield* this.k.tables.pmdLock(pmdp)
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    if (pmdTransHuge(pmd) || isSwapPmd(pmd)) return true
    yield* this.k.tables.pmdUnlock(pmdp)
    return false
  }

  // ---- zap --------------------------------------------------------------------------------------------------------

  /**
   * zap_huge_pmd(): removes a huge mapping as a whole. False when the entry is not huge under the lock: the caller
   * looks again. Inside a gather. Caller: mmap_lock, for read is enough.
   */
  *zapHugePmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<boolean> {
    if (!(yield* this.pmdTransHugeLock(pmdp))) return false
    const { geo, gather, tables } = this.k
    const mm = this.k.mmOf(vma)
    const old = yield* this.k.ops.pmdpHugeGetAndClearFull(mm, addr, pmdp, this.k.gather.fullmm)
    // Noted before the lock goes (M2): whoever finds the entry empty may rely on a flush being on its way.
    gather.tlbFlushPmdRange(addr, geo.pmdSize)
    const zero = this.isHugeZeroPmd(old)
    const mapped = pmdPresent(old) && !zero
    if (mapped) yield* this.k.rmap.folioRemoveRmapPmd(this.k.splitHugePmd.folioOfPmd(old))
    yield* this.zapDepositedTable(mm, pmdp)
    if (!zero) tables.addCounter(phys(mm + MM.at.rssAnon), -geo.hpagePmdNr)
    yield* tables.pmdUnlock(pmdp)
    // A migration entry holds no reference, and the huge zero page is never freed.
    if (mapped) yield* this.releaseHuge(this.k.splitHugePmd.folioOfPmd(old))
    return true
  }

  /**
   * Part of zap_huge_pmd(): Z1: the mapping's reference is dropped only after every TLB that may hold the translation
   * was flushed.
   */
  protected *releaseHuge(folio: PhysAddr): Step<void> {
    yield* this.k.gather.tlbRemoveFolio(folio)
  }

  /**
   * zap_deposited_table(): at once, without grace period (D4): no walker can be in a deposited table. See
   * Khugepaged.excludeGupFast().
   */
  protected *zapDepositedTable(mm: PhysAddr, pmdp: PhysAddr): Step<void> {
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(mm, pmdp)
    yield* this.k.pgalloc.pteFree(mm, table)
    this.k.tables.mmDecNrPtes(mm)
  }

  // ---- fork -------------------------------------------------------------------------------------------------------

  /**
   * copy_huge_pmd(): 0 when the child has its entry, -EAGAIN when there is nothing huge (any more) and the caller goes
   * on with PTEs, -ENOMEM. Caller: mmap_lock of both for write, inside a write section of write_protect_seq.
   */
  *copyHugePmd(
    dstMm: PhysAddr,
    srcMm: PhysAddr,
    dstPmdp: PhysAddr,
    srcPmdp: PhysAddr,
    addr: VirtAddr,
    _dstVma: PhysAddr,
    srcVma: PhysAddr,
  ): Step<number> {
    this.k.mms.mmapAssertWriteLocked(dstMm)
    this.k.mms.mmapAssertWriteLocked(srcMm)
    const { pgalloc, tables } = this.k
    const table = yield* pgalloc.pteAllocOne(dstMm)
    if (table === NO_TABLE) return -ENOMEM
    yield* tables.pmdLock(dstPmdp)
    // Nested: nobody else knows the child's tables, so the order of the two cannot be met the other way round.
    yield* spinLock(this.cpu, tables.pmdLockptr(srcPmdp))
    const child = yield* this.entryForChild(srcMm, srcPmdp, addr)
    const copied = !pmdNone(child)
    if (copied) {
      tables.mmIncNrPtes(dstMm)
      yield* this.k.pgalloc.pgtableTransHugeDeposit(dstMm, dstPmdp, table)
      yield* this.k.ops.setPmdAt(dstMm, addr, dstPmdp, child)
      if (!this.isHugeZeroPmd(child)) tables.addCounter(phys(dstMm + MM.at.rssAnon), this.k.geo.hpagePmdNr)
    }
    yield* spinUnlock(this.cpu, tables.pmdLockptr(srcPmdp))
    yield* tables.pmdUnlock(dstPmdp)
    if (copied) return 0
    yield* this.k.pgalloc.pteFree(dstMm, table)
    // A folio that may be pinned: the parent must keep its pages and the child get copies, page by page. For a PMD that
    // was not huge this does nothing.
    yield* this.k.splitHugePmd.splitHugePmd(srcVma, srcPmdp, addr, false, 0)
    return -EAGAIN
  }

  /**
   * Part of copy_huge_pmd(): the child's entry, with the parent's write-protected; none when the range has to be copied
   * by PTEs. Both locks held.
   */
  protected *entryForChild(srcMm: PhysAddr, srcPmdp: PhysAddr, addr: VirtAddr): Step<PteWord> {
    const pmd = (yield* this.cpu.readOnce64(srcPmdp)) as PteWord
    if (isMigrationEntry(pmd)) return yield* this.shareMigrationEntry(srcMm, srcPmdp, addr, pmd)
    if (!pmdTransHuge(pmd)) return PMD_EMPTY
    if (!this.isHugeZeroPmd(pmd)) {
      const folio = this.k.splitHugePmd.folioOfPmd(pmd)
      yield* this.k.folios.folioGet(folio, 1)
      if (!(yield* this.k.rmap.folioTryDupAnonRmapPmd(folio))) {
        yield* this.k.folios.folioPut(folio, 1)
        return PMD_EMPTY
      }
    }
    yield* this.k.ops.pmdpSetWrprotect(srcMm, addr, srcPmdp)
    return pmdMkold(pmdWrprotect(pmd))
  }

  /**
   * Part of copy_huge_pmd(): shared from now on: neither may get a writable or exclusive page back when the migration
   * ends.
   */
  protected *shareMigrationEntry(srcMm: PhysAddr, srcPmdp: PhysAddr, addr: VirtAddr, pmd: PteWord): Step<PteWord> {
    if (isReadableMigrationEntry(pmd)) return pmd
    const readable = swpToPmd(makeReadableMigrationEntry(swpOffset(pmd)))
    yield* this.k.ops.setPmdAt(srcMm, addr, srcPmdp, readable)
    return readable
  }

  // ---- mprotect and NUMA hints ------------------------------------------------------------------------------------

  /**
   * change_huge_pmd(): 0 when the entry is not huge (the caller looks again), 1 when nothing has to be flushed, else
   * the number of base pages: the caller flushes addr … addr + PMD_SIZE before it returns to user space, and before it
   * drops mm.tlbFlushPending. `numa`: a NUMA hint, `newProt` is PROT_NONE's, and mmap_lock is held for read only.
   */
  *changeHugePmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, newProt: bigint, numa: boolean): Step<number> {
    if (!(yield* this.pmdTransHugeLock(pmdp))) return 0
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    let changed = 1
    if (isMigrationEntry(pmd)) yield* this.protectMigrationEntry(vma, pmdp, addr, pmd)
    // Faults on the zero page would say nothing about where the process runs.
    else if (!numa || !(this.isHugeZeroPmd(pmd) || pmdProtnone(pmd)))
      changed = yield* this.changePresentPmd(vma, pmdp, addr, newProt, numa)
    yield* this.k.tables.pmdUnlock(pmdp)
    return changed
  }

  /** Part of change_huge_pmd(). */
  protected *changePresentPmd(
    vma: PhysAddr,
    pmdp: PhysAddr,
    addr: VirtAddr,
    prot: bigint,
    numa: boolean,
  ): Step<number> {
    const { hpagePmdNr } = this.k.geo
    const old = yield* this.takeForChange(vma, addr, pmdp)
    let entry = pmdModify(old, prot, hpagePmdNr)
    if (!numa && !pmdWrite(entry) && (yield* this.k.hugeFault.canChangePmdWritable(vma, entry)))
      entry = pmdMkwrite(entry)
    yield* this.k.ops.setPmdAt(this.k.mmOf(vma), addr, pmdp, entry)
    return pmdProtnone(old) ? 1 : hpagePmdNr
  }

  /**
   * Part of change_huge_pmd(): takes the old entry with its final accessed and dirty bits. In the invalidated state,
   * not in none: a NUMA hint holds mmap_lock for read, and so does a MADV_DONTNEED that peeks at the entry and skips
   * what is none (BUG-26).
   */
  protected *takeForChange(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpInvalidateAd(vma, addr, pmdp)
  }

  /** Part of change_huge_pmd(). */
  protected *protectMigrationEntry(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, pmd: PteWord): Step<void> {
    if (!isWritableMigrationEntry(pmd)) return
    const readable = swpToPmd(makeReadableExclusiveMigrationEntry(swpOffset(pmd)))
    yield* this.k.ops.setPmdAt(this.k.mmOf(vma), addr, pmdp, readable)
  }

  // ---- mremap -----------------------------------------------------------------------------------------------------

  /**
   * move_huge_pmd(): moves one entry, and its deposited table if the locks differ. False when it is not huge. Caller:
   * mmap_lock for write, the rmap lock if the walk order needs it; both addresses aligned, the destination empty.
   */
  *moveHugePmd(
    vma: PhysAddr,
    oldAddr: VirtAddr,
    newAddr: VirtAddr,
    _oldEnd: VirtAddr,
    oldPmdp: PhysAddr,
    newPmdp: PhysAddr,
  ): Step<boolean> {
    const { ops, tables } = this.k
    const mm = this.k.mmOf(vma)
    this.k.mms.mmapAssertWriteLocked(mm)
    if (!pmdNone((yield* this.cpu.readOnce64(newPmdp)) as PteWord)) return false
    if (!(yield* this.pmdTransHugeLock(oldPmdp))) return false
    const [oldLock, newLock] = [tables.pmdLockptr(oldPmdp), tables.pmdLockptr(newPmdp)]
    // Nested, in either order of addresses: only a holder of this mmap_lock for write takes two PMD locks of the mm.
    if (newLock !== oldLock) yield* spinLock(this.cpu, newLock)
    const pmd = yield* ops.pmdpHugeGetAndClear(mm, oldAddr, oldPmdp)
    if (newLock !== oldLock)
      yield* this.k.pgalloc.pgtableTransHugeDeposit(
        mm,
        newPmdp,
        yield* this.k.pgalloc.pgtableTransHugeWithdraw(mm, oldPmdp),
      )
    yield* ops.setPmdAt(mm, newAddr, newPmdp, pmd)
    if (pmdPresent(pmd)) yield* this.flushMovedPmd(vma, oldAddr)
    if (newLock !== oldLock) yield* spinUnlock(this.cpu, newLock)
    yield* tables.pmdUnlock(oldPmdp)
    return true
  }

  /**
   * Part of move_huge_pmd(): before the locks go: whoever takes the new one next may unmap the folio at its new
   * address, flush that address only, and free the folio, while a TLB still translates the old one (BUG-12).
   */
  protected *flushMovedPmd(vma: PhysAddr, oldAddr: VirtAddr): Step<void> {
    yield* this.k.tlbFlush.flushTlbRange(vma, oldAddr, (oldAddr + this.k.geo.pmdSize) as VirtAddr)
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  /** is_huge_zero_pmd(): of a huge leaf; a migration entry is none. */
  isHugeZeroPmd(pmd: PteWord): boolean {
    return pmdTransHuge(pmd) && this.k.pages.isHugeZeroPfn(pmdPfn(pmd, this.k.geo.hpagePmdNr))
  }
}
