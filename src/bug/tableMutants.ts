/** One-line faults in how page tables are given back (page-table-freeing dossier 10.3), to see that each is found. */
import type { PhysAddr, Table, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { MmuGather } from '../mm/mmuGather.js'
import { PageTables } from '../mm/pageTables.js'
import { OnePage } from '../mm/pgalloc/onePage.js'
import { PowerpcFragments } from '../mm/pgalloc/powerpcFragments.js'
import { S390Active } from '../mm/pgalloc/s390Active.js'
import { Retract } from '../mm/retract.js'
import { defineMutant } from './bug.js'

class FreesPmdPages extends PowerpcFragments {
  override *pmdFree(table: Table): Step<void> {
    yield* this.k.tables.freeUpper(table)
  }
}

export const pmdPageNotCounted = defineMutant({
  id: 'pmd-page-not-counted',
  summary: 'a PMD table that is given back takes the whole page with it, and the PMD tables that share it',
  symptom: 'tables in use are in a page that is free',
  scenarios: ['pmd-vs-gup'],
  parts: { Pgalloc: FreesPmdPages },
  config: { pgalloc: 'powerpc-fragments' },
})

class InvalidatesTheLastLevel extends MmuGather {
  protected override *tlbFlushRange(start: VirtAddr, end: VirtAddr): Step<void> {
    yield* super.tlbFlushRange(start, end, false)
  }
}

export const tableLastLevelFlush = defineMutant({
  id: 'table-last-level-flush',
  summary: 'after tables were unlinked, TLBs are told to forget entries of the last level alone',
  symptom: 'a paging-structure cache leads the hardware into a table that was freed',
  scenarios: ['gup-vs-munmap-broadcast'],
  parts: { MmuGather: InvalidatesTheLastLevel },
  config: { flushStyle: 'broadcast' },
})

class TakesPending extends S390Active {
  protected override busyParts(byte: number): number {
    return byte & 3
  }
}

export const tablePendingReused = defineMutant({
  id: 'table-pending-reused',
  summary: 'a part that waits for its grace period is handed out: P does not count as busy',
  symptom: 'a new user fills a table that a walker of the old one is still in',
  scenarios: ['fragment-vs-gup'],
  parts: { Pgalloc: TakesPending },
  config: { pgalloc: 's390-active' },
})

class TrustsThePmd extends PageTables {
  protected override *pmdUnchanged(): Step<boolean> {
    return true
  }
}

export const tablePmdNotReread = defineMutant({
  id: 'table-pmd-not-reread',
  summary: 'pte_offset_map_lock() does not look at the PMD again when it has the lock',
  symptom: 'a page is mapped in a table that was taken away meanwhile',
  scenarios: ['reclaim-vs-fault'],
  parts: { PageTables: TrustsThePmd },
  config: { ptReclaim: true },
})

class ClearsWithoutPteLock extends Retract {
  protected override *lockEntries(): Step<void> {}
  protected override *unlockEntries(): Step<void> {}
}

export const tableNoPteLock = defineMutant({
  id: 'table-no-pte-lock',
  summary: 'a table is taken away under the PMD lock alone',
  symptom: 'a fault that holds the lock of the table fills it after it was found empty',
  scenarios: ['retract-vs-fault'],
  parts: { Retract: ClearsWithoutPteLock },
})

class InterruptsInsteadOfWaiting extends OnePage {
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.tlbFlush.tlbRemoveTableSyncOne()
    yield* this.pteFree(mm, table)
  }
}

export const tableIpiForGrace = defineMutant({
  id: 'table-ipi-for-grace',
  summary: 'pte_free_defer() sends the IPI that drains walkers with IRQs off, and frees',
  symptom: 'a walker in an RCU read section, with IRQs on, takes the interrupt and reads on in a freed table',
  scenarios: ['retract-vs-fill'],
  parts: { Pgalloc: InterruptsInsteadOfWaiting },
  config: { pgalloc: 'one-page' },
})
