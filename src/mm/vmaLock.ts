/**
 * Per-VMA locks: a fault finds its VMA under RCU and locks it alone, so that it neither waits for who changes other
 * VMAs nor makes him wait.
 *
 * Source: include/linux/mm.h vma_start_read() …, mm/memory.c lock_vma_under_rcu() (v6.12: a version in the mm and an
 * rwsem in each VMA; v6.15 made a count of the rwsem). Kernels have them with CONFIG_PER_VMA_LOCK (perVmaLock). As up
 * to v6.6, faults in VMAs of files and in those that have no anon_vma yet take mmap_lock.
 *
 * Who holds mmap_lock for write locks each VMA that it changes for write, for as long as it has mmap_lock: the version
 * that the VMA was locked at is that of the mm, and giving mmap_lock up raises the mm's, which unlocks all at once.
 */
import { CPU_STATE } from '../arch/cpuState.js'
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import { downReadTrylock, downWrite, rwsemAssertHeld, upRead, upWrite } from '../sync/rwsem.js'
import { MM, VMA } from './mmStruct.js'
import { Part } from './part.js'

const NO_VMA = phys(0)

export class VmaLock extends Part {
  // ---- faults -------------------------------------------------------------------------------------------------------

  /** lock_vma_under_rcu(): the VMA of this CPU's `mm` that contains `addr`, locked to read; 0: take mmap_lock. */
  *lockVmaUnderRcu(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    this.k.rcu.rcuReadLock()
    const vma = yield* this.findAndLock(mm, addr)
    this.k.rcu.rcuReadUnlock()
    if (vma === 0) return NO_VMA
    poke32(this.cpu.area + CPU_STATE.at.lockedVma, vma)
    return vma
  }

  /** Part of lock_vma_under_rcu(). */
  protected *findAndLock(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    for (;;) {
      const vma = yield* this.k.maple.masWalk(mm, addr)
      if (vma === 0 || peek32(vma + VMA.at.file) !== 0 || !(yield* this.vmaStartRead(mm, vma))) return NO_VMA
      if (!this.isDetached(vma)) {
        if (this.contains(vma, addr) && (yield* this.cpu.readOnce32(phys(vma + VMA.at.anonVma))) !== 0) return vma
        yield* upRead(this.cpu, phys(vma + VMA.at.vmLock))
        return NO_VMA
      }
      // Another one has its place by now.
      yield* upRead(this.cpu, phys(vma + VMA.at.vmLock))
    }
  }

  /** Part of lock_vma_under_rcu(): it left the tree after it was found. */
  protected isDetached(vma: PhysAddr): boolean {
    return peek32(vma + VMA.at.detached) !== 0
  }

  /** Part of lock_vma_under_rcu(): it may have become smaller after it was found. */
  protected contains(vma: PhysAddr, addr: VirtAddr): boolean {
    return addr >= peekF64(vma + VMA.at.start) && addr < peekF64(vma + VMA.at.end)
  }

  /** vma_start_read(): false when it is locked for write, or may be. Caller: rcu_read_lock(). */
  protected *vmaStartRead(mm: PhysAddr, vma: PhysAddr): Step<boolean> {
    const lock = phys(vma + VMA.at.vmLock)
    if (yield* this.isLockedForWrite(mm, vma)) return false
    if (!(yield* downReadTrylock(this.cpu, lock))) return false
    // Again: who locks it for write holds the rwsem for a moment only, and the version tells of it from then on.
    if (!(yield* this.isLockedForWrite(mm, vma))) return true
    yield* upRead(this.cpu, lock)
    return false
  }

  /** ACQUIRE: what was changed under the lock, where the version says that it is over. Pairs with vmaEndWriteAll(). */
  protected *isLockedForWrite(mm: PhysAddr, vma: PhysAddr): Step<boolean> {
    const seq = yield* this.cpu.readOnce32(phys(vma + VMA.at.vmLockSeq))
    return seq === (yield* this.cpu.loadAcquire32(phys(mm + MM.at.mmLockSeq)))
  }

  /** vma_end_read(). */
  *vmaEndRead(vma: PhysAddr): Step<void> {
    poke32(this.cpu.area + CPU_STATE.at.lockedVma, 0)
    yield* upRead(this.cpu, phys(vma + VMA.at.vmLock))
  }

  /** assert_fault_locked(): what keeps VMAs and their tables for a fault in `mm`: mmap_lock or the lock of a VMA. */
  assertFaultLocked(mm: PhysAddr): void {
    const vma = peek32(this.cpu.area + CPU_STATE.at.lockedVma)
    if (vma !== 0 && this.k.mmOf(phys(vma)) === mm) rwsemAssertHeld(this.cpu, phys(vma + VMA.at.vmLock))
    else this.k.mms.mmapAssertLocked(mm)
  }

  // ---- changes ------------------------------------------------------------------------------------------------------

  /**
   * vma_start_write(): no fault is in `vma`, and none begins before mmap_lock is given up. May sleep. mmap_lock for
   * write.
   */
  *vmaStartWrite(vma: PhysAddr): Step<void> {
    if (!this.k.config.perVmaLock) return
    const mm = this.k.mmOf(vma)
    this.k.mms.mmapAssertWriteLocked(mm)
    const seq = yield* this.cpu.readOnce32(phys(mm + MM.at.mmLockSeq))
    if ((yield* this.cpu.readOnce32(phys(vma + VMA.at.vmLockSeq))) === seq) return
    yield* downWrite(this.cpu, this.k.rcu, phys(vma + VMA.at.vmLock))
    yield* this.cpu.writeOnce32(phys(vma + VMA.at.vmLockSeq), seq)
    yield* upWrite(this.cpu, phys(vma + VMA.at.vmLock))
  }

  /** vma_end_write_all(): as mmap_lock for write is given up, so are the locks of all VMAs. */
  *vmaEndWriteAll(mm: PhysAddr): Step<void> {
    if (!this.k.config.perVmaLock) return
    const seq = phys(mm + MM.at.mmLockSeq)
    // RELEASE: all that was changed before faults come in again. Pairs with isLockedForWrite().
    yield* this.cpu.storeRelease32(seq, (yield* this.cpu.readOnce32(seq)) + 1)
  }
}
