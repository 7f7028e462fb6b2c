/** Bugs of TLB flushes: forgotten, put off, sent to too few, or made before the change. */
import { IpiFlush } from '../isa/x86_64/ipiFlush.js'
import { phys, type PhysAddr, type Table, type VirtAddr } from '../base/units.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { FILE, MM } from '../mm/mmStruct.js'
import { MmuGather } from '../mm/mmuGather.js'
import { PageTables } from '../mm/pageTables.js'
import { Retract } from '../mm/retract.js'
import { TlbBatch } from '../mm/tlbBatch.js'
import { downWrite, upWrite } from '../sync/rwsem.js'
import { defineBug, defineMutant } from './bug.js'
import { CPU_STATE } from '../arch/cpuState.js'

/**
 * BUG-64. 99baac21e458 "mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem".
 *
 * The second of two MADV_DONTNEED of one range finds the entries gone, has nothing to flush, and returns to user space
 * while the first has not flushed yet.
 */
class IgnoresOtherGathers extends MmuGather {
  protected override *mmTlbFlushNested(): Step<boolean> {
    return false
  }
}

export const zapZapTlb = defineBug({
  id: 'zap-zap-tlb',
  number: 'BUG-64',
  also: ['K34'],
  year: 2017,
  upstream: { fixed: '99baac21e458' },
  summary: 'a gather that found nothing does not flush for another one that is still in flight',
  symptom: 'MADV_DONTNEED returns, and another thread still reads the old data through its TLB',
  scenarios: ['dontneed-vs-dontneed'],
  parts: { MmuGather: IgnoresOtherGathers },
})

// ---- Bugs around reclaim: flushes that wait for a whole batch, and tables that go while the reverse map is walked.

/** A DSB: it completes the TLBIs of the CPU that executes it, and of no other. */
class WaitsForItsOwn extends IpiFlush {
  override *archFlushTlbBatchedPending(): Step<void> {
    yield* this.archTlbbatchFlush()
  }
}

export const arm64RemoteDsb = defineBug({
  id: 'arm64-remote-dsb',
  number: 'K33',
  year: 2025,
  upstream: { introduced: '43b3dfdd0455', fixed: '4b634918384c' },
  summary:
    'whoever finds entries that reclaim has cleared waits with a barrier of his own for the TLBIs of the reclaimer',
  symptom: 'mprotect or munmap returns while a TLB still has the page',
  scenarios: ['reclaim-vs-mprotect', 'reclaim-vs-munmap'],
  parts: { TlbFlush: WaitsForItsOwn },
  config: { flushStyle: 'broadcast' },
})

class NeverAsks extends TlbBatch {
  override *flushTlbBatchedPending(): Step<void> {}
}

export const batchedUnmapRace = defineBug({
  id: 'batched-unmap-race',
  number: 'other',
  year: 2017,
  upstream: { introduced: '72b252aed506', fixed: '3ea277194daa' },
  summary: 'nobody who finds an entry empty asks whether reclaim has cleared it and not flushed yet',
  symptom: 'mprotect, munmap or mremap returns while a TLB still has the page',
  scenarios: ['reclaim-vs-mprotect', 'reclaim-vs-munmap'],
  parts: { TlbBatch: NeverAsks },
})

/** Asks under the first lock that a call takes, and keeps in a word of its stack that it has. */
class AsksOnce extends TlbBatch {
  override *flushTlbBatchedPending(mm: PhysAddr): Step<void> {
    const { area } = this.cpu
    const [asked, call] = [area + CPU_STATE.at.stack, peek32(area + CPU_AREA.at.opsDone) + 1]
    if (peek32(asked) === call) return
    poke32(asked, call)
    yield* super.flushTlbBatchedPending(mm)
  }
}

export const batchedAskedOnce = defineMutant({
  id: 'batched-asked-once',
  summary: 'a call that takes locks of tables again and again asks under the first only what reclaim has not flushed',
  symptom: 'mprotect finds an entry of the next table empty, and returns while a TLB still has the page',
  scenarios: ['reclaim-vs-mprotect'],
  parts: { TlbBatch: AsksOnce },
  // Where flushes are interrupts, generations make up for it: mprotect's own flush finds that others were asked for.
  config: { flushStyle: 'broadcast' },
})

