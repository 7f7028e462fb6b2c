/**
 * Faults that no release had: one protection each is taken out, to see that its absence is found.
 */
import { phys, type Pfn, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { GupFast } from '../mm/gupFast.js'
import { MmuGather } from '../mm/mmuGather.js'
import { defineMutant } from './bug.js'

/** Where flushes are interrupts they wait for the walker, and the second look has nothing left to find. */
class LooksOnce extends GupFast {
  protected override *pteUnchanged(): Step<boolean> {
    return true
  }

  protected override *pmdUnchanged(): Step<boolean> {
    return true
  }
}

export const noRecheck = defineMutant({
  id: 'no-recheck',
  summary: 'gup_fast does not look at the entries again after it has taken its reference',
  symptom: 'gup returns a page that was unmapped, freed and reused before the reference was taken',
  scenarios: ['gup-vs-split', 'gup-vs-munmap'],
  parts: { GupFast: LooksOnce },
  config: { flushStyle: 'broadcast' },
})

class NeverFlushes extends MmuGather {
  protected override *tlbFlushRange(): Step<void> {}
}

export const missingTlbFlush = defineMutant({
  id: 'missing-tlb-flush',
  summary: 'unmapping does not flush TLBs',
  symptom: 'another thread goes on using pages that were unmapped and freed',
  scenarios: ['gup-vs-dontneed', 'gup-vs-munmap', 'dontneed-vs-dontneed'],
  parts: { MmuGather: NeverFlushes },
})

class DropsAtOnce extends MmuGather {
  override *tlbRemovePage(page: PhysAddr): Step<void> {
    yield* this.k.folios.folioPut(yield* this.k.folios.compoundHead(page), 1)
  }
}

export const freeBeforeFlush = defineMutant({
  id: 'free-before-flush',
  summary: 'unmapping drops the references of pages before TLBs were flushed',
  symptom: 'a page is freed, and perhaps reused, while a TLB still translates to it',
  scenarios: ['gup-vs-dontneed', 'dontneed-vs-dontneed'],
  parts: { MmuGather: DropsAtOnce },
})

class FreesTablesAtOnce extends MmuGather {
  protected override *freeTableBatch(batch: PhysAddr): Step<void> {
    yield* this.tlbRemoveTableRcu(phys(batch))
  }
}

export const tableNoGracePeriod = defineMutant({
  id: 'table-no-grace-period',
  summary: 'unlinked page tables are freed after a TLB flush that waits for no software walker',
  symptom: 'gup_fast reads a page table that was freed or reused',
  scenarios: ['gup-vs-munmap-broadcast'],
  parts: { MmuGather: FreesTablesAtOnce },
  config: { flushStyle: 'broadcast', tableFree: 'rcu' },
})

class FallsBackWithoutSync extends MmuGather {
  protected override *tlbRemoveTableOne(table: Pfn): Step<void> {
    yield* this.tlbFlushMmuTlbonly()
    yield* this.tlbRemoveTableFree(table)
  }
}

export const tableOneNoSync = defineMutant({
  id: 'table-one-no-sync',
  summary: 'without a page for a batch, a table is freed after the flush and no interrupt to the walkers',
  symptom: 'gup_fast reads a page table that was freed or reused, when memory is short',
  scenarios: ['gup-vs-munmap-fallback'],
  parts: { MmuGather: FallsBackWithoutSync },
  config: { flushStyle: 'broadcast', failNowait: 50 },
})
