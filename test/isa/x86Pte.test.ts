import { describe, expect, it } from 'vitest'
import * as p from '../../dist/src/isa/x86_64/pte.js'
import { Level } from '../../dist/src/arch/level.js'
import { SimBug } from '../../dist/src/base/assert.js'
import { pfn, pteWord, tableNr, type PteWord } from '../../dist/src/base/units.js'

const hex = (word: bigint): string => `0x${word.toString(16)}`
const NR = 512

/** Every combination of the bits a leaf may have: hardware's, software's, saved-dirty and no-execute. */
const LEAF_BITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 58, 63].map((bit) => 1n << BigInt(bit))
const flagCombinations = Array.from({ length: 2 ** LEAF_BITS.length }, (_, n) =>
  LEAF_BITS.reduce((flags, bit, i) => ((n >> i) & 1 ? flags | bit : flags), 0n),
)
const protections = Array.from({ length: 16 }, (_, vmFlags) => p.vmGetPageProt(vmFlags))
const EDGE_PFNS = [
  0,
  1,
  3,
  511,
  512,
  0x12345,
  2 ** 20 - 1,
  2 ** 20,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 40 - 1,
]
const HUGE_PFNS = [0, 512, 0x40000, 2 ** 20, 2 ** 31, 2 ** 32 - 512, 2 ** 40 - 512]

/** Words to hold laws against: all flag combinations over a few frames (inverted or not, as the flags ask). */
const words = flagCombinations.flatMap((flags) => [0x12345, 0, 2 ** 40 - 1].map((frame) => p.pfnPte(pfn(frame), flags)))

/** One assertion per law and not per word: 50,000 words would be 50,000 reports. */
function holds(law: (word: PteWord) => boolean, over: readonly PteWord[] = words): void {
  expect(
    over
      .filter((word) => !law(word))
      .slice(0, 5)
      .map(hex),
  ).toEqual([])
}

const tableAt = (nr: number): PteWord => p.tableEntry(Level.pmd, tableNr(nr))

describe('worked values of x86-64 entries', () => {
  const frame = pfn(0x12345)
  const shared = p.pfnPte(frame, p.PAGE_SHARED)
  const huge = p.pmdMkhuge(p.pfnPmd(pfn(0x40000), p.PAGE_SHARED, NR))
  const bootHuge = p.pmdMkhuge(p.pfnPmd(pfn(0x40000), 0x25n, NR))
  const readExec = p.pfnPte(pfn(0x40000), 0x25n)
  const values: [string, bigint, bigint][] = [
    ['shared', shared, 0x8000000012345027n],
    ['shared, dirty set by hardware', shared | p.PAGE_DIRTY, 0x8000000012345067n],
    ['shared, mkdirty', p.pteMkdirty(shared), 0x8000000012345867n],
    ['shared, mkdirty, wrprotect', p.pteWrprotect(p.pteMkdirty(shared)), 0x8400000012345825n],
    ['readonly', p.pfnPte(frame, p.PAGE_READONLY), 0x8000000012345025n],
    ['readonly, special', p.pteMkspecial(p.pfnPte(frame, p.PAGE_READONLY)), 0x8000000012345225n],
    ['none', p.pfnPte(frame, p.PAGE_NONE), 0x000fffffedcba120n],
    ['kernel', p.pfnPte(frame, 0x8000000000000163n), 0x8000000012345163n],
    ['table', tableAt(0x5432), 0x0000000005432067n],
    ['huge', huge, 0x80000000400000a7n],
    ['huge, mkdirty', p.pmdMkdirty(huge), 0x80000000400008e7n],
    ['huge, mkdirty, mkinvalid', p.pmdMkinvalid(p.pmdMkdirty(huge), NR), 0x800fffffbfe008e6n],
    ['huge none', p.pmdMkhuge(p.pfnPmd(pfn(0x40000), p.PAGE_NONE, NR)), 0x000fffffbfe001a0n],
    // the words that debug_vm_pgtable goes through with a frame at 1 GiB and a read-exec protection
    ['T22b mkwrite', p.pteMkwrite(readExec), 0x40000027n],
    ['T22b mkwrite, mkdirty', p.pteMkdirty(p.pteMkwrite(readExec)), 0x40000867n],
    ['T22c old', p.pteMkold(readExec), 0x40000005n],
    ['T9 protnone', p.pfnPte(pfn(0x40000), p.PAGE_NONE), 0x000fffffbffff120n],
    ['T24 mkhuge, mkold', p.pmdMkold(bootHuge), 0x40000085n],
    ['T19 mkinvalid', p.pmdMkinvalid(bootHuge, NR), 0x000fffffbfe000a4n],
    ['T20 mkdirty', p.pmdMkdirty(bootHuge), 0x04000000400008a5n],
    ['T20 wrprotect, mkwrite', p.pmdMkwrite(p.pmdWrprotect(bootHuge)), 0x400000a7n],
  ]
  it.each(values)('%s', (_name, word, expected) => {
    expect(hex(word)).toBe(hex(expected))
  })

  it('has the protections of a private, then of a shared mapping', () => {
    const [ro, rw] = [0x8000000000000025n, 0x8000000000000027n]
    expect(protections.slice(0, 8)).toEqual([0x120n, ro, ro, ro, 0x25n, 0x25n, 0x25n, 0x25n])
    expect(protections.slice(8)).toEqual([0x120n, ro, rw, rw, 0x25n, 0x25n, 0x27n, 0x27n])
    expect(p.vmGetPageProt(p.VM_SHARED | p.VM_WRITE | 0x100)).toBe(rw)
  })
})

