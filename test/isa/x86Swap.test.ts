import { describe, expect, it } from 'vitest'
import * as p from '../../dist/src/isa/x86_64/pte.js'
import * as s from '../../dist/src/isa/x86_64/swap.js'
import { Level } from '../../dist/src/arch/level.js'
import { SimBug } from '../../dist/src/base/assert.js'
import { pfn, pteWord, tableNr, type PteWord } from '../../dist/src/base/units.js'

const hex = (word: bigint): string => `0x${word.toString(16)}`
const TYPES = Array.from({ length: 32 }, (_, type) => type)
const OFFSETS = [0, 1, 2 ** 22, 2 ** 23 - 1, 2 ** 23, 0x123456, 2 ** 31, 2 ** 32, 2 ** 34, 2 ** 49 + 1, 2 ** 50 - 1]
const FLAGS = [0n, 2n, 4n, 6n, 8n, 10n, 12n, 14n]
const migrationKinds = [
  s.makeReadableMigrationEntry,
  s.makeReadableExclusiveMigrationEntry,
  s.makeWritableMigrationEntry,
] as const

describe('worked values of swap words', () => {
  const slot = s.makeSwapPte(3, 0x123456)
  const all = 2 ** 50 - 1
  const values: [string, bigint, bigint][] = [
    ['type 3 offset 0x123456', slot, 0x1fffffffdb975200n],
    ['… exclusive', slot | s.PAGE_SWP_EXCLUSIVE, 0x1fffffffdb975208n],
    ['… soft dirty', slot | s.PAGE_SWP_SOFT_DIRTY, 0x1fffffffdb975202n],
    ['… uffd-wp', slot | s.PAGE_SWP_UFFD_WP, 0x1fffffffdb975204n],
    ['type 0 offset 0', s.makeSwapPte(0, 0), 0x07fffffffffffe00n],
    ['type 23, largest offset', s.makeSwapPte(23, all), 0xb800000000000000n],
    ['type 23 offset 0', s.makeSwapPte(23, 0), 0xbffffffffffffe00n],
    ['migration, writable', s.makeWritableMigrationEntry(0x12345), 0xdffffffffdb97400n],
    ['migration, readable', s.makeReadableMigrationEntry(0x12345), 0xcffffffffdb97400n],
    ['migration of a huge page at 1 GiB', s.makeWritableMigrationEntry(0x40000), 0xdffffffff7fffe00n],
    ['migration, all-ones offset', s.makeWritableMigrationEntry(all), 0xd800000000000000n],
    ['hwpoison', s.makeSwapPte(s.SWP_HWPOISON, 0x12345), 0xc7fffffffdb97400n],
    ['guard marker', s.makeSwapPte(s.SWP_PTE_MARKER, s.PTE_MARKER_GUARD), 0xfffffffffffff600n],
    ['type 0, all-ones offset, which is the empty word', s.makeSwapPte(0, all), 0n],
  ]
  it.each(values)('%s', (_name, word, expected) => {
    expect(hex(word)).toBe(hex(expected))
  })
})

describe('a swap word', () => {
  const words = TYPES.flatMap((type) =>
    OFFSETS.map((offset) => [type, offset, s.makeSwapPte(type, offset)] as const),
  ).filter(([, , word]) => word !== 0n)

  it('gives back type and offset, whatever its flags', () => {
    for (const [type, offset, word] of words)
      for (const flags of FLAGS) {
        const flagged = pteWord(word | flags)
        expect([s.swpType(flagged), s.swpOffset(flagged)]).toEqual([type, offset])
      }
  })

  it('is neither empty nor present nor huge nor a table, as pte and as pmd', () => {
    for (const [, , word] of words)
      for (const flags of FLAGS) {
        const flagged = pteWord(word | flags)
        expect([p.pteNone(flagged), p.ptePresent(flagged), p.pteProtnone(flagged)]).toEqual([false, false, false])
        expect([p.pmdNone(flagged), p.pmdPresent(flagged), p.pmdTransHuge(flagged)]).toEqual([false, false, false])
        expect([p.pmdBad(flagged), s.isSwapPte(flagged), s.isSwapPmd(flagged)]).toEqual([true, true, true])
      }
  })

  it('answers exclusive from its own bit', () => {
    for (let bit = 0n; bit < 64n; bit++) expect(s.pteSwpExclusive(pteWord(1n << bit)), `bit ${bit}`).toBe(bit === 3n)
  })

  it('refuses a type or an offset that does not fit', () => {
    expect(() => s.makeSwapPte(32, 0)).toThrow(SimBug)
    expect(() => s.makeSwapPte(-1, 0)).toThrow(SimBug)
    expect(() => s.makeSwapPte(1, 2 ** 50)).toThrow(SimBug)
    expect(() => s.makeSwapPte(1, -1)).toThrow(SimBug)
  })
})

