/** Bugs of page tables that are unlinked and freed while others walk them. */
import { PtOps } from '../arch/generic/ops.js'
import { type Pfn, phys, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import { PowerpcFragments } from '../isa/powerpc/fragments.js'
import { S390Active } from '../isa/s390/pgalloc/active.js'
import type { Step } from '../machine/engine/engine.js'
import { MmuGather } from '../mm/mmuGather.js'
import { PageTables } from '../mm/pageTables.js'
import { OnePage } from '../mm/pgalloc/onePage.js'
import { Retract } from '../mm/retract.js'
import { Userfault } from '../mm/userfault.js'
import { Zap } from '../mm/zap.js'
import { defineBug, defineMutant } from './bug.js'

// ---- Bugs around page tables that are taken away: who counts on them, and what is flushed before they go.

class CountsOnTheTable extends Userfault {
  protected override tableGone(pmdp: PhysAddr): never {
    return this.cpu.report('kernel-bug', 'kernel BUG at mm/userfaultfd.c: pmd_none(*dst_pmd) in mfill_atomic()', pmdp)
  }
}

export const retractUffd = defineBug({
  id: 'retract-uffd',
  number: 'K20',
  year: 2024,
  upstream: { introduced: '1d65b771bc08', fixed: '4828d207dc51' },
  summary: 'filling a page for userfaultfd takes it for a bug when the table that it has made is gone again',
  symptom: 'BUG_ON() while khugepaged retracts tables without mmap_lock',
  scenarios: ['retract-vs-fill'],
  parts: { Userfault: CountsOnTheTable },
})

class FlushesTheNextRange extends PtOps {
  override *pmdpCollapseFlush(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    const { geo, tlbFlush } = this.k
    const old = yield* this.pmdpHugeGetAndClear(this.k.mmOf(vma), addr, pmdp)
    const cursor = addr + geo.pmdSize
    yield* tlbFlush.flushTlbRange(vma, cursor as VirtAddr, (cursor + geo.pmdSize) as VirtAddr)
    return old
  }
}

export const collapseFlushRange = defineBug({
  id: 'collapse-flush-range',
  number: 'K18',
  year: 2020,
  upstream: { introduced: '27e1f8273113', fixed: '723a80dafed5' },
  summary: 'a table is taken away with the address that a loop over it ended at: the flush goes to the next huge range',
  symptom: 'translations of the range survive, and nothing flushes them when it is unmapped, since nothing is mapped',
  scenarios: ['retract-then-unmap'],
  parts: { PtOps: FlushesTheNextRange },
})

class FreesTablesUnflushed extends MmuGather {
  protected override *tlbTableInvalidate(): Step<void> {}
}

export const tableBatchNoInvalidate = defineBug({
  id: 'table-batch-no-invalidate',
  number: 'K46',
  year: 2018,
  upstream: { fixed: 'd86564a2f085' },
  summary: 'a batch of tables is handed to RCU, and without memory for one a table is freed, before TLBs were flushed',
  symptom: 'a paging-structure cache leads the hardware into a table that was freed and reused',
  scenarios: ['gup-vs-munmap-fallback'],
  parts: { MmuGather: FreesTablesUnflushed },
})

class TakesForEmpty extends Zap {
  protected override knowsEmpty(): boolean {
    return true
  }
}

export const ptReclaimNonempty = defineBug({
  id: 'pt-reclaim-nonempty',
  number: 'K21',
  year: 2025,
  upstream: { fixed: 'f39edcf6349a' },
  summary: 'MADV_DONTNEED takes a table for empty whose lock it had dropped on the way',
  symptom: 'a table is freed with a page in it that was faulted in behind the zap',
  scenarios: ['reclaim-vs-fault'],
  parts: { Zap: TakesForEmpty },
  config: { ptReclaim: true },
})

/**
 * Found here. try_get_and_clear_pmd() and try_to_free_pte() unlink a table whose pages are still in TLBs, under
 * mmap_lock for read, and nothing in reclaim_pt_is_enabled() asks for huge pages (mm/pt_reclaim.c, v6.14); the flush is
 * the gather's, at the end. Not shown on a real machine.
 */
export const ptReclaimHuge = defineBug({
  id: 'pt-reclaim-huge',
  number: 'open',
  year: 2025,
  upstream: null,
  summary:
    'with PT_RECLAIM, MADV_DONTNEED unlinks an empty table before it flushes, so that a huge page can be faulted in',
  symptom: 'a TLB has an address in two sizes: some processors stop with a machine check',
  scenarios: ['reclaim-vs-huge-fault'],
  parts: {},
  config: { ptReclaim: true },
})

// ---- One-line faults in how page tables are given back, to see that each is found.

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

class FreesTablesAtOnce extends MmuGather {
  protected override *tlbRemoveTableFree(batch: PhysAddr): Step<void> {
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
    yield* this.__tlbRemoveTable(table)
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
