/**
 * Entries of powerpc's radix tree with pages of 64 KiB: the values that the kernel's own functions give, and the marks
 * that a huge page bears while it is changed.
 */
import { describe, expect, it } from 'vitest'
import { powerpc } from '../../dist/src/isa/powerpc/arch.js'
import * as p from '../../dist/src/isa/powerpc/pte.js'
import * as s from '../../dist/src/isa/powerpc/swap.js'
import { brief, hugeFrame, isInvalidated, pteFrame, tableFrame } from '../../dist/src/isa/powerpc/word.js'
import { pfn, tableNr, virt, type PteWord } from '../../dist/src/base/units.js'
import { Level } from '../../dist/src/arch/level.js'
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from '../../dist/src/mm/mmStruct.js'

const hex = (word: bigint): string => `0x${word.toString(16)}`
const prot = p.vmGetPageProt
const RO = prot(VM_READ)
const SHARED = prot(VM_READ | VM_WRITE | VM_SHARED)
const page = p.pfnPte(pfn(0x1234), SHARED)
const huge = p.pfnPmd(pfn(0x4000), SHARED, 32)

describe('radix with pages of 64 KiB', () => {
  it('takes 0x00007f1234567000 apart as the manual does', () => {
    const [g, addr] = [powerpc.geometry, virt(0x7f1234567000)]
    expect([g.pgdIndex(addr), g.pudIndex(addr), g.pmdIndex(addr), g.pteIndex(addr)]).toEqual([0xfe, 0x48, 0x1a2, 0x16])
  })

  const values: [string, bigint, bigint][] = [
    ['shared', page, 0xc000000012340106n],
    ['dirty, with soft-dirty', p.pteMkdirty(page), 0xc000000012340386n],
    ['write-protected', p.pteWrprotect(p.pteMkdirty(page)), 0xc000000012340384n],
    ['read-only', p.pfnPte(pfn(0x1234), RO), 0xc000000012340104n],
    ['of no access', p.pfnPte(pfn(0x1234), prot(0)), 0xc000000012340100n],
    ['executable', p.pfnPte(pfn(0x1234), prot(VM_READ | VM_WRITE | VM_EXEC | VM_SHARED)), 0xc000000012340107n],
    ['special', p.pteMkspecial(p.pfnPte(pfn(0x1234), RO)), 0xc000000012340504n],
    ['swapped', s.makeSwapPte(3, 0x123456), 0x4000001234560003n],
    ['swapped, last of all', s.makeSwapPte(23, 2 ** 37 - 1), 0x401fffffffff0017n],
    ['migrating', s.makeWritableMigrationEntry(0x1234), 0x400000001234001bn],
    ['huge, at 1 GiB', huge, 0xc000000040000106n],
    ['huge, invalidated', p.pmdMkinvalid(huge, 32), 0x6000000040000106n],
    ['for the PTE table at 0x5432000', p.tableEntry(Level.pmd, tableNr(0x54320)), 0x8000000005432005n],
    ['for the PMD table at 0x5434000', p.tableEntry(Level.pud, tableNr(0x54340)), 0x8000000005434009n],
  ]
  it.each(values)('an entry %s', (_name, word, expected) => {
    expect(hex(word)).toBe(hex(expected))
  })

  it('gives back what was put in', () => {
    for (const frame of [0, 1, 0x1234, 0xffff, 2 ** 37 - 1]) {
      expect(p.ptePfn(p.pfnPte(pfn(frame), SHARED))).toBe(frame)
      expect(s.swpOffset(s.makeSwapPte(5, frame))).toBe(frame)
    }
    expect(p.entryTable(0x8000000005432005n as PteWord)).toBe(0x54320)
  })

  it('tells bookkeeping what it maps', () => {
    expect([pteFrame(brief(page)), hugeFrame(brief(huge), 32), tableFrame(brief(0x8000000005432005n))]).toEqual([
      0x1234, 0x4000, 0x54320,
    ])
    expect([isInvalidated(brief(p.pmdMkinvalid(huge, 32))), isInvalidated(brief(huge))]).toEqual([true, false])
    expect(pteFrame(brief(s.makeWritableMigrationEntry(0x1234)))).toBe(-1)
  })
})