class FreesBeforeFlush extends TlbBatch {
  override *tryToUnmapFlush(): Step<void> {}
}

export const reclaimNoFlush = defineMutant({
  id: 'reclaim-no-flush',
  summary: 'reclaim frees its pages without flushing the batch',
  symptom: 'a page is freed while a TLB translates to it',
  scenarios: ['reclaim-vs-mprotect'],
  parts: { TlbBatch: FreesBeforeFlush },
})

/** pte_offset_map_lock() before v6.5: nothing keeps the table but the locks of whoever walks. */
class CountsOnLocks extends PageTables {
  protected override *pmdUnchanged(): Step<boolean> {
    return true
  }
}

/**
 * How tables were retracted until v6.5: with every lock held for write by which a walker can come to one (mmap_lock,
 * the file's, the anon_vma's, which these mappings have none of), and freed at once.
 */
class RetractsExclusively extends Retract {
  protected override *lockMm(mm: PhysAddr): Step<void> {
    yield* this.k.mms.mmapWriteLock(mm)
  }

  protected override *unlockMm(mm: PhysAddr): Step<void> {
    yield* this.k.mms.mmapWriteUnlock(mm)
  }

  protected override *excludeRmapWalks(file: PhysAddr): Step<void> {
    yield* downWrite(this.cpu, this.k.rcu, phys(file + FILE.at.rwsem))
  }

  protected override *admitRmapWalks(file: PhysAddr): Step<void> {
    yield* upWrite(this.cpu, phys(file + FILE.at.rwsem))
  }

  protected override *freeTaken(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.tlbFlush.tlbRemoveTableSyncOne()
    yield* this.k.pgalloc.pteFree(mm, table)
  }
}

class RetractsUnderMmapLock extends RetractsExclusively {
  protected override *excludeRmapWalks(): Step<void> {}
  protected override *admitRmapWalks(): Step<void> {}
}

/** v6.4 as it was with the fix: what K17 is to be compared with. */
export const exclusiveRetract = { PageTables: CountsOnLocks, Retract: RetractsExclusively }

export const retractWrongLocks = defineBug({
  id: 'retract-wrong-locks',
  number: 'K17',
  year: 2022,
  upstream: { introduced: '27e1f8273113', fixed: '8d3c106e19e8' },
  summary: 'a table is taken away and freed under mmap_lock alone, while walkers of the reverse map hold other locks',
  symptom: 'an rmap walk goes on in a table that was freed',
  scenarios: ['retract-vs-unmap-file'],
  parts: { PageTables: CountsOnLocks, Retract: RetractsUnderMmapLock },
})

// ---- Bugs of lazy TLB mode: a CPU in a kernel thread that has borrowed an address space, and goes on caching by its
// tables.

/** tlb_remove_table() up to v4.18. A kernel thread is no user: it holds mm_count. */
class FreesWhenAlone extends MmuGather {
  protected override *tlbRemoveTable(mm: PhysAddr, token: number): Step<void> {
    if ((yield* this.cpu.readOnce32(phys(mm + MM.at.mmUsers))) < 2) return yield* this.__tlbRemoveTable(token)
    yield* super.tlbRemoveTable(mm, token)
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

class FlushesRangesOfPages extends IpiFlush {
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

class ComesBackUnflushed extends IpiFlush {
  protected override *catchUp(): Step<void> {}
}

export const lazyNoCatchUp = defineMutant({
  id: 'lazy-no-catch-up',
  summary: 'a process comes back to a CPU and does not look whether flushes were asked for while a kernel thread ran',
  symptom: 'it goes on using pages that were freed meanwhile',
  scenarios: ['lazy-vs-dontneed'],
  parts: { TlbFlush: ComesBackUnflushed },
})

class TakesAnyForTheNext extends IpiFlush {
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
