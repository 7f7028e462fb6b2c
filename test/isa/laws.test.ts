/**
 * Laws of entries, one suite for every row of ARCHITECTURES, and for the toy that shows the least a row needs: what
 * generic code takes for granted of an EntryFormat. Exact words and what an architecture has alone are in the files
 * beside.
 *
 * A law is put to every word that a mapping can go through: each protection, over a few frames, with each combination
 * of young, dirty, written, special. Frames are below 2^16, the memory of the smallest machine that runs a real
 * geometry.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import * as entry from '../../dist/src/arch/entry.js'
import type { EntryFormat } from '../../dist/src/arch/entry.js'
import type { UpperLevel } from '../../dist/src/arch/level.js'
import { pfn, tableNr, type PteWord } from '../../dist/src/base/units.js'
import { ARCHITECTURES } from '../../dist/src/isa/index.js'
import { VM_READ } from '../../dist/src/mm/mmStruct.js'
import { toy } from './toy/arch.js'

const FRAMES = 2 ** 16
const PROTECTIONS = Array.from({ length: 16 }, (_, vmFlags) => vmFlags)
const DATA = [0, 1, 3, 0x1234, FRAMES - 1]

type Change = (word: PteWord) => PteWord
type Question = (word: PteWord) => boolean
/**
 * A fact about a leaf: the question, the change that makes it true, and the one that makes it false if there is one.
 */
interface Fact {
  readonly name: string
  readonly is: Question
  readonly make: Change
  readonly unmake?: Change
}

const halves = (word: bigint): [number, number] => [
  Number(BigInt.asIntN(32, word)),
  Number(BigInt.asIntN(32, word >> 32n)),
]
const hex = (word: bigint): string => `0x${word.toString(16)}`

/** One assertion per law and not per word. */
function holds(words: readonly PteWord[], law: Question): void {
  expect(words.length).toBeGreaterThan(0)
  expect(
    words
      .filter((word) => !law(word))
      .slice(0, 5)
      .map(hex),
  ).toEqual([])
}

/** `words`, and what each becomes by any of `changes`, in order. */
const grown = (words: readonly PteWord[], changes: readonly Change[]): PteWord[] =>
  changes.reduce<PteWord[]>((all, change) => [...all, ...all.map(change)], [...words])