describe('a pte', () => {
  it('gives back the frame it was made for, whatever the flags', () => {
    for (const frame of EDGE_PFNS)
      for (const flags of [...protections, 0x1n, 0x8400000000000020n, 0x80n])
        expect(p.ptePfn(p.pfnPte(pfn(frame), flags)), `${frame} ${hex(flags)}`).toBe(frame)
  })

  it('stores the frame inverted exactly when it is not present and not empty', () => {
    for (const flags of flagCombinations) {
      const stored = p.pfnPte(pfn(0x12345), flags) & p.PTE_PFN_MASK
      const inverted = flags !== 0n && (flags & 1n) === 0n
      expect(stored === (inverted ? 0xfffffedcba000n : 0x12345000n), hex(flags)).toBe(true)
    }
  })

  it('refuses a frame or a protection that does not fit', () => {
    expect(() => p.pfnPte(pfn(2 ** 40), p.PAGE_SHARED)).toThrow(SimBug)
    expect(() => p.pfnPte(pfn(-1), p.PAGE_SHARED)).toThrow(SimBug)
    expect(() => p.pfnPte(pfn(NaN), p.PAGE_SHARED)).toThrow(SimBug)
    expect(() => p.pfnPte(pfn(1), 0x1027n)).toThrow('covers the pfn')
  })

  it('is none only without any bit but accessed and dirty', () => {
    for (const word of [0n, 0x20n, 0x40n, 0x60n]) expect(p.pteNone(pteWord(word))).toBe(true)
    for (let bit = 0n; bit < 64n; bit++)
      expect(p.pteNone(pteWord(1n << bit)), `bit ${bit}`).toBe(bit === 5n || bit === 6n)
  })

  it('compares as equal to itself and to nothing else', () => {
    holds((word) => p.pteSame(word, word))
    for (let bit = 0n; bit < 64n; bit++) {
      const word = pteWord(0x8400000012345865n)
      expect(p.pteSame(word, pteWord(word ^ (1n << bit)))).toBe(false)
    }
  })

  it('answers each question from its own bit', () => {
    holds((w) => p.ptePresent(w) === ((w & 0x101n) !== 0n))
    holds((w) => p.pteProtnone(w) === ((w & 0x101n) === 0x100n))
    holds((w) => p.pteYoung(w) === ((w & 0x20n) !== 0n))
    holds((w) => p.pteDirty(w) === ((w & ((1n << 58n) | 0x40n)) !== 0n))
    holds((w) => p.pteWrite(w) === ((w & 0x2n) !== 0n || (w & 0x40n) !== 0n))
    holds((w) => p.pteSpecial(w) === ((w & 0x200n) !== 0n))
  })

  it('is accessible when present, and when protnone as long as the flush is outstanding', () => {
    holds((w) => p.pteAccessible(w, false) === ((w & 1n) !== 0n))
    holds((w) => p.pteAccessible(w, true) === ((w & 0x101n) !== 0n))
  })

  it('permits a user access when present, user and, for a store, writable', () => {
    holds((w) => p.pteAccessPermitted(w, false) === ((w & 0x5n) === 0x5n))
    holds((w) => p.pteAccessPermitted(w, true) === ((w & 0x7n) === 0x7n))
  })
})

