import { describe, expect, it } from 'vitest'
import { PAGE_NONE, pmdLeaf, pmdProtnone, pteNone, pteSpecial, pteWrite } from '../../dist/src/isa/x86_64/pte.js'
import type { PhysAddr } from '../../dist/src/base/units.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { FOLL_GET, FOLL_PIN, FOLL_WRITE } from '../../dist/src/mm/gupFast.js'
import { MADV_DONTNEED } from '../../dist/src/mm/madvise.js'
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../dist/src/mm/mremap.js'
import { GEOMETRIES, Process, RO, RW } from './process.js'

//  page  0        nr       2nr      3nr      4nr
//        ├── first huge ──┼── second huge ──┤
//        one mapping, aligned; nr is the number of base pages in a huge page
describe.each(GEOMETRIES)('a huge page, %s', (_, config) => {
  const nr = 1 << config.indexBits

  function mapped(): Process {
    const p = new Process(config, { thp: 'always' })
    p.mmap(0, 4 * nr)
    return p
  }

  const pmdOf = (p: Process, page: number): PhysAddr => drive(p.k.upper.mmFindPmd(p.mm, p.at(page)))
  const splitPmd = (p: Process, page: number): void =>
    drive(p.k.splitHugePmd.splitHugePmd(p.vmaAt(page), pmdOf(p, page), p.at(page), false, 0))

  /** Takes a reference or pin on one page; returns its frame. */
  function take(p: Process, page: number, flags: number): number {
    const pages = new Int32Array(1)
    expect(drive(p.k.gupFast.getUserPagesFast(p.at(page), 1, flags, pages))).toBe(1)
    return pages[0] as number
  }

  it('is mapped by the first store, all zeroes but for that, and counted with its deposited table', () => {
    const p = mapped()
    p.write(nr + 1, 7)
    expect(pmdLeaf(p.entry(nr))).toBe(true)
    expect(p.frameOf(nr) % nr).toBe(0)
    expect([p.read(nr), p.read(nr + 1), p.read(2 * nr - 1)]).toEqual([0, 7, 0])
    expect([p.counter('rssAnon'), p.counter('nrPtes')]).toEqual([nr, 1])
    expect(pteNone(p.entry(0))).toBe(true)
  })

  it('is not mapped where it would reach beyond its VMA', () => {
    const p = new Process(config, { thp: 'always' })
    p.mmap(1, nr)
    p.write(1)
    expect([pmdLeaf(p.entry(1)), p.counter('rssAnon')]).toEqual([false, 1])
  })

  it('is the shared zero page for loads, without counts, until a store takes one base page out of it', () => {
    const p = mapped()
    expect(p.read(1)).toBe(0)
    expect(p.k.pages.isHugeZeroPfn(p.frameOf(0))).toBe(true)
    expect(p.counter('rssAnon')).toBe(0)
    p.write(1, 5)
    expect([pteSpecial(p.entry(0)), pteWrite(p.entry(1))]).toEqual([true, true])
    expect([p.read(0), p.read(1), p.counter('rssAnon'), p.counter('nrPtes')]).toEqual([0, 5, 1, 1])
  })

  it('goes back as a whole, table and all', () => {
    const p = mapped()
    p.write(0)
    p.madvise(0, nr, MADV_DONTNEED)
    const free = p.freeFrames()
    p.write(0, 3)
    expect(p.freeFrames()).toBe(free - nr - 1)
    p.madvise(0, nr, MADV_DONTNEED)
    expect([p.freeFrames(), p.counter('rssAnon'), p.counter('nrPtes')]).toEqual([free, 0, 0])
    expect(p.read(0)).toBe(0)
  })

  describe('split into a table', () => {
    it('keeps frames, contents, rights and counts', () => {
      const p = mapped()
      for (let i = 0; i < nr; i++) p.write(i, i + 1)
      const first = p.frameOf(0)
      const free = p.freeFrames()
      splitPmd(p, 0)
      for (let i = 0; i < nr; i++) {
        expect(p.frameOf(i)).toBe(first + i)
        expect(pteWrite(p.entry(i))).toBe(true)
        expect(p.read(i)).toBe(i + 1)
      }
      expect([p.freeFrames(), p.counter('rssAnon'), p.counter('nrPtes')]).toEqual([free, nr, 1])
      expect(drive(p.k.folios.folioRefCount(p.k.memmap.page(first)))).toBe(nr)
    })

    it('gives up single pages, and the folio with the last of them', () => {
      const p = mapped()
      p.madvise(0, 2 * nr, MADV_DONTNEED)
      p.write(0)
      splitPmd(p, 0)
      const free = p.freeFrames()
      for (let i = 0; i < nr - 1; i++) p.madvise(i, 1, MADV_DONTNEED)
      expect(p.freeFrames()).toBe(free)
      p.madvise(nr - 1, 1, MADV_DONTNEED)
      expect(p.freeFrames()).toBe(free + nr)
    })

    it('does nothing to a range that is not huge', () => {
      const p = mapped()
      p.write(0)
      splitPmd(p, 0)
      const entry = p.entry(1)
      splitPmd(p, 0)
      expect(p.entry(1)).toBe(entry)
    })

    it('happens when a part of it is unmapped or protected', () => {
      const p = mapped()
      p.write(0, 9)
      p.write(nr, 9)
      p.munmap(1, 1)
      p.mprotect(nr, 1, RO)
      expect([p.read(0), p.read(1), p.write(nr), p.write(nr + 1)]).toEqual([9, 'SIGSEGV', 'SIGSEGV', 'ok'])
    })
  })

  it('is shared read-only by fork, and copied page by page when one of the two writes', () => {
    const p = mapped()
    p.write(0, 1)
    p.write(1, 2)
    const child = p.fork()
    expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0)), pmdLeaf(p.entry(0, child))]).toEqual([true, false, true])
    p.write(0, 10)
    expect(p.frameOf(0)).not.toBe(p.frameOf(0, child))
    expect(p.frameOf(1)).toBe(p.frameOf(1, child))
    p.become(child)
    expect([p.read(0), p.read(1)]).toEqual([1, 2])
  })

  it('belongs to the last owner again, whole and writable, when the other one is gone', () => {
    const p = mapped()
    p.write(0, 4)
    p.exit(p.fork())
    expect(pteWrite(p.entry(0))).toBe(false)
    p.write(0, 5)
    expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0)), p.read(0)]).toEqual([true, true, 5])
  })

  it('stays with the parent that pinned it: the child gets a copy', () => {
    const p = mapped()
    p.write(0, 6)
    const pinned = take(p, 0, FOLL_PIN | FOLL_WRITE)
    const child = p.fork()
    expect([p.frameOf(0), p.frameOf(0, child) !== pinned]).toEqual([pinned, true])
    p.write(0, 7)
    expect(p.frameOf(0)).toBe(pinned)
    p.become(child)
    expect(p.read(0)).toBe(6)
    drive(p.k.gup.release(pinned, FOLL_PIN))
  })

  it('moves with mremap, with its table, to another table of PMDs', () => {
    const p = mapped()
    p.write(0, 8)
    const frame = p.frameOf(0)
    const to = nr * nr * 2
    expect(p.mremap(0, nr, nr, MREMAP_MAYMOVE | MREMAP_FIXED, to)).toBe(to)
    expect([pmdLeaf(p.entry(to)), p.frameOf(to), p.read(to), p.read(0)]).toEqual([true, frame, 8, 'SIGSEGV'])
    splitPmd(p, to)
    expect([p.frameOf(to + 1), p.counter('nrPtes')]).toEqual([frame + 1, 1])
  })

  it('loses and regains write access as a whole', () => {
    const p = mapped()
    p.write(0, 1)
    p.mprotect(0, 4 * nr, RO)
    expect([p.write(0), p.read(0)]).toEqual(['SIGSEGV', 1])
    p.mprotect(0, 4 * nr, RW)
    expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0))]).toEqual([true, true])
  })

  it('faults once after a NUMA hint and is as it was', () => {
    const p = mapped()
    p.write(0, 3)
    const before = p.entry(0)
    drive(p.k.huge.changeHugePmd(p.vmaAt(0), pmdOf(p, 0), p.at(0), PAGE_NONE, true))
    drive(p.k.tlbFlush.flushTlbMm(p.mm))
    expect(pmdProtnone(p.entry(0))).toBe(true)
    expect([p.read(0), p.frameOf(0), pteWrite(p.entry(0))]).toEqual([3, p.frameOf(0), pteWrite(before)])
  })

  it('is referenced once for each page that gup returns of it', () => {
    const p = mapped()
    p.write(0)
    const head = p.k.memmap.page(p.frameOf(0))
    const frame = take(p, nr - 1, FOLL_GET)
    expect([frame, drive(p.k.folios.folioRefCount(head))]).toEqual([p.frameOf(nr - 1), 2])
    drive(p.k.gup.release(frame, FOLL_GET))
    expect(drive(p.k.folios.folioRefCount(head))).toBe(1)
  })
})

describe('deposited tables', () => {
  it('come back newest first, then the others from the oldest on', () => {
    const p = new Process(GEOMETRIES[0][1], { thp: 'always' })
    p.mmap(0, 8)
    p.write(0)
    const pmdp = drive(p.k.upper.mmFindPmd(p.mm, p.at(0)))
    const tables = Array.from({ length: 3 }, () => drive(p.k.pgalloc.pteAllocOne(p.mm)))
    drive(p.k.tables.pmdLock(pmdp))
    const own = drive(p.k.pgalloc.pgtableTransHugeWithdraw(p.mm, pmdp))
    for (const table of tables) drive(p.k.pgalloc.pgtableTransHugeDeposit(p.mm, pmdp, table))
    const back = tables.map(() => drive(p.k.pgalloc.pgtableTransHugeWithdraw(p.mm, pmdp)))
    drive(p.k.pgalloc.pgtableTransHugeDeposit(p.mm, pmdp, own))
    drive(p.k.tables.pmdUnlock(pmdp))
    expect(back).toEqual([tables[2], tables[0], tables[1]])
  })
})