describe.each([...ARCHITECTURES, toy])('entries of $id', ({ entry: p, geometry }) => {
  const nr = geometry.hpagePmdNr
  const hugeFrames = [0, nr, 4 * nr, FRAMES - nr]
  const upperLevels = (geometry.levels === 5 ? [2, 3, 4, 5] : [2, 3, 4]) as UpperLevel[]
  const tables = [64, 0x1240, 0xffc0].map(tableNr)

  const leaves = (mayRead: boolean): PteWord[] => {
    const flags = PROTECTIONS.filter((vmFlags) => p.pteProtnone(p.pfnPte(pfn(1), p.vmGetPageProt(vmFlags))) !== mayRead)
    const fresh = flags.flatMap((vmFlags) => DATA.map((frame) => p.pfnPte(pfn(frame), p.vmGetPageProt(vmFlags))))
    return grown(fresh, [p.pteMkspecial, p.pteMkdirty, p.pteMkold, ...(mayRead ? [p.pteMkwrite, p.pteWrprotect] : [])])
  }
  const readable = leaves(true)
  const ptes = [...readable, ...leaves(false)]

  const hugeLeaves = (mayRead: boolean): PteWord[] => {
    const flags = PROTECTIONS.filter((vmFlags) => p.pteProtnone(p.pfnPte(pfn(1), p.vmGetPageProt(vmFlags))) !== mayRead)
    const fresh = flags.flatMap((vmFlags) =>
      hugeFrames.map((frame) => p.pmdMkhuge(p.pfnPmd(pfn(frame), p.vmGetPageProt(vmFlags), nr))),
    )
    return grown(fresh, [p.pmdMkdirty, p.pmdMkold, ...(mayRead ? [p.pmdMkyoung, p.pmdMkwrite, p.pmdWrprotect] : [])])
  }
  const hugeReadable = hugeLeaves(true)
  const pmds = [...hugeReadable, ...hugeLeaves(false)]

  const pteFacts: readonly Fact[] = [
    { name: 'young', is: p.pteYoung, make: p.pteMkyoung, unmake: p.pteMkold },
    { name: 'dirty', is: p.pteDirty, make: p.pteMkdirty, unmake: p.pteMkclean },
    { name: 'writable', is: p.pteWrite, make: p.pteMkwrite, unmake: p.pteWrprotect },
    { name: 'special', is: p.pteSpecial, make: p.pteMkspecial },
  ]
  const pmdFacts: readonly Fact[] = [
    { name: 'young', is: p.pmdYoung, make: p.pmdMkyoung, unmake: p.pmdMkold },
    { name: 'dirty', is: p.pmdDirty, make: p.pmdMkdirty, unmake: p.pmdMkclean },
    { name: 'writable', is: p.pmdWrite, make: p.pmdMkwrite, unmake: p.pmdWrprotect },
  ]
  const kinds = [
    [p.makeReadableMigrationEntry, p.isReadableMigrationEntry],
    [p.makeReadableExclusiveMigrationEntry, p.isReadableExclusiveMigrationEntry],
    [p.makeWritableMigrationEntry, p.isWritableMigrationEntry],
  ] as const
  const migrations = kinds.flatMap(([make]) => [...DATA, ...hugeFrames].map(make))

  it('is a whole format: each name of arch/entry.ts is set by it', () => {
    entry.useArch(p)
    const names = Object.keys(entry).filter((name) => name !== 'useArch' && name !== 'isUsed') as (keyof EntryFormat)[]
    expect(names.length).toBeGreaterThan(80)
    expect(names.filter((name) => entry[name] !== p[name] || p[name] === undefined)).toEqual([])
    expect([entry.isUsed(p), entry.isUsed({ ...p })]).toEqual([true, false])
  })

  describe('an empty entry', () => {
    it('is none, not present and no swap word, at its level', () => {
      expect([p.PTE_EMPTY, p.PMD_EMPTY]).toEqual([p.emptyEntry(1), p.emptyEntry(2)])
      expect([p.pteNone(p.PTE_EMPTY), p.ptePresent(p.PTE_EMPTY), p.isSwapPte(p.PTE_EMPTY)]).toEqual([
        true,
        false,
        false,
      ])
      expect([p.pmdNone(p.PMD_EMPTY), p.pmdPresent(p.PMD_EMPTY), p.isSwapPmd(p.PMD_EMPTY)]).toEqual([
        true,
        false,
        false,
      ])
      expect([p.pteAccessible(p.PTE_EMPTY, false), p.pteAccessPermitted(p.PTE_EMPTY, false)]).toEqual([false, false])
    })

    it('is told from its halves, is legal, and leads nowhere', () => {
      for (const level of [1, ...upperLevels]) {
        const word = p.emptyEntry(level)
        expect(p.isEmptyWord(level, ...halves(word))).toBe(true)
        expect(p.illegalEntry(level, word, FRAMES, nr)).toBeNull()
        expect(level === 1 ? p.pteFrame(p.brief(word)) : p.tableFrame(p.brief(word))).toBe(-1)
      }
    })
  })

  describe('a PTE', () => {
    it('is present, legal, neither empty nor a swap word', () => {
      holds(ptes, (word) => p.ptePresent(word) && !p.pteNone(word) && !p.isSwapPte(word) && !p.isMigrationEntry(word))
      holds(ptes, (word) => p.illegalEntry(1, word, FRAMES, nr) === null)
      holds(ptes, (word) => !p.isEmptyWord(1, ...halves(word)))
    })

    it('keeps its frame through every change', () => {
      for (const vmFlags of PROTECTIONS) {
        const prot = p.vmGetPageProt(vmFlags)
        for (const frame of DATA) expect(p.ptePfn(p.pfnPte(pfn(frame), prot))).toBe(frame)
        holds(ptes, (word) => p.ptePfn(p.pteModify(word, prot)) === p.ptePfn(word))
      }
      for (const { make, unmake = make } of pteFacts)
        holds(readable, (word) => p.ptePfn(make(word)) === p.ptePfn(word) && p.ptePfn(unmake(word)) === p.ptePfn(word))
    })

    it.each(pteFacts)('becomes $name and ceases to be, and nothing else', ({ name, is, make, unmake }) => {
      const others = pteFacts.filter((fact) => fact.name !== name)
      const keeps = (word: PteWord, next: PteWord): boolean => others.every((fact) => fact.is(next) === fact.is(word))
      holds(readable, (word) => is(make(word)) && keeps(word, make(word)))
      if (unmake !== undefined) holds(readable, (word) => !is(unmake(word)) && keeps(word, unmake(word)))
    })

    it('takes a protection over, and keeps young, dirty and special', () => {
      for (const vmFlags of PROTECTIONS) {
        const prot = p.vmGetPageProt(vmFlags)
        const fresh = p.pfnPte(pfn(1), prot)
        const modified = (word: PteWord): PteWord => p.pteModify(word, prot)
        holds(ptes, (word) => p.pteProtnone(modified(word)) === p.pteProtnone(fresh))
        holds(ptes, (word) => p.pteWrite(modified(word)) === p.pteWrite(fresh))
        holds(ptes, (word) => p.pteDirty(modified(word)) === p.pteDirty(word))
        holds(ptes, (word) => p.pteSpecial(modified(word)) === p.pteSpecial(word))
        holds(ptes, (word) => p.pteYoung(modified(word)) || !p.pteYoung(word))
        holds(ptes, (word) => p.illegalEntry(1, modified(word), FRAMES, nr) === null)
      }
    })

    it('grants a store only where it grants a load, and nothing to anybody when it is for nobody', () => {
      holds(
        ptes,
        (word) => !p.pteAccessPermitted(word, true) || (p.pteAccessPermitted(word, false) && p.pteWrite(word)),
      )
      holds(ptes, (word) => !p.pteProtnone(word) || !p.pteAccessPermitted(word, false))
      // An architecture may have pages for execution alone: only a VMA that may be read promises a load.
      for (const vmFlags of PROTECTIONS.filter((flags) => (flags & VM_READ) !== 0))
        expect(p.pteAccessPermitted(p.pfnPte(pfn(1), p.vmGetPageProt(vmFlags)), false)).toBe(true)
    })

    it('needs a flush where a TLB can have it and it goes or is write-protected', () => {
      const usable = readable.filter((word) => p.isUsable(1, p.brief(word)))
      holds(usable, (word) => p.pteAccessible(word, false) && p.pteNeedsFlush(word, p.PTE_EMPTY))
      holds(
        usable.filter((word) => p.pteWrite(word)),
        (word) => p.pteNeedsFlush(word, p.pteWrprotect(word)),
      )
    })

    it('is to bookkeeping what it is to the kernel', () => {
      holds(ptes, (word) => p.pteFrame(p.brief(word)) === p.ptePfn(word))
      holds(ptes, (word) => p.isWritable(1, p.brief(word)) === p.pteWrite(word))
      holds(ptes, (word) => p.isProtnone(1, p.brief(word)) === p.pteProtnone(word))
    })

    it('is the same as itself, and as no other', () => {
      holds(ptes, (word) => p.pteSame(word, word) && !p.pteSame(word, p.PTE_EMPTY))
    })

    it('may be cleared, and may not change its frame', () => {
      holds(ptes, (word) => p.illegalChange(1, word, p.PTE_EMPTY, nr) === null)
      const other = p.pfnPte(pfn(0x777), p.vmGetPageProt(VM_READ))
      holds(ptes, (word) => p.illegalChange(1, word, other, nr) !== null)
    })
  })

  describe('a huge PMD entry', () => {
    it('is a present leaf, legal, no table and no swap word', () => {
      holds(pmds, (word) => p.pmdPresent(word) && p.pmdLeaf(word) && p.pmdTransHuge(word) && p.isHuge(p.brief(word)))
      holds(pmds, (word) => p.pmdBad(word) && !p.pmdNone(word) && !p.isSwapPmd(word))
      holds(pmds, (word) => p.tableFrame(p.brief(word)) === -1)
      holds(pmds, (word) => p.illegalEntry(2, word, FRAMES, nr) === null)
    })

    it('keeps its frame through every change', () => {
      holds(pmds, (word) => hugeFrames.includes(p.pmdPfn(word, nr)))
      holds(pmds, (word) => p.hugeFrame(p.brief(word), nr) === p.pmdPfn(word, nr))
      for (const vmFlags of PROTECTIONS)
        holds(pmds, (word) => p.pmdPfn(p.pmdModify(word, p.vmGetPageProt(vmFlags), nr), nr) === p.pmdPfn(word, nr))
      for (const { make, unmake = make } of pmdFacts)
        holds(hugeReadable, (word) =>
          [make, unmake].every((change) => p.pmdPfn(change(word), nr) === p.pmdPfn(word, nr)),
        )
    })

    it.each(pmdFacts)('becomes $name and ceases to be, and nothing else', ({ name, is, make, unmake }) => {
      const others = pmdFacts.filter((fact) => fact.name !== name)
      const keeps = (word: PteWord, next: PteWord): boolean => others.every((fact) => fact.is(next) === fact.is(word))
      holds(hugeReadable, (word) => is(make(word)) && keeps(word, make(word)))
      if (unmake !== undefined) holds(hugeReadable, (word) => !is(unmake(word)) && keeps(word, unmake(word)))
    })

    it('is no longer usable once invalidated, and still the present leaf that it was', () => {
      const invalid = (word: PteWord): PteWord => p.pmdMkinvalid(word, nr)
      holds(
        hugeReadable,
        (word) => !p.isUsable(2, p.brief(invalid(word))) && !p.pmdAccessPermitted(invalid(word), false),
      )
      holds(hugeReadable, (word) => p.pmdPresent(invalid(word)) && p.pmdLeaf(invalid(word)))
      holds(hugeReadable, (word) => p.pmdPfn(invalid(word), nr) === p.pmdPfn(word, nr))
      holds(hugeReadable, (word) => pmdFacts.every(({ is }) => is(invalid(word)) === is(word)))
      holds(hugeReadable.filter(p.pmdYoung), (word) => p.isInvalidated(p.brief(invalid(word))))
      holds(pmds, (word) => !p.isUsable(2, p.brief(word)) || !p.isInvalidated(p.brief(word)))
    })

    it('gives way to a table once it is invalidated, and not before', () => {
      const table = p.tableEntry(2, tables[0] as ReturnType<typeof tableNr>)
      const usable = hugeReadable.filter((word) => p.isUsable(2, p.brief(word)))
      holds(usable, (word) => p.illegalChange(2, word, table, nr) !== null)
      holds(usable, (word) => p.illegalChange(2, p.pmdMkinvalid(word, nr), table, nr) === null)
    })
  })

  describe('an entry for a table', () => {
    it('leads to its table, at every level', () => {
      for (const level of upperLevels)
        for (const table of tables) {
          const word = p.tableEntry(level, table)
          expect([p.entryTable(word), p.tableFrame(p.brief(word))]).toEqual([table, table])
          expect(p.isUsable(level, p.brief(word))).toBe(true)
          expect(p.illegalEntry(level, word, FRAMES, nr)).toBeNull()
        }
    })

    it('is present in a PMD, and neither a leaf nor bad', () => {
      for (const table of tables) {
        const word = p.tableEntry(2, table)
        expect([p.pmdPresent(word), p.pmdNone(word), p.pmdLeaf(word), p.pmdBad(word)]).toEqual([
          true,
          false,
          false,
          false,
        ])
        expect([p.isHuge(p.brief(word)), p.hugeFrame(p.brief(word), nr)]).toEqual([false, -1])
      }
    })

    it('is cleared before another takes its place', () => {
      for (const level of upperLevels) {
        const [one, other] = tables.map((table) => p.tableEntry(level, table)) as [PteWord, PteWord]
        expect(p.illegalChange(level, one, p.emptyEntry(level), nr)).toBeNull()
        expect(p.illegalChange(level, one, other, nr)).not.toBeNull()
      }
    })
  })

  describe('a migration entry', () => {
    it('is of the kind that was made, and of no other', () => {
      for (const [make, is] of kinds) {
        const word = make(0x1234)
        expect(kinds.map(([, other]) => other(word))).toEqual(kinds.map(([, other]) => other === is))
      }
    })

    it('is a swap word: not present, not empty, of no frame that is mapped', () => {
      holds(
        migrations,
        (word) => p.isSwapPte(word) && p.isMigrationEntry(word) && !p.ptePresent(word) && !p.pteNone(word),
      )
      holds(migrations, (word) => p.pteFrame(p.brief(word)) === -1 && !p.isUsable(1, p.brief(word)))
      holds(migrations, (word) => p.illegalEntry(1, word, FRAMES, nr) === null)
    })

    it('names the frame, young and dirty apart from it, in another kind, too', () => {
      for (const [make] of kinds)
        for (const frame of DATA) {
          const plain = make(frame)
          const both = p.makeMigrationEntryDirty(p.makeMigrationEntryYoung(plain))
          expect([p.isMigrationEntryYoung(plain), p.isMigrationEntryDirty(plain)]).toEqual([false, false])
          expect([p.isMigrationEntryYoung(both), p.isMigrationEntryDirty(both)]).toEqual([true, true])
          for (const [other] of kinds) {
            const again = other(p.swpOffset(both))
            expect([p.swpOffsetPfn(again), p.swpOffsetPfn(both)]).toEqual([frame, frame])
            expect([p.isMigrationEntryYoung(again), p.isMigrationEntryDirty(again)]).toEqual([true, true])
          }
        }
    })

    it('goes into a PMD and comes back', () => {
      holds(migrations, (word) => p.pteSame(p.pmdToSwp(p.swpToPmd(word)), word))
      holds(migrations, (word) => p.isSwapPmd(p.swpToPmd(word)) && p.isMigrationEntry(p.swpToPmd(word)))
      holds(migrations, (word) => !p.pmdPresent(p.swpToPmd(word)) && p.hugeFrame(p.brief(p.swpToPmd(word)), nr) === -1)
    })
  })

  beforeAll(() => entry.useArch(p))
})
