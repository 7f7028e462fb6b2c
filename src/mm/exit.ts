/**
 * The end of an address space.
 *
 * Source: mm/mmap.c exit_mmap() (v6.12). Left out: the OOM reaper, which may zap a dying mm under mmap_lock for read.
 */
import type { PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { Part } from './part.js'

export class Exit extends Part {
  /**
   * Unmaps everything and frees every table but the top one. Caller: dropped the last user. The lock is for walkers of
   * other mms' memory that hold a reference to this one without being users, and for those who assert that it is held.
   */
  *exitMmap(mm: PhysAddr): Step<void> {
    const stamp = this.k.observer.callBegins(this.cpu)
    yield* this.k.mms.mmapWriteLock(mm)
    this.k.observer.contentsGivingUp(this.cpu, mm, 0, this.k.geo.taskSize, -1)
    const first = this.k.mmap.detachAll(mm)
    if (first !== 0) {
      // The tree goes first: whoever gets the lock next finds nothing mapped, as in a new mm.
      yield* this.k.maple.mtDestroy(mm)
      yield* this.k.mmap.unmapRegion(mm, first, 0, this.k.mmap.tablesEnd, true)
      yield* this.k.mmap.removeVmas(first)
    }
    this.k.observer.contentsGivenUp(this.cpu, false)
    this.k.observer.callReturns(this.cpu, 'unmap', mm, 0, this.k.geo.taskSize, stamp)
    yield* this.k.mms.mmapWriteUnlock(mm)
  }
}