type Change = (word: PteWord) => PteWord
const changes: Record<string, Change> = {
  wrprotect: p.pteWrprotect,
  mkwrite: p.pteMkwrite,
  mkdirty: p.pteMkdirty,
  mkclean: p.pteMkclean,
  mkyoung: p.pteMkyoung,
  mkold: p.pteMkold,
  mkspecial: p.pteMkspecial,
}
/** Without the shadow-stack form Write=0,Dirty=1, which no helper is to be given by an ordinary vma. */
const ordinary = words.filter((word) => (word & 0x42n) !== 0x40n)

describe('changes of a pte', () => {
  it.each(Object.entries(changes))('%s: keeps the frame, is idempotent, stays a 64-bit word', (_name, change) => {
    const notEmptied = words.filter((word) => word !== 0n && change(word) !== 0n)
    holds(
      (w) => p.ptePfn(change(w)) === p.ptePfn(w),
      notEmptied.filter((w) => (w & ~p.PTE_PFN_MASK) !== 0n && (change(w) & ~p.PTE_PFN_MASK) !== 0n),
    )
    holds((w) => change(change(w)) === change(w))
    holds((w) => change(w) === BigInt.asUintN(64, change(w)))
  })

  it('touch no bit but their own', () => {
    const own: Record<string, bigint> = {
      wrprotect: p.PAGE_RW | p.PAGE_DIRTY | p.PAGE_SAVED_DIRTY,
      mkwrite: p.PAGE_RW | p.PAGE_DIRTY | p.PAGE_SAVED_DIRTY,
      mkdirty: p.PAGE_DIRTY | p.PAGE_SAVED_DIRTY | p.PAGE_SOFT_DIRTY,
      mkclean: p.PAGE_DIRTY | p.PAGE_SAVED_DIRTY,
      mkyoung: p.PAGE_ACCESSED,
      mkold: p.PAGE_ACCESSED,
      mkspecial: p.PAGE_SPECIAL,
    }
    for (const [name, change] of Object.entries(changes)) holds((w) => ((change(w) ^ w) & ~own[name]!) === 0n)
  })

  it('obey debug_vm_pgtable’s basic laws', () => {
    holds((w) => p.pteYoung(p.pteMkyoung(p.pteMkold(w))))
    holds((w) => !p.pteYoung(p.pteMkold(p.pteMkyoung(w))))
    holds((w) => p.pteDirty(p.pteMkdirty(p.pteMkclean(w))))
    holds((w) => !p.pteDirty(p.pteMkclean(p.pteMkdirty(w))))
    holds((w) => p.pteWrite(p.pteMkwrite(p.pteWrprotect(w))))
    holds((w) => !p.pteWrite(p.pteWrprotect(p.pteMkwrite(w))))
    holds((w) => !p.pteDirty(p.pteWrprotect(p.pteMkclean(w))))
    holds((w) => p.pteDirty(p.pteWrprotect(p.pteMkdirty(w))))
    holds((w) => p.pteSpecial(p.pteMkspecial(w)))
  })

  it('find no protection that presets dirty', () => {
    for (const prot of protections) expect(p.pteDirty(p.pteWrprotect(p.pfnPte(pfn(0x40000), prot)))).toBe(false)
  })

  it('keep dirty over any row of wrprotect and mkwrite', () => {
    for (const first of [p.pteWrprotect, p.pteMkwrite])
      for (const second of [p.pteWrprotect, p.pteMkwrite]) holds((w) => p.pteDirty(second(first(w))) === p.pteDirty(w))
  })

  it('give a dirty writable page the hardware’s dirty bit back', () => {
    holds((w) => (p.pteMkwrite(p.pteWrprotect(p.pteMkdirty(w))) & 0x42n) === 0x42n)
  })

  it('never make a shadow stack’s page of an ordinary one', () => {
    for (const change of Object.values(changes)) holds((w) => (change(w) & 0x42n) !== 0x40n, ordinary)
    for (const prot of protections) holds((w) => (p.pteModify(w, prot) & 0x42n) !== 0x40n, ordinary)
  })

  it('reach young, writable, dirty in any order', () => {
    const set = [p.pteMkyoung, p.pteMkwrite, p.pteMkdirty]
    const clear = [p.pteMkold, p.pteWrprotect, p.pteMkclean]
    for (const [a, b, c] of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ] as const) {
      holds((w) => [p.pteYoung, p.pteWrite, p.pteDirty].every((is) => is(set[c]!(set[b]!(set[a]!(w))))))
      holds((w) => ![p.pteYoung, p.pteWrite, p.pteDirty].some((is) => is(clear[c]!(clear[b]!(clear[a]!(w))))))
    }
  })
})

