/** Bugs around reclaim: flushes that wait for a whole batch, and tables that go while the reverse map is walked. */
import type { PhysAddr, Table } from '../base/units.js'
import { phys } from '../base/units.js'
import { TlbFlush } from '../arch/x86_64/tlbFlush.js'
import type { Step } from '../machine/engine/engine.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { PageTables } from '../mm/pageTables.js'
import { FILE } from '../mm/mmStruct.js'
import { Retract } from '../mm/retract.js'
import { TlbBatch } from '../mm/tlbBatch.js'
import { downWrite, upWrite } from '../sync/rwsem.js'
import { defineBug, defineMutant } from './bug.js'

/** A DSB: it completes the TLBIs of the CPU that executes it, and of no other. */
class WaitsForItsOwn extends TlbFlush {
  override *flushTlbBatchedPending(): Step<void> {
    yield* this.tlbbatchFlush()
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
    const [asked, call] = [area + CPU_AREA.at.stack, peek32(area + CPU_AREA.at.opsDone) + 1]
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
 * How tables were retracted until v6.5: with every lock held for write by which a walker can come to one (mmap_lock, the
 * file's, the anon_vma's, which these mappings have none of), and freed at once.
 */
export class RetractsExclusively extends Retract {
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
