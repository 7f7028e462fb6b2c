import { describe, expect, it } from 'vitest'
import { illegalChange, illegalEntry, illegalInUse } from '../../dist/src/isa/s390/legal.js'
import * as p from '../../dist/src/isa/s390/pte.js'
import * as s from '../../dist/src/isa/s390/swap.js'
import * as w from '../../dist/src/isa/s390/word.js'
import { pfn, pteWord, tableNr, type PteWord } from '../../dist/src/base/units.js'

// Worked values: words of Linux v7.0 with soft-dirty configured.
const RW = p.vmGetPageProt(8 | 3)
const RO = p.vmGetPageProt(1)
const RWX = p.vmGetPageProt(8 | 7)
const NONE = p.vmGetPageProt(0)
const PFN = pfn(0x12345)
const HUGE = 256
const is = (word: PteWord, value: bigint): void => expect(`0x${word.toString(16)}`).toBe(`0x${value.toString(16)}`)

describe('s390 page-table entries', () => {
  it('start young, valid if they may be read, and protected until they are dirty', () => {
    is(p.pfnPte(PFN, RW), 0x12345335n)
    is(p.pfnPte(PFN, RO), 0x12345315n)
    is(p.pfnPte(PFN, RWX), 0x12345235n)
    is(p.pfnPte(PFN, NONE), 0x12345605n)
    is(p.pteMkspecial(p.pfnPte(PFN, RO)), 0x12345355n)
  })

  it('change as the kernel changes them', () => {
    const dirty = p.pteMkdirty(p.pfnPte(PFN, RW))
    is(dirty, 0x1234513fn)
    is(p.pteMkold(pteWord(0x1234513dn)), 0x12345539n)
    is(p.pteWrprotect(pteWord(0x1234513dn)), 0x1234531dn)
    is(p.pteModify(dirty, RO), 0x1234531fn)
    is(p.pteModify(p.pteModify(dirty, NONE), RW), 0x1234513fn)
  })

  it('are not empty when they are zero', () => {
    expect([p.pteNone(pteWord(0n)), p.pteNone(pteWord(0x400n))]).toEqual([false, true])
    expect([p.pmdNone(pteWord(0n)), p.pmdNone(pteWord(0x20n))]).toEqual([false, true])
    expect([1, 2, 3, 4, 5].map((level) => Number(p.emptyEntry(level)))).toEqual([0x400, 0x20, 0x24, 0x28, 0x2c])
  })

  it('are told apart as the table of states says', () => {
    for (const [low, young, dirty, write, none] of [
      [0x601, false, false, false, true],
      [0x605, true, false, false, true],
      [0x215, true, false, false, false],
      [0x21d, true, true, false, false],
      [0x631, false, false, true, false],
      [0x03d, true, true, true, false],
    ] as const) {
      const pte = pteWord(BigInt(0x12345000 + low))
      expect([p.pteYoung(pte), p.pteDirty(pte), p.pteWrite(pte), p.pteProtnone(pte)]).toEqual([
        young,
        dirty,
        write,
        none,
      ])
      expect([p.ptePresent(pte), s.isSwapPte(pte), p.ptePfn(pte)]).toEqual([true, false, 0x12345])
    }
  })
})

describe('s390 segment entries', () => {
  const frame = pfn(0x40000)

  it('keep software bits above the hardware bits', () => {
    is(p.pfnPmd(frame, RW, HUGE), 0x4000c101n)
    is(p.pmdMkhuge(p.pfnPmd(frame, RW, HUGE)), 0x4000d701n)
    is(p.pmdMkdirty(p.pmdMkhuge(p.pfnPmd(frame, RW, HUGE))), 0x4000f503n)
    is(p.pmdMkhuge(p.pmdMkdirty(p.pfnPmd(frame, RW, HUGE))), 0x4000f703n)
    is(p.pmdMkhuge(p.pfnPmd(frame, NONE, HUGE)), 0x40001621n)
  })

  it('hold the frame of a huge page of any size', () => {
    for (const nr of [4, 256]) expect(p.pmdPfn(p.pmdMkhuge(p.pfnPmd(pfn(3 * nr), RW, nr)), nr)).toBe(3 * nr)
  })

  it('stay present when pmdp_invalidate() makes them unusable, and gup_fast leaves them alone then', () => {
    const live = p.pmdMkdirty(p.pmdMkhuge(p.pfnPmd(frame, RW, HUGE)))
    const invalid = p.pmdMkinvalid(live, HUGE)
    expect(invalid ^ live).toBe(0x20n)
    expect([p.pmdPresent(invalid), p.pmdTransHuge(invalid), p.pmdNone(invalid)]).toEqual([true, true, false])
    expect([p.pmdAccessPermitted(live, true), p.pmdAccessPermitted(invalid, false)]).toEqual([true, false])
    expect([w.isUsable(2, Number(live)), w.isUsable(2, Number(invalid)), w.isInvalidated(Number(invalid))]).toEqual([
      true,
      false,
      true,
    ])
  })

  it('point to tables of 2 KiB, and say of which level they are', () => {
    is(p.tableEntry(2, tableNr(0x5432800 / 2048)), 0x5432801n)
    is(p.tableEntry(3, tableNr(0x5434000 / 2048)), 0x5434007n)
    is(p.tableEntry(4, tableNr(0x5438000 / 2048)), 0x543800bn)
    is(p.tableEntry(5, tableNr(0x543c000 / 2048)), 0x543c00fn)
    for (const level of [2, 3, 4, 5] as const) {
      const entry = p.tableEntry(level, tableNr(0xa86))
      expect([p.tableType(entry), p.entryTable(entry), w.tableFrame(Number(entry))]).toEqual([level, 0xa86, 0xa86])
      expect(p.tableType(p.emptyEntry(level))).toBe(level)
    }
  })
})