describe('pteModify', () => {
  const KEPT = p.PAGE_PWT | p.PAGE_PCD | p.PAGE_ACCESSED | 0x80n | p.PAGE_SPECIAL | p.PAGE_UFFD_WP | p.PAGE_SOFT_DIRTY
  const mapped = ordinary.filter((word) => (word & ~p.PTE_PFN_MASK) !== 0n)

  it('keeps frame, dirty, young and software bits and takes the rest from the new protection', () => {
    for (const prot of new Set(protections)) {
      holds((w) => p.ptePfn(p.pteModify(w, prot)) === p.ptePfn(w), mapped)
      holds((w) => (p.pteModify(w, prot) & KEPT) === (w & KEPT), mapped)
      holds((w) => p.pteDirty(p.pteModify(w, prot)) === p.pteDirty(w), mapped)
      const rest = 0x107n | p.PAGE_NX
      holds((w) => (p.pteModify(w, prot) & rest) === (prot & rest), mapped)
    }
  })

  it('inverts the frame on the way to PROT_NONE and back', () => {
    const shared = p.pfnPte(pfn(0x12345), p.PAGE_SHARED)
    const none = p.pteModify(shared, p.PAGE_NONE)
    expect(hex(none)).toBe('0xfffffedcba120')
    expect(p.pteModify(none, p.PAGE_SHARED)).toBe(shared)
  })

  it('moves dirty to where it belongs', () => {
    const dirty = p.pteMkdirty(p.pfnPte(pfn(0x12345), p.PAGE_SHARED))
    expect(hex(p.pteModify(dirty, p.PAGE_READONLY))).toBe('0x8400000012345825')
    expect(p.pteModify(p.pteModify(dirty, p.PAGE_READONLY), p.PAGE_SHARED)).toBe(dirty)
  })

  it('leaves a shadow stack’s page dirty as it is', () => {
    expect(hex(p.pteModify(pteWord(0x8000000012345065n), p.PAGE_READONLY))).toBe('0x8000000012345065')
  })
})

