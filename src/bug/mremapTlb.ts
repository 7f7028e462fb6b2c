/**
 * BUG-12. eb66ae030829 "mremap: properly flush TLB before releasing the page".
 *
 * A moved page can be found at its new address as soon as the page-table locks are dropped. Whoever unmaps it there
 * flushes the new address and frees it. The old address was flushed only after the locks had gone.
 */
import type { PhysAddr, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { Mremap } from '../mm/mremap.js'
import { defineBug } from './bug.js'

class FlushesAfterUnlock extends Mremap {
  protected override *flushBeforeUnlock(): Step<void> {}

  protected override *flushAfterUnlock(vma: PhysAddr, start: number, end: number): Step<void> {
    yield* this.k.tlbFlush.flushTlbRange(vma, start as VirtAddr, end as VirtAddr)
  }
}

class LeavesFlushToCaller extends HugeMemory {
  override *moveHugePmd(
    vma: PhysAddr,
    oldAddr: VirtAddr,
    newAddr: VirtAddr,
    oldEnd: VirtAddr,
    oldPmdp: PhysAddr,
    newPmdp: PhysAddr,
  ): Step<boolean> {
    const moved = yield* super.moveHugePmd(vma, oldAddr, newAddr, oldEnd, oldPmdp, newPmdp)
    if (moved) yield* this.k.tlbFlush.flushTlbRange(vma, oldAddr, oldEnd)
    return moved
  }

  protected override *flushMovedPmd(): Step<void> {}
}

export const mremapTlb = defineBug({
  id: 'mremap-tlb',
  number: 'BUG-12',
  also: ['K26'],
  year: 2018,
  upstream: { fixed: 'eb66ae030829' },
  summary: 'mremap flushes the old address after it has dropped the page-table locks',
  symptom: 'a page that was unmapped at its new address and freed is used at the old one, through a stale TLB entry',
  scenarios: ['mremap-vs-touch'],
  parts: { Mremap: FlushesAfterUnlock, HugeMemory: LeavesFlushToCaller },
})
