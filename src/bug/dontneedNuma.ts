/**
 * BUG-26. ced108037c2a "thp: fix MADV_DONTNEED vs. numa balancing race".
 *
 * To change a huge entry without losing accessed and dirty bits it was taken out, and put back changed. The NUMA scanner
 * does that under mmap_lock for read, as does MADV_DONTNEED, which peeks, finds none, and believes that nothing is there.
 */
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { defineBug } from './bug.js'

class ChangesThroughNone extends HugeMemory {
  protected override *takeForChange(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpHugeGetAndClear(this.k.mmOf(vma), addr, pmdp)
  }
}

export const dontneedNuma = defineBug({
  id: 'dontneed-numa',
  number: 'BUG-26',
  year: 2017,
  upstream: { fixed: 'ced108037c2a' },
  summary: 'arming a NUMA hint lets a live huge entry pass through none, under mmap_lock for read',
  symptom: 'MADV_DONTNEED skips the range, and old data survives it',
  scenarios: ['numa-vs-dontneed'],
  parts: { HugeMemory: ChangesThroughNone },
})
