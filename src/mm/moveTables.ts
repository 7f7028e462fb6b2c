/**
 * mremap's entries: moves those of one range to another, table by table.
 *
 * Source: mm/mremap.c move_page_tables(), move_ptes(), move_normal_pmd() (v6.12). Left out: move_normal_pud() (the same
 * step one level up, with the same locks) and try_realign_addr(), which moves a whole table where the range covers all
 * that is mapped in it: both move more entries at once, in a way that occurs here too.
 *
 * The rule (BUG-12): a page reachable through a new entry may be unmapped there and freed by whoever takes the new
 * table's lock next, flushing the new address only. So the old address is flushed before either lock goes.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { entryTable, isSwapPmd, pmdLeaf, pmdNone, pmdPresent, pteNone, ptePresent } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { downWrite, upWrite } from '../sync/rwsem.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { FILE, VMA } from './mmStruct.js'

export abstract class MoveTables extends Part {
  /**
   * move_page_tables(): returns the bytes moved, fewer than `len` without memory for a table. `locks`: every step
   * excludes rmap walks. Caller: mmap_lock for write; nothing is mapped at the target.
   */
  *movePageTables(
    vma: PhysAddr,
    from: number,
    newVma: PhysAddr,
    to: number,
    len: number,
    locks: boolean,
  ): Step<number> {
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(vma))
    const { pageSize } = this.k.geo
    let done = 0
    while (done < len) {
      const oldAddr = (from + done) as VirtAddr
      const newAddr = (to + done) as VirtAddr
      const extent = this.getExtent(oldAddr, newAddr, len - done)
      const oldPmdp = yield* this.k.upper.mmFindPmd(this.k.mmOf(vma), oldAddr)
      if (oldPmdp !== 0 && !(yield* this.moveExtent(vma, oldPmdp, oldAddr, newVma, newAddr, extent, locks))) break
      done += Math.max(extent, pageSize)
    }
    return done
  }

  /** get_extent(): to the end of the old table, of the new one, or of the range. */
  protected getExtent(oldAddr: VirtAddr, newAddr: VirtAddr, left: number): number {
    const { geo } = this.k
    const oldEnd = geo.pmdAddrEnd(oldAddr, (oldAddr + left) as VirtAddr)
    const newEnd = geo.pmdAddrEnd(newAddr, (newAddr + left) as VirtAddr)
    return Math.min(oldEnd - oldAddr, newEnd - newAddr)
  }

  /** Part of move_page_tables(): what one PMD entry translates: moved as a whole if it can be. False without memory. */
  protected *moveExtent(
    vma: PhysAddr,
    oldPmdp: PhysAddr,
    oldAddr: VirtAddr,
    newVma: PhysAddr,
    newAddr: VirtAddr,
    extent: number,
    locks: boolean,
  ): Step<boolean> {
    const { tables, geo } = this.k
    if (pmdNone((yield* this.cpu.readOnce64(oldPmdp)) as PteWord)) return true
    const newPmdp = yield* this.k.upper.mmAllocPmd(this.k.mmOf(newVma), newAddr)
    if (newPmdp === 0) return false
    for (;;) {
      const pmd = (yield* this.cpu.readOnce64(oldPmdp)) as PteWord
      if (pmdNone(pmd)) return true
      if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
        if (extent === geo.pmdSize && (yield* this.moveHuge(vma, oldPmdp, oldAddr, newPmdp, newAddr, locks)))
          return true
        yield* this.k.splitHugePmd.splitHugePmd(vma, oldPmdp, oldAddr, false, phys(0))
      } else if (extent === geo.pmdSize && (yield* this.moveTable(vma, oldPmdp, oldAddr, newPmdp, newAddr))) return true
      if (!(yield* tables.pteAlloc(this.k.mmOf(newVma), newPmdp, newAddr))) return false
      if (yield* this.movePtes(vma, oldPmdp, oldAddr, newPmdp, newAddr, extent, locks)) return true
    }
  }

  /** Part of move_page_tables(). */
  protected *moveHuge(
    vma: PhysAddr,
    oldPmdp: PhysAddr,
    oldAddr: VirtAddr,
    newPmdp: PhysAddr,
    newAddr: VirtAddr,
    locks: boolean,
  ): Step<boolean> {
    const oldEnd = (oldAddr + this.k.geo.pmdSize) as VirtAddr
    if (locks) yield* this.takeRmapLocks(vma)
    const moved = yield* this.k.huge.moveHugePmd(vma, oldAddr, newAddr, oldEnd, oldPmdp, newPmdp)
    if (locks) yield* this.dropRmapLocks(vma)
    return moved
  }

  /**
   * Part of move_page_tables(): a table that moves takes its entries to another address at once: no rmap walk may be in
   * it, whatever the order.
   */
  protected *moveTable(
    vma: PhysAddr,
    oldPmdp: PhysAddr,
    oldAddr: VirtAddr,
    newPmdp: PhysAddr,
    newAddr: VirtAddr,
  ): Step<boolean> {
    yield* this.takeRmapLocks(vma)
    const moved = yield* this.moveNormalPmd(vma, oldAddr, newAddr, oldPmdp, newPmdp)
    yield* this.dropRmapLocks(vma)
    return moved
  }

  /**
   * move_normal_pmd(): false when the entry points to no table any more: it was looked at without a lock, and a
   * collapse may have come in between (BUG-11). Caller: the rmap locks.
   */
  protected *moveNormalPmd(
    vma: PhysAddr,
    oldAddr: VirtAddr,
    newAddr: VirtAddr,
    oldPmdp: PhysAddr,
    newPmdp: PhysAddr,
  ): Step<boolean> {
    const { ops, tables, geo } = this.k
    const mm = this.k.mmOf(vma)
    if (!ops.haveMovePmd || !pmdNone((yield* this.cpu.readOnce64(newPmdp)) as PteWord)) return false
    yield* this.lockBoth(tables.pmdLockptr(oldPmdp), tables.pmdLockptr(newPmdp))
    const pmd = (yield* this.cpu.readOnce64(oldPmdp)) as PteWord
    const movable = this.isMovableTable(pmd)
    if (movable) {
      yield* ops.pmdClear(mm, oldAddr, oldPmdp)
      yield* ops.pmdPopulate(mm, newAddr, newPmdp, entryTable(pmd))
      yield* this.flushBeforeUnlock(vma, oldAddr, oldAddr + geo.pmdSize)
    }
    yield* this.unlockBoth(tables.pmdLockptr(oldPmdp), tables.pmdLockptr(newPmdp))
    if (movable) yield* this.flushAfterUnlock(vma, oldAddr, oldAddr + geo.pmdSize)
    return movable
  }

  /** Part of move_normal_pmd(): what was decided from an unlocked look, again under the lock. */
  protected isMovableTable(pmd: PteWord): boolean {
    return pmdPresent(pmd) && !pmdLeaf(pmd)
  }

  /** move_ptes(): false when there is no table (any more): look again. */
  protected *movePtes(
    vma: PhysAddr,
    oldPmdp: PhysAddr,
    oldAddr: VirtAddr,
    newPmdp: PhysAddr,
    newAddr: VirtAddr,
    extent: number,
    locks: boolean,
  ): Step<boolean> {
    if (locks) yield* this.takeRmapLocks(vma)
    const moved = yield* this.movePtesLocked(vma, oldPmdp, oldAddr, newPmdp, newAddr, extent)
    if (locks) yield* this.dropRmapLocks(vma)
    return moved
  }

  /** Part of move_ptes(). */
  protected *movePtesLocked(
    vma: PhysAddr,
    oldPmdp: PhysAddr,
    oldAddr: VirtAddr,
    newPmdp: PhysAddr,
    newAddr: VirtAddr,
    extent: number,
  ): Step<boolean> {
    const { tables } = this.k
    const oldPtep = yield* tables.pteOffsetMapLock(this.k.mmOf(vma), oldPmdp, oldAddr)
    if (oldPtep === 0) return false
    const newPtep = yield* tables.pteOffsetMap(newPmdp, newAddr)
    const [oldLock, newLock] = [tables.pteLockptr(oldPtep), tables.pteLockptr(newPtep)]
    // Nested, in either order of addresses: only a holder of this mmap_lock for write takes two locks of the mm.
    if (newPtep !== 0 && newLock !== oldLock) yield* spinLock(this.cpu, newLock)
    yield* this.k.tlbBatch.flushTlbBatchedPending(this.k.mmOf(vma))
    const flush = newPtep !== 0 && (yield* this.moveEntries(vma, oldPtep, oldAddr, newPtep, newAddr, extent))
    if (flush) yield* this.flushBeforeUnlock(vma, oldAddr, oldAddr + extent)
    if (newPtep !== 0 && newLock !== oldLock) yield* spinUnlock(this.cpu, newLock)
    if (newPtep !== 0) tables.pteUnmap()
    yield* tables.pteUnmapUnlock(oldPtep)
    if (flush) yield* this.flushAfterUnlock(vma, oldAddr, oldAddr + extent)
    return newPtep !== 0
  }

  /**
   * Part of move_ptes(): true when one of them was present, so that a TLB may hold it at the old address. Both locks
   * held.
   */
  protected *moveEntries(
    vma: PhysAddr,
    oldPtep: PhysAddr,
    oldAddr: VirtAddr,
    newPtep: PhysAddr,
    newAddr: VirtAddr,
    extent: number,
  ): Step<boolean> {
    const { ops, geo } = this.k
    const mm = this.k.mmOf(vma)
    let present = false
    for (let i = 0; i * geo.pageSize < extent; i++) {
      const [oldEntry, newEntry] = [phys(oldPtep + i * 8), phys(newPtep + i * 8)]
      if (pteNone((yield* this.cpu.readOnce64(oldEntry)) as PteWord)) continue
      const pte = yield* ops.ptepGetAndClear(mm, (oldAddr + i * geo.pageSize) as VirtAddr, oldEntry)
      present ||= ptePresent(pte)
      yield* ops.setPteAt(mm, (newAddr + i * geo.pageSize) as VirtAddr, newEntry, pte)
    }
    return present
  }

  // ---- the flush ---------------------------------------------------------------------------------------------------

  /** Part of move_ptes(): with both locks held; see the rule at the head of the file. */
  protected *flushBeforeUnlock(vma: PhysAddr, start: number, end: number): Step<void> {
    yield* this.k.tlbFlush.flushTlbRange(vma, start as VirtAddr, end as VirtAddr)
  }

  /** Part of move_ptes(): where the flush was until 2018. */
  protected *flushAfterUnlock(_vma: PhysAddr, _start: number, _end: number): Step<void> {}

  // ---- locks -------------------------------------------------------------------------------------------------------

  /** take_rmap_locks(): i_mmap_rwsem, then the anon_vma lock. Caller: no page-table lock. */
  protected *takeRmapLocks(vma: PhysAddr): Step<void> {
    const [file, anonVma] = [peek32(vma + VMA.at.file), phys(peek32(vma + VMA.at.anonVma))]
    if (file !== 0) yield* downWrite(this.cpu, this.k.rcu, phys(file + FILE.at.rwsem))
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaLockWrite(anonVma)
  }

  /** drop_rmap_locks(). */
  protected *dropRmapLocks(vma: PhysAddr): Step<void> {
    const [file, anonVma] = [peek32(vma + VMA.at.file), phys(peek32(vma + VMA.at.anonVma))]
    if (anonVma !== 0) yield* this.k.anonVmas.anonVmaUnlockWrite(anonVma)
    if (file !== 0) yield* upWrite(this.cpu, phys(file + FILE.at.rwsem))
  }

  /** Part of move_ptes(). */
  protected *lockBoth(oldLock: PhysAddr, newLock: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, oldLock)
    if (newLock !== oldLock) yield* spinLock(this.cpu, newLock)
  }

  /** Part of move_ptes(). */
  protected *unlockBoth(oldLock: PhysAddr, newLock: PhysAddr): Step<void> {
    if (newLock !== oldLock) yield* spinUnlock(this.cpu, newLock)
    yield* spinUnlock(this.cpu, oldLock)
  }
}