describe('s390 swap words', () => {
  it('have a format for PTEs and one for segments', () => {
    is(s.makeSwapPte(3, 0x123456), 0x12345660cn)
    is(s.makeSwapPte(0, 0), 0x600n)
    is(s.makeSwapPte(27, 2 ** 52 - 1), 0xfffffffffffff66cn)
    is(s.makeWritableMigrationEntry(0x12345), 0x12345678n)
    is(s.makeReadableMigrationEntry(0x12345), 0x12345670n)
    is(s.swpToPmd(s.makeSwapPte(3, 0x123456)), 0x1234560f0n)
    is(s.swpToPmd(s.makeWritableMigrationEntry(0x40000)), 0x400007b0n)
  })

  it('convert to the same entry and back, and answer for both formats', () => {
    for (const make of [
      s.makeReadableMigrationEntry,
      s.makeReadableExclusiveMigrationEntry,
      s.makeWritableMigrationEntry,
    ])
      for (const marked of [
        make(0x40000),
        s.makeMigrationEntryYoung(make(0x40000)),
        s.makeMigrationEntryDirty(make(4)),
      ]) {
        const segment = s.swpToPmd(marked)
        is(s.pmdToSwp(segment), marked)
        expect([s.isSwapPte(marked), s.isSwapPmd(segment), p.pmdPresent(segment)]).toEqual([true, true, false])
        for (const ask of [s.swpType, s.swpOffsetPfn, s.isMigrationEntryYoung, s.isWritableMigrationEntry])
          expect(ask(segment)).toBe(ask(marked))
      }
  })

  it('are no migration entries when they are empty, present or a slot', () => {
    for (const word of [0x400n, 0x20n, 0x24n, 0x12345335n, 0x4000d701n, 0x5432801n, 0x12345660cn])
      expect(s.isMigrationEntry(pteWord(word)), word.toString(16)).toBe(false)
  })
})

describe('the rules for s390 entries', () => {
  const FRAMES = 2 ** 20
  const dirty = p.pteMkdirty(p.pfnPte(PFN, RW))
  const invalid = pteWord(dirty | p.PAGE_INVALID)
  const table = p.tableEntry(2, tableNr(8))

  it('accept what mainline stores, at each level', () => {
    for (const level of [1, 2, 3, 4, 5]) expect(illegalEntry(level, p.emptyEntry(level), FRAMES, HUGE)).toBeNull()
    for (const prot of [RW, RO, RWX, NONE])
      for (const make of [p.pteMkdirty, p.pteMkold, p.pteWrprotect, p.pteMkclean])
        expect(illegalEntry(1, make(p.pfnPte(PFN, prot)), FRAMES, HUGE)).toBeNull()
    for (const level of [2, 3, 4, 5] as const)
      expect(illegalEntry(level, p.tableEntry(level, tableNr(8)), FRAMES, HUGE)).toBeNull()
  })

  it('refuse words that the hardware would stop at', () => {
    expect(illegalEntry(1, pteWord(0n), FRAMES, HUGE)).toMatch(/neither empty nor present/)
    expect(illegalEntry(1, pteWord(dirty | p.PAGE_LARGE), FRAMES, HUGE)).toMatch(/translation-specification/)
    expect(illegalEntry(3, table, FRAMES, HUGE)).toMatch(/table type of another level/)
    expect(illegalEntry(2, p.tableEntry(3, tableNr(8)), FRAMES, HUGE)).toMatch(/table type of a region/)
  })

  it('refuse to change a valid entry in use by a store, but for what IPTE and RDP do', () => {
    expect(illegalInUse(1, dirty, invalid)).toBeNull()
    expect(illegalInUse(1, invalid, p.PTE_EMPTY)).toBeNull()
    expect(illegalInUse(1, dirty, p.PTE_EMPTY)).toMatch(/changed by a store/)
    expect(illegalInUse(1, p.pteMkclean(dirty), dirty)).toBeNull() // RDP
    expect(illegalInUse(1, dirty, p.pteMkclean(dirty))).toMatch(/changed by a store/)
    const huge = p.pmdMkdirty(p.pmdMkhuge(p.pfnPmd(pfn(256), RW, HUGE)))
    expect(illegalInUse(2, huge, p.pmdMkinvalid(huge, HUGE))).toBeNull()
    expect(illegalInUse(2, huge, table)).toMatch(/changed by a store/)
    expect(illegalChange(2, huge, table, HUGE)).toMatch(/without being invalidated first/)
  })

  it('let a table pointer go through invalid to empty, and to nothing else', () => {
    expect(illegalChange(2, table, pteWord(table | 0x20n), HUGE)).toBeNull()
    expect(illegalChange(2, table, p.PMD_EMPTY, HUGE)).toBeNull()
    expect(illegalChange(2, table, p.tableEntry(2, tableNr(9)), HUGE)).toMatch(/without being cleared first/)
  })
})
