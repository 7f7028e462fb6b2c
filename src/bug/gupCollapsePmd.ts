/**
 * BUG-02. 70cbc3cc78a9 "mm: gup: fix the fast GUP race against THP collapse".
 *
 * After its reference gup_fast looked at the PTE again, but not at the PMD. Collapse changes only the PMD, and the PTEs of
 * the detached table stay as they were until the copy is done. Where a TLB flush interrupts nobody, nothing else tells
 * the walker; the explicit IPI came with the fix of BUG-03.
 */
import type { PhysAddr, PteWord } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { Level } from '../machine/trace/observer.js'
import { GupFast } from '../mm/gupFast.js'
import { defineBug } from './bug.js'
import { TrustsTlbFlush } from './gupCollapseUaf.js'

class RechecksPteOnly extends GupFast {
  protected override *pteUnchanged(_pmd: PteWord, _pmdp: PhysAddr, pte: PteWord, ptep: PhysAddr): Step<boolean> {
    const now = yield* this.cpu.readOnce64(ptep)
    this.k.observer.tableRead(this.cpu, Level.pte, ptep)
    return now === pte
  }
}

export const gupCollapsePmd = defineBug({
  id: 'gup-collapse-pmd',
  number: 'BUG-02',
  also: ['K15'],
  year: 2022,
  upstream: { introduced: '2667f50e8b81', fixed: '70cbc3cc78a9' },
  summary: 'gup_fast looks again at the PTE but not at the PMD, which is all that a collapse changes',
  symptom: 'gup returns a page that was copied into a huge page and is no longer mapped: writes through it are lost',
  scenarios: ['gup-vs-collapse'],
  parts: { GupFast: RechecksPteOnly, Khugepaged: TrustsTlbFlush },
  config: { flushStyle: 'broadcast' },
})
