/**
 * BUG-49. 732ed55823fc "mm/thp: try_to_unmap() use TTU_SYNC for safe splitting".
 *
 * The unmapping walk before a folio split passed over entries that looked empty, without the lock. A zap that has cleared
 * the entry, and has not yet dropped the mapcount, was not waited for, and the folio was still mapped afterwards.
 *
 * The assertion was upstream's then. Pins that keep a mapping in place came later, and are not its business.
 */
import type { PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { TTU_SYNC } from '../mm/migrationEntries.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { defineBug } from './bug.js'

class UnmapsWithoutSync extends SplitFolio {
  protected override unmapFlags(): number {
    return super.unmapFlags() & ~TTU_SYNC
  }

  protected override *unmapFolio(folio: PhysAddr): Step<void> {
    yield* super.unmapFolio(folio)
    const mapcount = yield* this.k.folios.folioMapcount(folio)
    if (mapcount === 0 || (yield* this.k.folios.folioMaybeDmaPinned(folio))) return
    this.cpu.report('kernel-bug', 'kernel BUG at mm/huge_memory.c: !unmap_success in unmap_page()', folio, [
      `mapcount ${mapcount} after try_to_unmap()`,
    ])
  }
}

export const splitZapSync = defineBug({
  id: 'split-zap-sync',
  number: 'BUG-49',
  year: 2021,
  upstream: { introduced: 'fec89c109f3a', fixed: '732ed55823fc' },
  summary: 'unmapping for a split does not wait for a zap that has cleared an entry but not yet dropped its mapcount',
  symptom: 'BUG_ON: the folio is still mapped after it was unmapped',
  scenarios: ['split-vs-zap'],
  parts: { SplitFolio: UnmapsWithoutSync },
})
