/**
 * BUG-03. 2ba99c5e0881 "mm/khugepaged: fix GUP-fast interaction by sending IPI".
 *
 * Collapse relied on its TLB flush to wait for walkers with IRQs off. A flush by broadcast waits for nobody: the
 * detached table is deposited, and may be freed and reused, while a gup_fast still reads it.
 */
import type { Step } from '../machine/engine/engine.js'
import { Khugepaged } from '../mm/khugepaged.js'
import { defineBug } from './bug.js'

/** Without tlb_remove_table_sync_one(). */
export class TrustsTlbFlush extends Khugepaged {
  protected override *excludeGupFast(): Step<void> {}
}

export const gupCollapseUaf = defineBug({
  id: 'gup-collapse-uaf',
  number: 'BUG-03',
  also: ['K16'],
  year: 2022,
  upstream: { introduced: 'ba76149f47d8', fixed: '2ba99c5e0881' },
  summary: 'collapse does not wait for gup_fast walkers of the table that it detached, before it deposits the table',
  symptom: 'gup_fast reads a page table that was deposited, freed or reused',
  scenarios: ['gup-vs-collapse'],
  parts: { Khugepaged: TrustsTlbFlush },
  config: { flushStyle: 'broadcast' },
})
