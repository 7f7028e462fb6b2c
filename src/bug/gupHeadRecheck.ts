/**
 * BUG-23. c24d37322548 "mm/gup: fix try_grab_compound_head() race with split_huge_page()".
 *
 * gup_fast reads the head of a page and then takes a reference on it. If the folio is split in between, and the entries
 * are restored with the same bits, the second look at them finds nothing, and the reference is on a page that has nothing
 * to do with the one that is returned. (Hash from memory.)
 *
 * Where flushes are interrupts, the one that turns the entry into a migration entry waits for the walker, which has IRQs
 * off. It takes a flush without interrupts to get past it.
 */
import type { Step } from '../machine/engine/engine.js'
import { Folios } from '../mm/folio.js'
import { defineBug } from './bug.js'

class TrustsHead extends Folios {
  protected override *headUnchanged(): Step<boolean> {
    return true
  }
}

export const gupHeadRecheck = defineBug({
  id: 'gup-head-recheck',
  number: 'BUG-23',
  year: 2021,
  upstream: { introduced: '7aef4172c795', fixed: 'c24d37322548' },
  summary: 'the head of a page is not read again after the reference was taken on it',
  symptom: 'the reference is on another page than the one returned: refcount underflow, use after free',
  scenarios: ['gup-vs-folio-split'],
  parts: { Folios: TrustsHead },
  config: { flushStyle: 'broadcast' },
})
