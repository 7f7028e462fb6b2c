import { beforeEach, describe, expect, it } from 'vitest'
import type { Pfn } from '../../dist/src/base/units.js'
import { pmdMkinvalid } from '../../dist/src/isa/x86_64/pte.js'
import { makeWritableMigrationEntry } from '../../dist/src/isa/x86_64/swap.js'
import { Level } from '../../dist/src/arch/level.js'
import { FrameKind } from '../../dist/src/arch/observer.js'
import { expectFinding, HUGE, HUGE_SIZE, hugeWritable, Lab, PAGE_SIZE, writable } from './lab.js'

const NOT_MAPPED = 'no longer mapped'

describe('gup-identity', () => {
  let lab: Lab
  let table: Pfn
  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
  })

  /** An anonymous page mapped at page 1. */
  const mapped = (): number => {
    const page = lab.anonPage()
    lab.map(table, 1, page)
    return page
  }

  it('is silent about a page that is mapped all the time', () => {
    lab.gup(mapped(), PAGE_SIZE)
  })

  it('is silent about a page that was unmapped after the reference was taken', () => {
    lab.gup(mapped(), PAGE_SIZE, { after: () => lab.unmap(table, 1) })
  })

  it('reports a page that was unmapped before the reference was taken', () => {
    const page = mapped()
    expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(page, PAGE_SIZE, { before: () => lab.unmap(table, 1) }))
  })

  it('takes a migration entry for no mapping, and is silent when the page was put back', () => {
    const page = mapped()
    const migrate = () => lab.map(table, 1, 0, makeWritableMigrationEntry(page))
    expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(page, PAGE_SIZE, { before: migrate }))
    lab.map(table, 1, page)
    lab.gup(page, PAGE_SIZE)
  })

  it('reports a page of a table that was unlinked before, though its entry is still there (BUG-02)', () => {
    const page = mapped()
    const unlink = () => lab.set(Level.pmd, lab.pmdp(0), 0n)
    lab.gup(page, PAGE_SIZE, { after: unlink })
    expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(page, PAGE_SIZE))
    lab.linkTable(0, table)
    lab.gup(page, PAGE_SIZE)
  })

  it('does not count entries that are written to a table before it is linked', () => {
    const [page, spare] = [lab.anonPage(), lab.table(Level.pte)]
    lab.map(spare, 1, page)
    expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(page, PAGE_SIZE))
  })

  it('reports a frame that was freed and given to somebody who has not mapped it', () => {
    const page = mapped()
    const reuse = () => {
      lab.unmap(table, 1)
      lab.free(page)
      lab.observer.pagesAllocated(lab.cpu, page, 0, FrameKind.data)
    }
    expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(page, PAGE_SIZE, { after: reuse }))
  })

  it('reports a frame that is free or a page table', () => {
    const page = lab.anonPage()
    lab.free(page)
    expectFinding('gup-identity', 'not in use', () => lab.gup(page, PAGE_SIZE))
    expectFinding('gup-identity', 'not in use', () => lab.gup(table, PAGE_SIZE))
  })

  it('is silent about the zero page', () => {
    lab.gup(lab.kernel.pages.zeroPfn, PAGE_SIZE)
  })

  describe('of huge pages', () => {
    it('counts each page as mapped, also while the entry is invalidated', () => {
      const folio = lab.anonPage(2)
      lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
      lab.gup(folio + 3, HUGE_SIZE + 3 * PAGE_SIZE)
      lab.set(Level.pmd, lab.pmdp(1), pmdMkinvalid(hugeWritable(folio), HUGE), HUGE_SIZE)
      lab.gup(folio + 2, HUGE_SIZE + 2 * PAGE_SIZE)
    })

    it('follows the pages through a split of the entry', () => {
      const [folio, below] = [lab.anonPage(2), lab.table(Level.pte)]
      lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
      for (let i = 0; i < HUGE; i++)
        lab.set(Level.pte, lab.ptep(below, i), writable(folio + i), HUGE_SIZE + i * PAGE_SIZE)
      const invalid = pmdMkinvalid(hugeWritable(folio), HUGE)
      lab.set(Level.pmd, lab.pmdp(1), invalid, HUGE_SIZE)
      lab.linkTable(1, below)
      lab.gup(folio + 1, HUGE_SIZE + PAGE_SIZE)
      lab.set(Level.pte, lab.ptep(below, 1), 0n, HUGE_SIZE + PAGE_SIZE)
      expectFinding('gup-identity', NOT_MAPPED, () => lab.gup(folio + 1, HUGE_SIZE + PAGE_SIZE))
      lab.gup(folio + 2, HUGE_SIZE + 2 * PAGE_SIZE)
    })

    it('reports the wrong page of a huge page', () => {
      const folio = lab.anonPage(2)
      lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
      expectFinding('gup-identity', 'another address', () => lab.gup(folio + 1, HUGE_SIZE + 2 * PAGE_SIZE))
    })
  })

  describe('of addresses', () => {
    it('reports a page whose only mapping is elsewhere', () => {
      const page = mapped()
      const { details } = expectFinding('gup-identity', 'another address', () => lab.gup(page, 2 * PAGE_SIZE))
      expect(details[0]).toContain('0x2000')
    })

    it('is silent when the page was moved after the reference was taken', () => {
      const page = mapped()
      const move = () => {
        lab.unmap(table, 1)
        lab.map(table, 2, page)
      }
      lab.gup(page, PAGE_SIZE, { after: move })
      lab.gup(page, 2 * PAGE_SIZE)
      expectFinding('gup-identity', 'another address', () => lab.gup(page, PAGE_SIZE))
    })

    it('draws no conclusion about a page that was ever shared, whichever mapping went first', () => {
      const page = mapped()
      lab.map(table, 2, page)
      lab.unmap(table, 2)
      lab.gup(page, 3 * PAGE_SIZE)
    })

    it('keeps the place of a mapping whose rights change', () => {
      const page = mapped()
      lab.map(table, 1, page, writable(page) & ~2n)
      lab.gup(page, PAGE_SIZE)
      expectFinding('gup-identity', 'another address', () => lab.gup(page, 0))
    })
  })
})
