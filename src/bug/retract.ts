/** Bugs around page tables that are taken away: who counts on them, and what is flushed before they go. */
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import { PtOps } from '../arch/x86_64/ops.js'
import type { Step } from '../machine/engine/engine.js'
import { Userfault } from '../mm/userfault.js'
import { MmuGather } from '../mm/mmuGather.js'
import { Zap } from '../mm/zap.js'
import { defineBug } from './bug.js'

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
  protected override *invalidateForTables(): Step<void> {}
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
 * Found here. try_get_and_clear_pmd() and try_to_free_pte() unlink a table whose pages are still in TLBs, under mmap_lock for
 * read, and nothing in reclaim_pt_is_enabled() asks for huge pages (mm/pt_reclaim.c, v6.14); the flush is the gather's, at the
 * end. Not shown on a real machine.
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