describe.each([4, 8, 512])('a pmd of %i base pages', (nr) => {
  const frames = HUGE_PFNS.concat(nr, 3 * nr, 2 ** 40 - nr)
  const hugeWords = flagCombinations
    .filter((flags) => (flags & p.PAGE_PSE) !== 0n)
    .flatMap((flags) => [7 * nr, 2 ** 40 - nr].map((frame) => p.pmdMkhuge(p.pfnPmd(pfn(frame), flags, nr))))

  it('gives back the frame it was made for, whatever the flags', () => {
    for (const frame of frames)
      for (const prot of protections) {
        const pmd = p.pmdMkhuge(p.pfnPmd(pfn(frame), prot, nr))
        expect(p.pmdPfn(pmd, nr)).toBe(frame)
        expect(p.pmdPfn(p.pmdMkinvalid(pmd, nr), nr)).toBe(frame)
        for (const next of protections) expect(p.pmdPfn(p.pmdModify(pmd, next, nr), nr)).toBe(frame)
      }
  })

  it('refuses a frame at which no huge page starts', () => {
    expect(() => p.pfnPmd(pfn(nr - 1), p.PAGE_SHARED, nr)).toThrow(SimBug)
    expect(() => p.pfnPmd(pfn(nr / 2), p.PAGE_NONE, nr)).toThrow(SimBug)
  })

  it('is a leaf, and bad as a table, once huge', () => {
    holds((w) => p.pmdLeaf(w) && p.pmdTransHuge(w) && p.pmdBad(w) && p.pmdPresent(w), hugeWords)
  })

  it('invalidated, is present to software, usable by no CPU, and else unchanged', () => {
    const invalid = (w: PteWord): PteWord => p.pmdMkinvalid(w, nr)
    holds((w) => p.pmdPresent(invalid(w)) && p.pmdTransHuge(invalid(w)) && p.pmdLeaf(invalid(w)), hugeWords)
    holds((w) => (invalid(w) & 0x101n) === 0n && !p.pmdProtnone(invalid(w)) && !p.pmdNone(invalid(w)), hugeWords)
    holds((w) => !p.pmdAccessPermitted(invalid(w), false) && !p.pmdAccessible(invalid(w), true), hugeWords)
    holds((w) => p.pmdPfn(invalid(w), nr) === p.pmdPfn(w, nr), hugeWords)
    holds((w) => ((invalid(w) ^ w) & ~p.PTE_PFN_MASK & ~0x101n) === 0n, hugeWords)
    holds((w) => invalid(invalid(w)) === invalid(w), hugeWords)
  })

  it('comes back from invalidated as it was, dirty bits and all', () => {
    const clean = p.pmdMkhuge(p.pfnPmd(pfn(3 * nr), p.PAGE_SHARED, nr))
    expect(p.pmdModify(p.pmdMkinvalid(clean, nr), p.PAGE_SHARED, nr)).toBe(clean)
    const saved = p.pmdWrprotect(p.pmdMkdirty(clean))
    expect(p.pmdDirty(p.pmdModify(saved, p.PAGE_READONLY, nr))).toBe(true)
    expect(p.pmdDirty(p.pmdModify(p.pmdMkdirty(clean), p.PAGE_SHARED, nr))).toBe(true)
  })

  it('is protnone and present when made for nobody', () => {
    const pmd = p.pmdMkhuge(p.pfnPmd(pfn(nr), p.PAGE_NONE, nr))
    expect([p.pmdProtnone(pmd), p.pmdPresent(pmd), p.pmdAccessPermitted(pmd, false)]).toEqual([true, true, false])
  })

  it('stays empty when there is nothing to invalidate', () => {
    expect(p.pmdMkinvalid(pteWord(0n), nr)).toBe(0n)
  })
})

describe('an entry that points to a table', () => {
  it('gives back the table it was made for', () => {
    for (const nr of [0, 1, 2 ** 19 - 1, 2 ** 19, 2 ** 20 - 1, 2 ** 20, 2 ** 40 - 1]) {
      const entry = tableAt(nr)
      expect(p.entryTable(entry)).toBe(nr)
      expect(p.ptePfn(entry)).toBe(nr)
      expect(p.pmdPfn(entry, 4)).toBe(nr)
      expect(entry & 0xfffn).toBe(0x67n)
    }
  })

  it('is present, not empty and not bad, young or old, user or kernel', () => {
    for (const flags of [0x67n, 0x47n, 0x63n]) {
      const entry = pteWord(0x5432000n | flags)
      expect([p.pmdPresent(entry), p.pmdNone(entry), p.pmdBad(entry), p.pmdLeaf(entry)]).toEqual([
        true,
        false,
        false,
        false,
      ])
    }
  })

  it('is absent from an empty slot', () => {
    const empty = pteWord(0n)
    expect([p.pmdPresent(empty), p.pmdLeaf(empty), p.pmdBad(empty)]).toEqual([false, false, true])
  })

  it('answers present and leaf from those bits alone', () => {
    for (let bit = 0n; bit < 64n; bit++) {
      const word = pteWord(1n << bit)
      expect(p.pmdPresent(word), `bit ${bit}`).toBe(bit === 0n || bit === 7n || bit === 8n)
      expect(p.pmdLeaf(word)).toBe(bit === 7n)
    }
  })

  it('is bad as a pmd with any flag but user and accessed different', () => {
    const table = tableAt(0x5432)
    for (let bit = 0n; bit < 64n; bit++) {
      const inPfn = bit >= 12n && bit < 52n
      expect(p.pmdBad(pteWord(table ^ (1n << bit))), `bit ${bit}`).toBe(!(inPfn || bit === 2n || bit === 5n))
    }
  })
})
