/** Bugs of mremap() and move_page_tables(). */
import type { PhysAddr, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { Mremap } from '../mm/mremap.js'
import { defineBug } from './bug.js'

/**
 * BUG-11. 6fa1066fc5d0 "mm/mremap: fix move_normal_pmd/retract_page_tables race" (CVE-2024-50066).
 *
 * mremap moves a whole table when the PMD entry, looked at without a lock, points to one. Since khugepaged takes tables
 * of files away under neither mmap_lock nor (v6.6) the locks that mremap had, the entry can be empty when mremap comes
 * to it, and what it then moves is the table at physical address 0.
 */
class MovesWhatItSaw extends Mremap {
  protected override *takeRmapLocks(): Step<void> {}

  protected override *dropRmapLocks(): Step<void> {}

  protected override isMovableTable(): boolean {
    return true
  }
}

export const mremapRetract = defineBug({
  id: 'mremap-retract',
  number: 'BUG-11',
  also: ['K19'],
  year: 2024,
  upstream: { introduced: '1d65b771bc08', fixed: '6fa1066fc5d0' },
  summary: 'mremap moves a page table that khugepaged has taken away since it looked',
  symptom: 'physical page 0 is installed as a page table',
  scenarios: ['retract-vs-mremap'],
  parts: { Mremap: MovesWhatItSaw },
})

/**
 * BUG-12. eb66ae030829 "mremap: properly flush TLB before releasing the page".
 *
 * A moved page can be found at its new address as soon as the page-table locks are dropped. Whoever unmaps it there
 * flushes the new address and frees it. The old address was flushed only after the locks had gone.
 */
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
