/**
 * BUG-01. "thp: call pmdp_invalidate() with correct virtual address" (2016, hash not confirmed).
 *
 * The split of v4.5-rc filled the table while the huge entry was still live, and invalidated afterwards, with the variable
 * that the fill loop had advanced to the end of the range. On s390 that hit a word in front of the PMD table. On x86-64
 * the entry itself is right, and the flush goes to the next huge range: TLBs keep the huge translation while the
 * table appears, and whoever takes a page out of a frozen split (migration entries need no flush) leaves it there for
 * good.
 *
 * As in v4.5-rc there is no exclusive flag to be cleared before freezing: pins are found by the freeze of the count.
 */
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import { pmdDirty, pmdPfn } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { PG_ANON_EXCLUSIVE, PG_DIRTY } from '../mm/page.js'
import { shapeOfPmd } from '../mm/splitHugePmd.js'
import { defineBug } from './bug.js'

class FillsThenInvalidates extends HugeMemory {
  protected override *splitPresentPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, freeze: boolean): Step<void> {
    const { folios, geo } = this.k
    const mm = this.k.mmOf(vma)
    const old = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    const folio = this.folioOfPmd(old)
    if (pmdDirty(old)) yield* folios.setFlag(folio, PG_DIRTY)
    const exclusive = yield* folios.testFlag(folio, PG_ANON_EXCLUSIVE)
    if (!freeze) yield* this.addPteMappings(vma, haddr, folio, exclusive)
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(mm, pmdp)
    const shape = shapeOfPmd(old, vma, freeze, exclusive)
    const end = yield* this.fillTable(mm, table, haddr, pmdPfn(old, geo.hpagePmdNr), shape)
    yield* this.makeUnusable(vma, end, pmdp)
    yield* this.publishTable(vma, pmdp, haddr, table)
    yield* this.dropPmdMapping(folio, freeze)
  }
}

export const pmdpInvalAddr = defineBug({
  id: 'pmdp-inval-addr',
  number: 'BUG-01',
  also: ['K11'],
  year: 2016,
  upstream: { introduced: 'eef1b3ba053a', fixed: '2ac015e293bb' },
  summary: 'a PMD split invalidates with the address that its fill loop ended at: the flush misses the huge range',
  symptom: 'huge and small translations of one address at once; stale TLB entries of pages that were dropped and freed',
  scenarios: ['fault-vs-split', 'gup-vs-split', 'split-vs-dontneed'],
  parts: { HugeMemory: FillsThenInvalidates },
})
