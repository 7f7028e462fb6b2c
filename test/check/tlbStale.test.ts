import { beforeEach, describe, it } from 'vitest'
import { TLB_WRITE } from '../../dist/src/machine/cpu/tlb.js'
import { poke32 } from '../../dist/src/machine/image/image.js'
import { pmdMkinvalid } from '../../dist/src/isa/x86_64/pte.js'
import { Level } from '../../dist/src/arch/level.js'
import { MM, VM_READ, VM_WRITE } from '../../dist/src/mm/mmStruct.js'
import { expectFinding, HUGE, HUGE_SIZE, hugeWritable, Lab, PAGE_SIZE, writable } from './lab.js'

describe('tlb-stale', () => {
  let lab: Lab
  beforeEach(() => (lab = new Lab()))

  /** CPU 1 translates page `vpn` to `pfn` from now on. */
  const fill = (vpn: number, pfn: number, pages = 1, flags = TLB_WRITE) =>
    lab.tlb(1).fill(vpn, pfn, pages, flags, lab.cpu.clock, lab.mm)

  describe('when a page is freed', () => {
    it('reports a TLB of another CPU that translates to it', () => {
      const page = lab.anonPage()
      fill(1, page)
      expectFinding('tlb-stale', 'freed while a TLB', () => lab.free(page))
    })

    it('is silent when the translation was flushed, or its slot was taken by another', () => {
      const [first, second] = [lab.anonPage(), lab.anonPage()]
      fill(1, first)
      fill(1 + 4, second)
      lab.free(first)
      lab.tlb(1).flushRange(lab.mm, 5, 6)
      lab.free(second)
    })

    it('counts a huge translation for each of its pages', () => {
      const folio = lab.anonPage(2)
      fill(HUGE, folio, HUGE)
      expectFinding('tlb-stale', 'freed while a TLB', () => lab.free(folio + 3))
    })

    it('takes note of translations that another CPU drops by broadcast', () => {
      const page = lab.anonPage()
      fill(1, page)
      lab.kernel.tlbs[1]?.flushRange(lab.mm, 0, 8)
      lab.free(page)
    })
  })

  describe('when a call returns', () => {
    const returns = (kind: 'unmap' | 'discard' | 'protect', stamp: number, end = HUGE_SIZE) =>
      lab.observer.callReturns(lab.cpu, kind, lab.mm, 0, end, stamp)

    it('reports a translation of an unmapped range that is older than the call', () => {
      fill(1, lab.anonPage())
      const stamp = lab.observer.callBegins(lab.cpu)
      expectFinding('tlb-stale', 'after unmapping', () => returns('unmap', stamp))
    })

    it('is silent about translations of other ranges, of other mms, and from after the beginning', () => {
      lab.tlb(1).fill(1, lab.anonPage(), 1, 0, lab.cpu.clock, lab.mm + MM.size)
      fill(HUGE + 2, lab.anonPage())
      const stamp = lab.observer.callBegins(lab.cpu)
      fill(3, lab.anonPage())
      returns('unmap', stamp)
    })

    it('reports after MADV_DONTNEED only what leads to contents from before the call', () => {
      const table = lab.linkTable(0)
      const [old, young] = [lab.anonPage(), lab.anonPage()]
      lab.map(table, 1, old)
      const before = lab.cpu.clock
      const stamp = lab.observer.callBegins(lab.cpu)
      lab.unmap(table, 1)
      lab.map(table, 2, young)
      lab.tlb(1).fill(2, young, 1, 0, before, lab.mm)
      returns('discard', stamp)
      lab.tlb(1).fill(1, old, 1, 0, before, lab.mm)
      expectFinding('tlb-stale', 'after MADV_DONTNEED', () => returns('discard', stamp))
    })

    it('reports after mprotect only what allows more than the VMA', () => {
      lab.addVma(0, HUGE_SIZE, VM_READ)
      fill(1, lab.anonPage(), 1, 0)
      const stamp = lab.observer.callBegins(lab.cpu)
      returns('protect', stamp)
      lab.tlb(1).fill(2, lab.anonPage(), 1, TLB_WRITE, stamp - 1, lab.mm)
      expectFinding('tlb-stale', 'after mprotect', () => returns('protect', stamp))
      lab.addVma(0, HUGE_SIZE, VM_READ | VM_WRITE)
      returns('protect', stamp)
      lab.addVma(0, HUGE_SIZE, 0)
      expectFinding('tlb-stale', 'after mprotect', () => returns('protect', stamp))
    })
  })

  describe('when an entry changes', () => {
    it('reports a page that replaces another one that a TLB still has', () => {
      const table = lab.linkTable(0)
      const [first, second] = [lab.anonPage(), lab.anonPage()]
      lab.map(table, 1, first)
      fill(1, first)
      lab.unmap(table, 1)
      expectFinding('tlb-stale', 'replaced', () => lab.map(table, 1, second))
    })

    it('is silent when the TLB was flushed, the page is the same, or a flush is under way', () => {
      const table = lab.linkTable(0)
      const [first, second] = [lab.anonPage(), lab.anonPage()]
      lab.map(table, 1, first)
      fill(1, first)
      lab.unmap(table, 1)
      lab.map(table, 1, first)
      lab.unmap(table, 1)
      poke32(lab.mm + MM.at.tlbFlushPending, 1)
      lab.map(table, 1, second)
      poke32(lab.mm + MM.at.tlbFlushPending, 0)
      lab.tlb(1).flushRange(lab.mm, 1, 2)
      lab.unmap(table, 1)
      lab.map(table, 1, first)
    })

    it('reports a table that replaces a huge entry of which a TLB still has the translation', () => {
      const folio = lab.anonPage(2)
      const [table, huge] = [lab.table(Level.pte), hugeWritable(folio)]
      lab.set(Level.pmd, lab.pmdp(1), huge, HUGE_SIZE)
      fill(HUGE, folio, HUGE)
      lab.set(Level.pmd, lab.pmdp(1), pmdMkinvalid(huge, HUGE), HUGE_SIZE)
      lab.map(table, 0, folio)
      expectFinding('tlb-stale', 'multi-hit', () => lab.linkTable(1, table))
    })

    it('reports a huge entry over pages that a TLB has one by one', () => {
      const [page, folio] = [lab.anonPage(), lab.anonPage(2)]
      fill(HUGE + 1, page)
      expectFinding('tlb-stale', 'multi-hit', () =>
        lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE + PAGE_SIZE),
      )
    })

    it('is silent about other ranges and after a flush', () => {
      const folio = lab.anonPage(2)
      const [table, huge] = [lab.table(Level.pte), hugeWritable(folio)]
      fill(2, lab.anonPage())
      lab.set(Level.pmd, lab.pmdp(1), huge, HUGE_SIZE)
      fill(HUGE, folio, HUGE)
      lab.set(Level.pmd, lab.pmdp(1), pmdMkinvalid(huge, HUGE), HUGE_SIZE)
      lab.tlb(1).flushRange(lab.mm, HUGE, 2 * HUGE)
      for (let i = 0; i < HUGE; i++)
        lab.set(Level.pte, lab.ptep(table, i), writable(folio + i), HUGE_SIZE + i * PAGE_SIZE)
      lab.linkTable(1, table)
    })
  })
})
