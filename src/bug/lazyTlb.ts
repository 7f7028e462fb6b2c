/** Bugs of lazy TLB mode: a CPU in a kernel thread that has borrowed an address space, and goes on caching by its tables. */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import { TlbFlush } from '../arch/x86_64/tlbFlush.js'
import type { Step } from '../machine/engine/engine.js'
import { MmuGather } from '../mm/mmuGather.js'
import { MM } from '../mm/mmStruct.js'
import { defineBug, defineMutant } from './bug.js'

/** tlb_remove_table() up to v4.18. A kernel thread is no user: it holds mm_count. */
class FreesWhenAlone extends MmuGather {
  protected override *queueTable(mm: PhysAddr, token: number): Step<void> {
    if ((yield* this.cpu.readOnce32(phys(mm + MM.at.mmUsers))) < 2) return yield* this.tlbRemoveTableFree(token)
    yield* super.queueTable(mm, token)
  }
}

export const tableFreeNonconcurrent = defineBug({
  id: 'table-free-nonconcurrent',
  number: 'K45',
  year: 2018,
  upstream: { fixed: 'a6f572084fbe' },
  summary: 'a page table of a process with one user is freed at once, before the flush: nobody else could be walking',
  symptom: 'a CPU in a kernel thread that has borrowed the address space speculates into a table that was freed',
  scenarios: ['lazy-vs-munmap'],
  parts: { MmuGather: FreesWhenAlone },
})

class FlushesRangesOfPages extends TlbFlush {
  override *flushTlbRange(vma: PhysAddr, start: VirtAddr, end: VirtAddr): Step<void> {
    yield* this.flushTlbMmRange(this.k.mmOf(vma), start, end, false)
  }
}

export const freedTablesFlag = defineBug({
  id: 'freed-tables-flag',
  number: 'K50',
  year: 2025,
  upstream: { fixed: '3ef938c35035' },
  summary:
    'flush_tlb_range() after a table was unlinked says that none was: CPUs in kernel threads are not interrupted',
  symptom: 'their paging-structure caches lead to the table when its grace period is over and it is freed',
  scenarios: ['lazy-vs-retract'],
  parts: { TlbFlush: FlushesRangesOfPages },
})

class ComesBackUnflushed extends TlbFlush {
  protected override *catchUp(): Step<void> {}
}

export const lazyNoCatchUp = defineMutant({
  id: 'lazy-no-catch-up',
  summary: 'a process comes back to a CPU and does not look whether flushes were asked for while a kernel thread ran',
  symptom: 'it goes on using pages that were freed meanwhile',
  scenarios: ['lazy-vs-dontneed'],
  parts: { TlbFlush: ComesBackUnflushed },
})

class TakesAnyForTheNext extends TlbFlush {
  protected override isNext(): boolean {
    return true
  }
}

export const tlbGenPartial = defineMutant({
  id: 'tlb-gen-partial',
  summary: 'a flush of a range that comes before an earlier one is taken for both: the generation is that of the later',
  symptom: 'the earlier one finds nothing left to do when it comes, and the CPU keeps the pages that it was for',
  scenarios: ['lazy-vs-dontneed'],
  parts: { TlbFlush: TakesAnyForTheNext },
})
