/**
 * Unmapping for reclaim with one flush for many pages: entries are cleared under their locks, and the TLBs forget them
 * only before the pages are freed.
 *
 * Source: mm/rmap.c set_tlb_ubc_flush_pending(), try_to_unmap_flush(), flush_tlb_batched_pending() (v6.12). What a CPU
 * has not flushed yet is with the architecture's code (archTlbbatchAddPending()).
 *
 * Whoever takes the lock of a table and concludes something from an entry that is not present (a zap, mprotect, mremap,
 * MADV_FREE) has to flush first: mm.tlbFlushBatched counts batched clears in its low half, and in its high half how
 * many of them are known to be flushed. The count is raised under that lock, so that whoever takes it next sees it.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pteAccessible } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'

const FLUSHED_SHIFT = 16
const PENDING_MASK = 0x7fff
const PENDING_LARGE = PENDING_MASK >> 1

export class TlbBatch extends Part {
  /** should_defer_flush(): the flush of an entry of `mm` may wait for others. */
  *shouldDeferFlush(mm: PhysAddr): Step<boolean> {
    const { tlbFlush } = this.k
    return tlbFlush.batchesUnmaps && (yield* tlbFlush.archTlbbatchShouldDefer(mm))
  }

  /**
   * set_tlb_ubc_flush_pending(): the entry for `addr`, which was `pte`, has been cleared and is flushed later. Caller:
   * the lock of its table.
   */
  *setTlbUbcFlushPending(mm: PhysAddr, addr: VirtAddr, pte: PteWord): Step<void> {
    if (!pteAccessible(pte, this.k.mmTlbFlushPending(mm))) return
    yield* this.k.tlbFlush.archTlbbatchAddPending(mm, addr)
    const counter = phys(mm + MM.at.tlbFlushBatched)
    for (;;) {
      const batch = yield* this.cpu.readOnce32(counter)
      // Both begin anew before one could catch the other up by overflow.
      const next = (batch & PENDING_MASK) > PENDING_LARGE ? 1 : batch + 1
      if ((yield* this.cpu.cmpxchg32(counter, batch, next)) === batch) return
    }
  }

  /** try_to_unmap_flush(): all that this CPU has put off. Before the pages are freed. */
  *tryToUnmapFlush(): Step<void> {
    yield* this.k.tlbFlush.archTlbbatchFlush()
  }

  /**
   * flush_tlb_batched_pending(). Caller: has just taken the lock of a table of `mm`, and does so each time it takes
   * one.
   */
  *flushTlbBatchedPending(mm: PhysAddr): Step<void> {
    if (!this.k.tlbFlush.batchesUnmaps) return
    const counter = phys(mm + MM.at.tlbFlushBatched)
    const batch = yield* this.cpu.readOnce32(counter)
    const pending = batch & PENDING_MASK
    if (pending === batch >>> FLUSHED_SHIFT) return
    yield* this.k.tlbFlush.archFlushTlbBatchedPending(mm)
    // Unless there are more by now: theirs is not known to be flushed.
    yield* this.cpu.cmpxchg32(counter, batch, pending | (pending << FLUSHED_SHIFT))
  }
}
