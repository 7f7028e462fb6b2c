/**
 * The end of an address space.
 *
 * Source: mm/mmap.c exit_mmap() (v6.12). Left out: the OOM reaper, which may zap a dying mm under mmap_lock for read.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'

export class Exit extends Part {
  /**
   * Unmaps everything and frees every table but the top one. Caller: dropped the last user. The lock is for walkers of
   * other mms' memory that hold a reference to this one without being users, and for those who assert that it is held.
   */
  *exitMmap(mm: PhysAddr): Step<void> {
    const stamp = this.k.observer.callBegins(this.cpu)
    yield* this.k.mms.mmapWriteLock(mm)
    const first = phys(peek32(mm + MM.at.firstVma))
    if (first !== 0) {
      for (let vma = first; vma !== 0; vma = this.k.vmas.next(vma)) this.k.observer.objectOwned(this.cpu, vma)
      // The list goes first: whoever gets the lock next finds nothing mapped, as in a new mm.
      poke32(mm + MM.at.firstVma, 0)
      poke32(mm + MM.at.mapCount, 0)
      yield* this.k.mmap.unmapRegion(mm, first, 0, this.k.mmap.tablesEnd, true)
      yield* this.k.mmap.removeVmas(first)
    }
    this.k.observer.callReturns(this.cpu, 'unmap', mm, 0, this.k.geo.taskSize, stamp)
    yield* this.k.mms.mmapWriteUnlock(mm)
  }
}
