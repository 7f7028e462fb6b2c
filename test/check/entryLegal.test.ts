import { beforeEach, describe, expect, it } from 'vitest'
import { PAGE_NONE, pfnPte, pteMkwrite } from '../../dist/src/isa/x86_64/pte.js'
import { makeWritableMigrationEntry } from '../../dist/src/isa/x86_64/swap.js'
import { Level } from '../../dist/src/arch/level.js'
import { expectFinding, HUGE_SIZE, hugeWritable, Lab, writable } from './lab.js'

describe('entry-legal', () => {
  let lab: Lab
  let table: number
  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
  })

  it('is silent about pages, the zero page, migration entries and empty entries', () => {
    const page = lab.anonPage()
    lab.map(table, 0, page)
    lab.map(table, 0, page, makeWritableMigrationEntry(page))
    lab.unmap(table, 0)
    lab.map(table, 0, 0, writable(lab.kernel.pages.zeroPfn) & ~2n)
  })

  it('reports a word that no entry of the level can be, with both words', () => {
    const page = lab.anonPage()
    const { details } = expectFinding('entry-legal', 'illegal pte', () => lab.map(table, 0, 0, writable(page) | 0x80n))
    expect(details.slice(0, 2)).toEqual(['PSE set in a pte', expect.stringMatching(/: 0x0 → 0x80000000000/)])
  })

  it('lets a writable page come back from migration to a VMA that just became PROT_NONE, and nothing else', () => {
    const page = lab.anonPage()
    const word = pteMkwrite(pfnPte(page, PAGE_NONE))
    lab.map(table, 0, page, makeWritableMigrationEntry(page))
    lab.map(table, 0, page, word)
    expectFinding('entry-legal', 'illegal pte', () => lab.map(table, 1, page, word))
  })

  it('reports a change that the hardware forbids', () => {
    const folio = lab.anonPage(2)
    lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
    const { details } = expectFinding('entry-legal', 'illegal pmd', () => lab.linkTable(1))
    expect(details[0]).toBe('a usable huge leaf replaced by a table without being invalidated first')
  })

  it('reports a leaf or migration entry that names a frame which is free or a table', () => {
    expectFinding('entry-legal', 'illegal pte', () => lab.map(table, 0, 60))
    expectFinding('entry-legal', 'illegal pte', () => lab.map(table, 1, lab.pmd))
    expectFinding('entry-legal', 'illegal pte', () => lab.map(table, 2, 60, makeWritableMigrationEntry(60)))
    expectFinding('entry-legal', 'illegal pmd', () => lab.set(Level.pmd, lab.pmdp(1), hugeWritable(60), HUGE_SIZE))
  })
})
