import { describe, expect, it } from 'vitest'
import { Level, type LevelName } from '../../dist/src/arch/level.js'
import { illegalChange, illegalEntry } from '../../dist/src/isa/x86_64/legal.js'
import * as p from '../../dist/src/isa/x86_64/pte.js'
import * as s from '../../dist/src/isa/x86_64/swap.js'
import { pfn, pteWord, tableNr, type PteWord } from '../../dist/src/base/units.js'

/** A machine of 4 GiB with real tables, and one of 256 frames with tables of 4. */
const machines = [
  { nr: 512, frames: 2 ** 20 },
  { nr: 4, frames: 256 },
]
const none = pteWord(0n)
const table = p.tableEntry(Level.pmd, tableNr(0x20))
const otherTable = p.tableEntry(Level.pmd, tableNr(0x21))
const withBit = (word: PteWord, bit: bigint): PteWord => pteWord(word ^ (1n << bit))

describe.each(machines)('entries of a machine with $frames frames and huge pages of $nr', ({ nr, frames }) => {
  const verdict = (level: LevelName, word: PteWord): string | null => illegalEntry(level, word, frames, nr)
  const pte = (prot: bigint): PteWord => p.pfnPte(pfn(33), prot)
  const huge = (prot: bigint): PteWord => p.pmdMkhuge(p.pfnPmd(pfn(3 * nr), prot, nr))
  const protections = Array.from({ length: 16 }, (_, vmFlags) => p.vmGetPageProt(vmFlags))

  it('are legal when empty, at every level', () => {
    for (const level of ['pgd', 'pud', 'pmd', 'pte'] as const) expect(verdict(level, none)).toBeNull()
  })

  it('are legal as every leaf that a vma can ask for, in every state mainline gives it', () => {
    const states = [
      p.pteMkyoung,
      p.pteMkold,
      p.pteMkdirty,
      p.pteMkclean,
      p.pteMkspecial,
      (w: PteWord): PteWord => pteWord(w | p.PAGE_SOFT_DIRTY),
      p.pteWrprotect,
    ]
    for (const prot of protections)
      for (const first of states)
        for (const second of states) {
          expect(verdict('pte', second(first(pte(prot))))).toBeNull()
          const pmd = second(first(huge(prot)))
          expect(verdict('pmd', pmd)).toBeNull()
          expect(verdict('pmd', p.pmdMkinvalid(pmd, nr))).toBeNull()
          for (const next of protections) {
            expect(verdict('pte', p.pteModify(second(first(pte(prot))), next))).toBeNull()
            expect(verdict('pmd', p.pmdModify(pmd, next, nr))).toBeNull()
          }
        }
  })

  it('are legal when hardware marked a writable leaf dirty', () => {
    expect(verdict('pte', withBit(pte(p.PAGE_SHARED), 6n))).toBeNull()
    expect(verdict('pmd', withBit(huge(p.PAGE_SHARED), 6n))).toBeNull()
  })

  it('are legal as table pointers at the three upper levels, young or old', () => {
    for (const level of ['pgd', 'pud', 'pmd'] as const)
      for (const word of [table, withBit(table, 5n)]) expect(verdict(level, word)).toBeNull()
  })

  it('are legal as migration entries, young and dirty or not', () => {
    for (const make of [
      s.makeReadableMigrationEntry,
      s.makeReadableExclusiveMigrationEntry,
      s.makeWritableMigrationEntry,
    ]) {
      const marked = (frame: number): PteWord => s.makeMigrationEntryDirty(s.makeMigrationEntryYoung(make(frame)))
      for (const word of [make(33), marked(33), make(frames - 1), pteWord(make(0) | s.PAGE_SWP_SOFT_DIRTY)])
        expect(verdict('pte', word)).toBeNull()
      for (const word of [make(3 * nr), marked(3 * nr), make(frames - nr)]) expect(verdict('pmd', word)).toBeNull()
    }
  })

  it('are legal as swap slots, poison and markers, in a pte', () => {
    for (const word of [
      s.makeSwapPte(0, 1),
      pteWord(s.makeSwapPte(23, 2 ** 36 - 1) | s.PAGE_SWP_EXCLUSIVE),
      s.makeSwapPte(s.SWP_HWPOISON, 33),
      s.makeSwapPte(s.SWP_PTE_MARKER, s.PTE_MARKER_GUARD),
      s.makeSwapPte(s.SWP_PTE_MARKER, s.PTE_MARKER_UFFD_WP),
    ])
      expect(verdict('pte', word)).toBeNull()
  })

  it('are legal when protected for userfaultfd and not writable', () => {
    expect(verdict('pte', withBit(pte(p.PAGE_READONLY), 10n))).toBeNull()
  })

  it('are illegal with a single bit, at every level', () => {
    for (const level of ['pgd', 'pud', 'pmd', 'pte'] as const)
      for (let bit = 0n; bit < 64n; bit++)
        expect(verdict(level, pteWord(1n << bit)), `${level} bit ${bit}`).not.toBeNull()
  })

  it.each<[string, LevelName, PteWord, string]>([
    ['accessed in an empty entry', 'pte', pteWord(0x20n), 'empty entry'],
    ['dirty in an empty entry', 'pmd', pteWord(0x40n), 'empty entry'],
    ['PSE in the root', 'pgd', withBit(table, 7n), 'reserved'],
    ['PSE in a pte', 'pte', withBit(pte(p.PAGE_SHARED), 7n), 'PSE set in a pte'],
    ['an invalidated huge leaf in a pte', 'pte', p.pmdMkinvalid(huge(p.PAGE_SHARED), nr), 'belong to present'],
    ['a table without RW', 'pmd', withBit(table, 1n), 'without RW'],
    ['a table without USER', 'pud', withBit(table, 2n), 'without USER'],
    ['a table with NX', 'pgd', withBit(table, 63n), 'NX'],
    ['a table without dirty', 'pmd', withBit(table, 6n), 'not 0x67'],
    ['a table with a software bit', 'pmd', withBit(table, 11n), 'not 0x67'],
    ['a table with a high bit', 'pud', withBit(table, 58n), 'not 0x67'],
    ['a table beyond memory', 'pmd', p.tableEntry(Level.pmd, tableNr(frames)), 'beyond the end'],
    ['a global leaf', 'pte', withBit(pte(p.PAGE_READONLY), 8n), 'global'],
    ['a leaf without USER', 'pte', withBit(pte(p.PAGE_READONLY), 2n), 'without USER'],
    ['a leaf with a reserved bit', 'pte', withBit(pte(p.PAGE_READONLY), 52n), 'high bits'],
    ['a leaf with a protection key', 'pmd', withBit(huge(p.PAGE_READONLY), 59n), 'high bits'],
    ['a leaf with a cache mode', 'pte', withBit(pte(p.PAGE_SHARED), 4n), 'cache mode'],
    ['a leaf that is dirty and not writable', 'pte', withBit(pte(p.PAGE_READONLY), 6n), 'shadow stack'],
    ['a leaf that is writable and uffd-protected', 'pte', withBit(pte(p.PAGE_SHARED), 10n), 'userfaultfd'],
    ['a leaf at the end of memory', 'pte', p.pfnPte(pfn(frames), p.PAGE_SHARED), 'beyond the end'],
    ['a PROT_NONE leaf at the end of memory', 'pte', p.pfnPte(pfn(frames), p.PAGE_NONE), 'beyond the end'],
    ['a PROT_NONE leaf that is writable', 'pte', withBit(pte(p.PAGE_NONE), 1n), 'keeps permissions'],
    ['PROTNONE without PSE', 'pmd', p.pfnPmd(pfn(nr), p.PAGE_NONE, nr), 'without PSE'],
    ['a misaligned huge leaf', 'pmd', p.pmdMkhuge(p.pfnPte(pfn(nr + 1), p.PAGE_SHARED)), 'not aligned'],
    ['a misaligned PROT_NONE leaf', 'pmd', p.pmdMkhuge(p.pfnPte(pfn(nr), p.PAGE_NONE)), 'not aligned'],
    ['a huge leaf one level too high', 'pud', huge(p.PAGE_SHARED), 'PSE set in a pud'],
    [
      'a huge leaf over the end of memory',
      'pmd',
      p.pmdMkhuge(p.pfnPmd(pfn(frames), p.PAGE_SHARED, nr)),
      'beyond the end',
    ],
    ['a swap slot in a pmd', 'pmd', s.makeSwapPte(3, 9), 'swap slot in a pmd'],
    ['a swap slot in a pud', 'pud', s.makeSwapPte(3, 9), 'no swap words'],
    ['a swap slot past any swap area', 'pte', s.makeSwapPte(3, 2 ** 36), 'beyond any swap area'],
    ['a swap slot with a bit of a present entry', 'pte', withBit(s.makeSwapPte(3, 9), 7n), 'belong to present'],
    ['a PROT_NONE leaf in a pud', 'pud', huge(p.PAGE_NONE), 'no swap words'],
    ['a PROT_NONE leaf in the root', 'pgd', pte(p.PAGE_NONE), 'no swap words'],
    ['a migration entry in the root', 'pgd', s.makeReadableMigrationEntry(33), 'no swap words'],
    ['a misaligned huge migration entry', 'pmd', s.makeReadableMigrationEntry(nr + 1), 'not aligned'],
    ['a migration entry beyond memory', 'pte', s.makeReadableMigrationEntry(frames), 'beyond the end'],
    ['a migration entry with stray bits', 'pte', s.makeReadableMigrationEntry(2 ** 36 + 33), 'above young'],
    [
      'an exclusive flag on a migration entry',
      'pte',
      pteWord(s.makeReadableMigrationEntry(33) | s.PAGE_SWP_EXCLUSIVE),
      'exclusive',
    ],
    ['accessed in a migration entry', 'pte', withBit(s.makeReadableMigrationEntry(33), 5n), 'belong to present'],
    ['a marker in a pmd', 'pmd', s.makeSwapPte(s.SWP_PTE_MARKER, 1), 'in a pmd'],
    ['a marker of nothing', 'pte', s.makeSwapPte(s.SWP_PTE_MARKER, 8), 'marks nothing'],
    ['a poisoned frame beyond memory', 'pte', s.makeSwapPte(s.SWP_HWPOISON, frames), 'beyond the end'],
    ['a device-private entry', 'pte', s.makeSwapPte(s.SWP_DEVICE_READ, 33), 'device-private'],
    [
      'a leaf that lost its present bit',
      'pte',
      pteWord(p.pteMkold(pte(p.PAGE_READONLY_EXEC)) & ~1n),
      'lost its present',
    ],
    ['a young leaf that lost its present bit', 'pte', pteWord(pte(p.PAGE_SHARED) & ~1n), 'belong to present'],
  ])('are illegal with %s', (_what, level, word, reason) => {
    expect(verdict(level, word)).toContain(reason)
  })

  it('are illegal with any one bit of a table pointer’s flags wrong', () => {
    for (const level of ['pgd', 'pud', 'pmd'] as const)
      for (let bit = 0n; bit < 64n; bit++) {
        if ((bit >= 12n && bit < 52n) || bit === 5n) continue
        // of an odd frame, so that PSE makes no aligned huge leaf of a pmd
        expect(verdict(level, withBit(otherTable, bit)), `${level} bit ${bit}`).not.toBeNull()
      }
  })
})