describe('isSwapPte', () => {
  it('goes by the bits that mean present and the ones that mean nothing', () => {
    for (let bit = 0n; bit < 64n; bit++) {
      const word = pteWord(1n << bit)
      const empty = bit === 5n || bit === 6n
      expect(s.isSwapPte(word), `bit ${bit}`).toBe(!(empty || bit === 0n || bit === 8n))
      expect(s.isSwapPmd(word), `bit ${bit}`).toBe(!(empty || bit === 0n || bit === 7n || bit === 8n))
    }
  })

  it('is false of empty, present, PROT_NONE and table words', () => {
    const others: PteWord[] = [
      pteWord(0n),
      pteWord(0x60n),
      p.pfnPte(pfn(0x12345), p.PAGE_SHARED),
      p.pfnPte(pfn(0x12345), p.PAGE_NONE),
      p.tableEntry(Level.pmd, tableNr(0x5432)),
    ]
    for (const word of others) expect([s.isSwapPte(word), s.isSwapPmd(word)], hex(word)).toEqual([false, false])
  })

  it('is false of an invalidated huge page, as a pmd', () => {
    const huge = p.pmdMkhuge(p.pfnPmd(pfn(512), p.PAGE_SHARED, 512))
    expect(s.isSwapPmd(p.pmdMkinvalid(huge, 512))).toBe(false)
    expect(s.isMigrationEntry(p.pmdMkinvalid(huge, 512))).toBe(false)
  })
})

describe('a migration entry', () => {
  const FRAMES = [0, 1, 0x12345, 2 ** 20 - 1, 2 ** 31, 2 ** 34 - 1]

  it('is of exactly one kind', () => {
    const questions = [s.isReadableMigrationEntry, s.isReadableExclusiveMigrationEntry, s.isWritableMigrationEntry]
    for (const [kind, make] of migrationKinds.entries())
      for (const frame of FRAMES) {
        expect(questions.map((is) => is(make(frame)))).toEqual([0, 1, 2].map((k) => k === kind))
        expect(s.isMigrationEntry(make(frame))).toBe(true)
      }
  })

  it('carries young and dirty above the frame, each alone', () => {
    for (const make of migrationKinds)
      for (const frame of FRAMES) {
        const entry = make(frame)
        const young = s.makeMigrationEntryYoung(entry)
        const dirty = s.makeMigrationEntryDirty(entry)
        const both = s.makeMigrationEntryDirty(young)
        const state = [entry, young, dirty, both].map((e) => [s.isMigrationEntryYoung(e), s.isMigrationEntryDirty(e)])
        expect(state).toEqual([
          [false, false],
          [true, false],
          [false, true],
          [true, true],
        ])
        for (const word of [entry, young, dirty, both]) expect(s.swpOffsetPfn(word)).toBe(frame)
        expect(s.swpOffset(both)).toBe(frame + 2 ** 34 + 2 ** 35)
      }
  })

  it('keeps young and dirty when it is made readable from its whole offset', () => {
    const writable = s.makeMigrationEntryDirty(s.makeMigrationEntryYoung(s.makeWritableMigrationEntry(0x12345)))
    const readable = s.makeReadableMigrationEntry(s.swpOffset(writable))
    expect([s.isWritableMigrationEntry(readable), s.isReadableMigrationEntry(readable)]).toEqual([false, true])
    expect([s.isMigrationEntryYoung(readable), s.isMigrationEntryDirty(readable)]).toEqual([true, true])
    expect(s.swpOffsetPfn(readable)).toBe(0x12345)
  })

  it('is not seen in words of other types, present words, or nothing', () => {
    for (const type of TYPES.filter((t) => t < 25 || t > 27)) {
      const word = s.makeSwapPte(type, 0x12345)
      expect(
        [s.isMigrationEntry(word), s.isMigrationEntryYoung(word), s.isMigrationEntryDirty(word)],
        `${type}`,
      ).toEqual([false, false, false])
    }
    for (const type of [25, 26, 27]) {
      const present = pteWord(s.makeSwapPte(type, 0x12345) | 1n)
      expect(s.isMigrationEntry(present) || s.isWritableMigrationEntry(present)).toBe(false)
    }
    expect(s.isMigrationEntry(pteWord(0n))).toBe(false)
  })
})

describe('pmdMkinvalid of a migration entry', () => {
  it('damages it, which is why callers look first', () => {
    const entry = s.makeWritableMigrationEntry(0x40000 + 512)
    expect(s.swpOffsetPfn(p.pmdMkinvalid(entry, 512))).not.toBe(0x40000 + 512)
  })
})
