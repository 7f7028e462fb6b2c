import { beforeEach, describe, expect, it } from 'vitest'
import { tableNr, type PteWord } from '../../dist/src/base/units.js'
import { pmdMkinvalid, tableEntry } from '../../dist/src/isa/x86_64/pte.js'
import { CPU_AREA } from '../../dist/src/machine/cpu/area.js'
import { peek64, poke32, poke64 } from '../../dist/src/machine/image/image.js'
import { Level } from '../../dist/src/arch/level.js'
import { FrameKind } from '../../dist/src/arch/observer.js'
import { OPS } from '../../dist/src/program/op.js'
import { expectFinding, HUGE, hugeWritable, Lab, writable } from './lab.js'

describe('frame-state', () => {
  let lab: Lab
  beforeEach(() => (lab = new Lab()))

  describe('of pages', () => {
    it('is silent while a page is allocated, used, freed and allocated again', () => {
      const { observer, cpu } = lab
      const page = lab.anonPage()
      observer.kernelAccessed(cpu, page, true)
      observer.userAccessed(cpu, lab.mm, 0, page, 0, true, 0)
      lab.free(page)
      observer.pagesAllocated(cpu, page, 0, FrameKind.data)
      observer.kernelAccessed(cpu, page, false)
    })

    it('reports the access of a user or of the kernel to a page that was freed', () => {
      const { observer, cpu } = lab
      const page = lab.anonPage()
      lab.free(page)
      expectFinding('frame-state', 'KASAN: use-after-free', () => observer.kernelAccessed(cpu, page, false))
      expectFinding('frame-state', 'KASAN: use-after-free', () =>
        observer.userAccessed(cpu, lab.mm, 0, page, 0, false, 0),
      )
    })

    it('reports user accesses that reach a page table', () => {
      const table = lab.table(Level.pte)
      expectFinding('frame-state', 'use-after-free', () =>
        lab.observer.userAccessed(lab.cpu, lab.mm, 0, table, 0, true, 0),
      )
    })

    it('reports a double free', () => {
      const page = lab.anonPage()
      lab.free(page)
      expectFinding('frame-state', 'KASAN: double-free', () => lab.free(page))
    })

    it('reports a free of a page that was never given out', () => {
      expectFinding('frame-state', 'double-free', () => lab.free(60))
      expectFinding('frame-state', 'reserved page', () => lab.free(lab.kernel.pages.zeroPfn))
    })

    it('reports a page that the allocator gives out twice', () => {
      const page = lab.anonPage()
      expectFinding('frame-state', 'allocated twice', () =>
        lab.observer.pagesAllocated(lab.cpu, page, 0, FrameKind.data),
      )
    })

    it('reports a page that is freed while an entry maps it, by itself or as a part of a huge page', () => {
      const table = lab.linkTable(0)
      const page = lab.anonPage()
      lab.map(table, 1, page)
      expectFinding('frame-state', 'still maps the page', () => lab.free(page))
    })

    it('lets others drop and free a split folio as soon as the table is there, before the splitter is told of it', () => {
      const folio = lab.anonPage(2)
      lab.set(Level.pmd, lab.pmdp(0), hugeWritable(folio))
      lab.set(Level.pmd, lab.pmdp(0), pmdMkinvalid(hugeWritable(folio) as PteWord, HUGE))
      const table = lab.table(Level.pte)
      for (let i = 0; i < HUGE; i++) lab.map(table, i, folio + i)
      const [before, word] = [peek64(lab.pmdp(0)), tableEntry(Level.pmd, tableNr(table))]
      lab.observer.entryChanging(lab.cpu, Level.pmd, lab.mm, 0, lab.pmdp(0), word)
      poke64(lab.pmdp(0), word)
      for (let i = 0; i < HUGE; i++) lab.unmap(table, i)
      lab.free(folio, 2)
      lab.observer.entryChanged(lab.cpu, Level.pmd, lab.mm, 0, lab.pmdp(0), before, word)
    })

    it('names the CPUs, operations and times of allocation and free', () => {
      poke32(lab.cpu.area + CPU_AREA.at.opIndex, 7)
      poke32(lab.cpu.area + CPU_AREA.at.opKind, OPS.indexOf('madvise'))
      const page = lab.anonPage()
      poke32(lab.cpu.area + CPU_AREA.at.opIndex, 8)
      lab.free(page)
      const { details, address } = expectFinding('frame-state', 'double-free', () => lab.free(page))
      expect(address).toBe(lab.page(page))
      expect(details).toEqual([
        expect.stringMatching(new RegExp(`^frame 0x${page.toString(16)} is free, generation 1$`)),
        expect.stringMatching(/^allocated by CPU 0 in operation 7 \(madvise\), clock \d+$/),
        expect.stringMatching(/^freed by CPU 0 in operation 8 \(madvise\), clock \d+$/),
      ])
    })
  })

  describe('of page tables', () => {
    it('lets an unlinked table be read until it is freed', () => {
      const table = lab.linkTable(0)
      const read = () => lab.observer.tableRead(lab.cpu, Level.pte, lab.ptep(table, 1))
      read()
      lab.set(Level.pmd, lab.pmdp(0), 0n)
      read()
      lab.free(table)
      expectFinding('frame-state', 'KASAN: use-after-free: the page table is gone', read)
    })

    it('reports the hardware walker in a table that was freed and reused', () => {
      const table = lab.linkTable(0)
      lab.set(Level.pmd, lab.pmdp(0), 0n)
      lab.free(table)
      lab.observer.pagesAllocated(lab.cpu, table, 0, FrameKind.data)
      expectFinding('frame-state', 'the page table is gone', () =>
        lab.observer.tableWalked(lab.cpu, Level.pte, lab.ptep(table, 0)),
      )
    })

    it('reports a walker in a deposited table', () => {
      const table = lab.table(Level.pte)
      lab.deposit(table)
      expectFinding('frame-state', 'deposited', () => lab.observer.tableRead(lab.cpu, Level.pte, lab.ptep(table, 0)))
      lab.deposit(table, false)
      lab.observer.tableRead(lab.cpu, Level.pte, lab.ptep(table, 0))
    })

    it('reports a table that is read as one of another level, and reads outside of memory', () => {
      expectFinding('frame-state', 'another level', () => lab.observer.tableRead(lab.cpu, Level.pte, lab.pmdp(0)))
      expectFinding('frame-state', 'wild-memory-access', () => lab.observer.tableRead(lab.cpu, Level.pgd, 8))
    })

    it('reports a store into a table that was freed', () => {
      const table = lab.linkTable(0)
      const page = lab.anonPage()
      lab.set(Level.pmd, lab.pmdp(0), 0n)
      lab.free(table)
      expectFinding('frame-state', 'the page table is gone', () => lab.map(table, 0, page))
    })

    it('reports a table freed while it is linked, deposited or not empty', () => {
      const linked = lab.linkTable(0)
      expectFinding('frame-state', 'freed while it is linked', () => lab.free(linked))
      const deposited = lab.table(Level.pte)
      lab.deposit(deposited)
      expectFinding('frame-state', 'freed while it is deposited', () => lab.free(deposited))
      const full = lab.table(Level.pte)
      poke64(lab.ptep(full, 3), writable(lab.anonPage()))
      expectFinding('frame-state', 'freed with entries in it', () => lab.free(full))
    })

    it('reports a deposit of a table that is linked or not empty, and a withdrawal of what was not deposited', () => {
      const linked = lab.linkTable(0)
      expectFinding('frame-state', 'deposit of a linked', () => lab.deposit(linked))
      const full = lab.table(Level.pte)
      poke64(lab.ptep(full, 0), 0x67n)
      expectFinding('frame-state', 'not empty', () => lab.deposit(full))
      expectFinding('frame-state', 'not deposited', () => lab.deposit(lab.table(Level.pte), false))
    })

    it('reports a link to what is no table of the level below, or to a table that is linked already', () => {
      const page = lab.anonPage()
      expectFinding('frame-state', 'no free-standing PTE table', () => lab.linkTable(0, page))
      expectFinding('frame-state', 'no free-standing PTE table', () => lab.linkTable(0, lab.table(Level.pmd)))
      const table = lab.linkTable(1)
      expectFinding('frame-state', 'linked twice', () => lab.linkTable(2, table))
    })

    it('lets walkers stay in a table that was given back, as long as it reads as empty (T3)', () => {
      const table = lab.linkTable(0)
      const read = () => lab.observer.tableRead(lab.cpu, Level.pte, lab.ptep(table, 1))
      lab.set(Level.pmd, lab.pmdp(0), 0n)
      lab.observer.tableFreed(lab.cpu, table)
      read()
      poke64(lab.ptep(table, 1), 0x1000n)
      expectFinding('frame-state', 'no longer reads as empty', read)
    })

    it('reports a table that is given back twice or handed out twice, and a page freed around one in use', () => {
      const { observer, cpu } = lab
      const table = lab.table(Level.pte)
      expectFinding('frame-state', 'handed out twice', () => observer.tableCreated(cpu, table, Level.pte, 0))
      expectFinding('frame-state', 'a page table in it is in use', () =>
        observer.pagesFreed(cpu, lab.table(Level.pte), 0),
      )
      observer.tableFreed(cpu, table)
      expectFinding('frame-state', 'double-free of a page table', () => observer.tableFreed(cpu, table))
      observer.tableCreated(cpu, table, Level.pte, 0)
    })

    it('lets a table be unlinked and linked again elsewhere', () => {
      const table = lab.linkTable(1)
      lab.set(Level.pmd, lab.pmdp(1), 0n)
      lab.set(Level.pmd, lab.pmdp(2), tableEntry(Level.pmd, tableNr(table)))
    })
  })
})
