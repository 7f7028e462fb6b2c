/**
 * BUG-35. 3a5a8d343e1c "mm: fix race between __split_huge_pmd_locked() and GUP-fast".
 *
 * The split invalidated the PMD before it looked what kind of entry it was. Of a migration entry that makes a word which
 * walkers take for something else: on arm64 it looks present, on x86-64 the offset is inverted.
 */
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { defineBug } from './bug.js'

class InvalidatesMigrationEntry extends HugeMemory {
  protected override *splitMigrationPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, pmd: PteWord): Step<void> {
    yield* this.makeUnusable(vma, haddr, pmdp)
    yield* super.splitMigrationPmd(vma, pmdp, haddr, pmd)
  }
}

export const splitMigentryInval = defineBug({
  id: 'split-migentry-inval',
  number: 'BUG-35',
  also: ['K22'],
  year: 2024,
  upstream: { introduced: '84c3fc4e9c56', fixed: '3a5a8d343e1c' },
  summary: 'a split invalidates a migration entry, which was never valid and whose bits mean something else',
  symptom: 'an entry that names a frame which was never there',
  scenarios: ['split-vs-migrate'],
  parts: { HugeMemory: InvalidatesMigrationEntry },
})
