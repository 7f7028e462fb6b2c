/**
 * BUG-11. 6fa1066fc5d0 "mm/mremap: fix move_normal_pmd/retract_page_tables race" (CVE-2024-50066).
 *
 * mremap moves a whole table when the PMD entry, looked at without a lock, points to one. Since khugepaged takes tables
 * of files away under neither mmap_lock nor (v6.6) the locks that mremap had, the entry can be empty when mremap comes to
 * it, and what it then moves is the table at physical address 0.
 */
import type { Step } from '../machine/engine/engine.js'
import { Mremap } from '../mm/mremap.js'
import { defineBug } from './bug.js'

class MovesWhatItSaw extends Mremap {
  protected override *takeRmapLocks(): Step<void> {}

  protected override *dropRmapLocks(): Step<void> {}

  protected override isMovableTable(): boolean {
    return true
  }
}

export const mremapRetract = defineBug({
  id: 'mremap-retract',
  number: 'BUG-11',
  also: ['K19'],
  year: 2024,
  upstream: { introduced: '1d65b771bc08', fixed: '6fa1066fc5d0' },
  summary: 'mremap moves a page table that khugepaged has taken away since it looked',
  symptom: 'physical page 0 is installed as a page table',
  scenarios: ['retract-vs-mremap'],
  parts: { Mremap: MovesWhatItSaw },
})
