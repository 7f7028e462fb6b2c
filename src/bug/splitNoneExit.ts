/**
 * BUG-65. A split that clears the PMD before it populates it; found while the split was rewritten for v4.5, discussed on
 * linux-mm in June 2016. The hash of the fix is not known to us.
 *
 * exit_mmap() and MADV_DONTNEED peek at the entry without its lock, find none, and believe that nothing is there.
 */
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { defineBug } from './bug.js'

class SplitsThroughNone extends HugeMemory {
  protected override *makeUnusable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpCollapseFlush(vma, haddr, pmdp)
  }
}

export const splitNoneExit = defineBug({
  id: 'split-none-exit',
  number: 'BUG-65',
  year: 2016,
  upstream: { fixed: 'unknown' },
  summary: 'a PMD split lets the entry of a live huge page pass through none',
  symptom: 'MADV_DONTNEED and exit skip the range: old data survives, pages leak',
  scenarios: ['split-vs-dontneed'],
  parts: { HugeMemory: SplitsThroughNone },
})