describe.each(machines)('changes with huge pages of $nr', ({ nr }) => {
  const pte = p.pfnPte(pfn(33), p.PAGE_SHARED)
  const elsewhere = p.pfnPte(pfn(34), p.PAGE_SHARED)
  const huge = p.pmdMkhuge(p.pfnPmd(pfn(3 * nr), p.PAGE_SHARED, nr))
  const otherHuge = p.pmdMkhuge(p.pfnPmd(pfn(4 * nr), p.PAGE_SHARED, nr))
  const hugeNone = p.pmdMkhuge(p.pfnPmd(pfn(3 * nr), p.PAGE_NONE, nr))
  const invalid = p.pmdMkinvalid(huge, nr)
  const dirtyHuge = p.pmdMkdirty(huge)
  const migration = s.makeWritableMigrationEntry(33)
  const hugeMigration = s.makeWritableMigrationEntry(3 * nr)

  /** Each word of a row is stored over the one before it. */
  const rows: [string, LevelName, PteWord[]][] = [
    ['a fault and an unmap', 'pte', [none, pte, none]],
    ['the first table of a range, and freeing it', 'pud', [none, table, none, otherTable]],
    ['a walker that marks a table accessed', 'pgd', [withBit(table, 5n), table]],
    [
      'fork and a write fault that reuses the page',
      'pte',
      [p.pteMkdirty(pte), p.pteWrprotect(p.pteMkdirty(pte)), p.pteMkdirty(pte)],
    ],
    [
      'a copy on write: clear and flush, then the new page',
      'pte',
      [p.pteWrprotect(pte), none, p.pteMkdirty(elsewhere)],
    ],
    ['a write fault on the zero page', 'pte', [p.pteMkspecial(p.pfnPte(pfn(1), p.PAGE_READONLY)), none, pte]],
    ['mprotect to PROT_NONE and back', 'pte', [pte, p.pteModify(pte, p.PAGE_NONE), pte]],
    [
      'mprotect through a cleared entry',
      'pte',
      [p.pteMkdirty(pte), none, p.pteModify(p.pteMkdirty(pte), p.PAGE_READONLY)],
    ],
    ['hardware that marks accessed and dirty', 'pte', [p.pteMkold(pte), pte, withBit(pte, 6n)]],
    ['ageing', 'pte', [pte, p.pteMkold(pte)]],
    ['migration to another frame', 'pte', [pte, none, migration, elsewhere]],
    ['migration installed by an exchange', 'pte', [pte, migration, pte]],
    ['mprotect of a migration entry', 'pte', [migration, s.makeReadableExclusiveMigrationEntry(33)]],
    ['swap-out and swap-in elsewhere', 'pte', [pte, none, s.makeSwapPte(1, 9), elsewhere]],
    ['unmapping a migration entry', 'pte', [migration, none]],
    ['a huge fault and a zap', 'pmd', [none, huge, none]],
    ['a split of a huge page', 'pmd', [dirtyHuge, p.pmdMkinvalid(dirtyHuge, nr), table]],
    ['a split of a PROT_NONE huge page', 'pmd', [hugeNone, p.pmdMkinvalid(hugeNone, nr), table]],
    ['a split of a huge migration entry', 'pmd', [hugeMigration, table]],
    [
      'mprotect of a huge page',
      'pmd',
      [dirtyHuge, p.pmdMkinvalid(dirtyHuge, nr), p.pmdModify(p.pmdMkinvalid(dirtyHuge, nr), p.PAGE_READONLY, nr)],
    ],
    ['MADV_FREE of a huge page', 'pmd', [dirtyHuge, p.pmdMkinvalid(dirtyHuge, nr), p.pmdMkclean(dirtyHuge)]],
    ['a NUMA hint on a huge page', 'pmd', [huge, hugeNone, huge]],
    [
      'migration of a huge page, and one that is given up',
      'pmd',
      [huge, invalid, hugeMigration, otherHuge, p.pmdMkinvalid(otherHuge, nr), otherHuge],
    ],
    ['a collapse', 'pmd', [table, none, huge]],
    ['a collapse that is given up', 'pmd', [table, none, table]],
    ['a split of the huge zero page', 'pmd', [p.pmdWrprotect(huge), none, table]],
    ['fork of a huge page', 'pmd', [dirtyHuge, p.pmdWrprotect(dirtyHuge)]],
  ]
  it.each(rows)('allow %s', (_what, level, words) => {
    for (const [i, word] of words.entries()) {
      expect(illegalEntry(level, word, 2 ** 20, nr)).toBeNull()
      if (i > 0) expect(illegalChange(level, words[i - 1]!, word, nr)).toBeNull()
    }
  })

  it.each<[string, LevelName, PteWord, PteWord, string]>([
    ['a page replaced under a live entry', 'pte', pte, elsewhere, 'changed its frame'],
    ['a page replaced under a PROT_NONE entry', 'pte', p.pteModify(pte, p.PAGE_NONE), elsewhere, 'changed its frame'],
    ['a huge page replaced under a live entry', 'pmd', huge, otherHuge, 'changed its frame'],
    [
      'a PROT_NONE change that takes another frame',
      'pte',
      pte,
      p.pteModify(elsewhere, p.PAGE_NONE),
      'changed its frame',
    ],
    ['an invalidation of another frame', 'pmd', huge, p.pmdMkinvalid(otherHuge, nr), 'changed its frame'],
    ['a huge page replaced under an invalidated entry', 'pmd', invalid, otherHuge, 'changed its frame'],
    ['a table put over a usable huge page', 'pmd', huge, table, 'without being invalidated'],
    ['a huge page put over a table', 'pmd', table, huge, 'without being cleared'],
    ['a PROT_NONE huge page put over a table', 'pmd', table, hugeNone, 'without being cleared'],
    ['a migration entry put over a table', 'pmd', table, hugeMigration, 'without being cleared'],
    ['a table put over another, pmd', 'pmd', table, otherTable, 'replaced by another'],
    ['a table put over another, pud', 'pud', table, otherTable, 'replaced by another'],
    ['a table put over another, pgd', 'pgd', table, otherTable, 'replaced by another'],
    ['a live entry that loses dirty', 'pte', p.pteMkdirty(pte), pte, 'dirty dropped'],
    ['a live huge entry that loses dirty', 'pmd', dirtyHuge, huge, 'dirty dropped'],
    ['a write protection that forgets dirty', 'pte', p.pteMkdirty(pte), p.pteWrprotect(pte), 'dirty dropped'],
    ['an invalidation of nothing', 'pmd', none, invalid, 'nothing was mapped'],
    ['an invalidation of a migration entry', 'pmd', hugeMigration, invalid, 'nothing was mapped'],
    ['a walker that marks an empty entry', 'pte', none, pteWord(0x20n), 'not present'],
    ['a walker that marks a migration entry', 'pte', migration, withBit(migration, 6n), 'not present'],
    ['a walker that marks an invalidated huge page', 'pmd', p.pmdMkold(invalid), invalid, 'not present'],
    [
      'a migration entry for another page than was mapped',
      'pte',
      pte,
      s.makeReadableMigrationEntry(34),
      'another frame',
    ],
    [
      'a migration entry replaced by another page’s',
      'pte',
      migration,
      s.makeReadableMigrationEntry(34),
      'changed its frame',
    ],
  ])('forbid %s', (_what, level, old, next, reason) => {
    expect(illegalChange(level, old, next, nr)).toContain(reason)
  })

  it('allow any entry to be stored again, or cleared', () => {
    for (const word of [pte, migration, s.makeSwapPte(1, 9)]) {
      expect(illegalChange('pte', word, word, nr)).toBeNull()
      expect(illegalChange('pte', word, none, nr)).toBeNull()
    }
    for (const word of [table, huge, hugeNone, invalid, hugeMigration]) {
      expect(illegalChange('pmd', word, word, nr)).toBeNull()
      expect(illegalChange('pmd', word, none, nr)).toBeNull()
    }
  })
})

describe('an invalidation applied to a migration entry of a real-sized huge page', () => {
  it('shows as a changed frame', () => {
    const entry = s.makeWritableMigrationEntry(0x40200)
    expect(illegalChange('pmd', entry, p.pmdMkinvalid(entry, 512), 512)).toContain('changed its frame')
  })
})
