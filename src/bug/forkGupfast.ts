/**
 * BUG-19. 57efa1fe5957 "mm/gup: prevent gup_fast from racing with COW during fork".
 *
 * fork looks whether a page is pinned and then write-protects it. Between the two gup_fast could pin it through the entry
 * that was still writable. The fix is a sequence count around fork's copying, which gup_fast compares when it is done.
 */
import type { Step } from '../machine/engine/engine.js'
import { GupFast } from '../mm/gupFast.js'
import { defineBug } from './bug.js'

class IgnoresFork extends GupFast {
  protected override *forkRaced(): Step<boolean> {
    return false
  }
}

export const forkGupfast = defineBug({
  id: 'fork-gupfast',
  number: 'BUG-19',
  also: ['K54'],
  year: 2020,
  upstream: { introduced: 'f3c64eda3e50', fixed: '57efa1fe5957' },
  summary: 'gup_fast pins a page that fork has judged unpinned and is about to share',
  symptom:
    "a pinned page is not exclusive: the parent's next write copies, and the device goes on with the child's page",
  scenarios: ['fork-vs-gup'],
  parts: { GupFast: IgnoresFork },
})
