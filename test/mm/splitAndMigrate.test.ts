import { describe, expect, it } from 'vitest'
import { pmdLeaf, pteWrite } from '../../dist/src/isa/x86_64/pte.js'
import { isMigrationEntry } from '../../dist/src/isa/x86_64/swap.js'
import { FAULT } from '../../dist/src/arch/generic/mmu.js'
import type { Pfn, PhysAddr, PteWord } from '../../dist/src/base/units.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { peek64 } from '../../dist/src/machine/image/image.js'
import { FOLL_FAST_ONLY, FOLL_GET, FOLL_PIN, FOLL_WRITE } from '../../dist/src/mm/gupFast.js'
import { MADV_DONTNEED } from '../../dist/src/mm/madvise.js'
import { EAGAIN, EBUSY } from '../../dist/src/mm/mmStruct.js'
import { PG_ANON_EXCLUSIVE, PG_LOCKED } from '../../dist/src/mm/page.js'
import { GEOMETRIES, Process } from './process.js'

describe.each(GEOMETRIES)('a folio, %s', (_, config) => {
  const nr = 1 << config.indexBits

  /** A huge page whose pages hold 1, 2, … */
  function huge(): Process {
    const p = new Process(config, { thp: 'always' })
    p.mmap(0, 2 * nr)
    for (let i = 0; i < nr; i++) p.write(i, i + 1)
    return p
  }

  const folioOf = (p: Process, page: number): PhysAddr => p.k.memmap.page(p.frameOf(page))

  /** With the reference and the lock that a caller of split_folio() has. */
  function split(p: Process): number {
    const folio = folioOf(p, 0)
    drive(p.k.folios.folioGet(folio, 1))
    drive(p.k.folios.folioLock(folio))
    const result = drive(p.k.splitFolio.splitFolio(folio))
    drive(p.k.folios.folioUnlock(folio))
    drive(p.k.folios.folioPut(folio, 1))
    return result
  }

  function pin(p: Process, page: number): number {
    const pages = new Int32Array(1)
    expect(drive(p.k.gupFast.getUserPagesFast(p.at(page), 1, FOLL_PIN | FOLL_WRITE, pages))).toBe(1)
    return pages[0] as number
  }

  const contents = (p: Process): unknown[] => Array.from({ length: nr }, (__, i) => p.read(i))
  const ascending = Array.from({ length: nr }, (__, i) => i + 1)

  describe('that is split', () => {
    it('becomes base pages in the same frames, each with one reference and its owner’s alone', () => {
      const p = huge()
      const first = p.frameOf(0)
      expect(split(p)).toBe(0)
      for (let i = 0; i < nr; i++) {
        const page = p.k.memmap.page(first + i)
        expect(p.frameOf(i)).toBe(first + i)
        expect([p.k.folios.isLarge(page), p.k.folios.isAnon(page)]).toEqual([false, true])
        expect([drive(p.k.folios.folioRefCount(page)), drive(p.k.folios.folioMapcount(page))]).toEqual([1, 1])
        expect(drive(p.k.folios.testFlag(page, PG_LOCKED))).toBe(false)
        expect(drive(p.k.folios.testFlag(page, PG_ANON_EXCLUSIVE))).toBe(true)
        expect(pteWrite(p.entry(i))).toBe(true)
      }
      expect(contents(p)).toEqual(ascending)
    })

    it('gives back each page when it is unmapped', () => {
      const p = huge()
      split(p)
      const free = p.freeFrames()
      p.madvise(1, 1, MADV_DONTNEED)
      expect(p.freeFrames()).toBe(free + 1)
    })

    it('gives back at once what was unmapped before', () => {
      const p = huge()
      p.madvise(1, 2, MADV_DONTNEED)
      const free = p.freeFrames()
      expect(split(p)).toBe(0)
      expect([p.freeFrames(), p.read(0), p.read(1), p.read(3)]).toEqual([free + 2, 1, 0, 4])
    })

    it('stays whole while somebody has a reference, and mapped and writable as it was', () => {
      const p = huge()
      const pinned = pin(p, 1)
      expect(split(p)).toBe(-EAGAIN)
      expect([p.k.folios.isLarge(folioOf(p, 0)), p.write(0, 1), p.frameOf(1)]).toEqual([true, 'ok', pinned])
      drive(p.k.gup.release(pinned, FOLL_PIN))
      expect(split(p)).toBe(0)
      expect(contents(p)).toEqual(ascending)
    })

    it('is split in every process that shares it', () => {
      const p = huge()
      const child = p.fork()
      expect(split(p)).toBe(0)
      expect([pmdLeaf(p.entry(0)), pmdLeaf(p.entry(0, child))]).toEqual([false, false])
      expect([p.frameOf(1), pteWrite(p.entry(1))]).toEqual([p.frameOf(1, child), false])
      p.write(1, 90)
      p.become(child)
      expect(contents(p)).toEqual(ascending)
    })

    it('is not the huge zero page', () => {
      const p = new Process(config, { thp: 'always' })
      p.mmap(0, nr)
      p.read(0)
      expect(drive(p.k.splitFolio.splitFolio(folioOf(p, 0)))).toBe(-EBUSY)
      expect(p.k.pages.isHugeZeroPfn(p.frameOf(0))).toBe(true)
    })
  })

  describe('that is migrated', () => {
    it('is in other frames, huge as before, with its contents and rights', () => {
      const p = huge()
      const [frame, free] = [p.frameOf(0), p.freeFrames()]
      expect(drive(p.k.migrate.migratePfn(frame as Pfn))).toBe(0)
      expect(p.frameOf(0)).not.toBe(frame)
      expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0)), p.freeFrames()]).toEqual([true, true, free])
      expect(contents(p)).toEqual(ascending)
    })

    it('moves one base page and leaves its neighbours', () => {
      const p = huge()
      split(p)
      const frames = [p.frameOf(0), p.frameOf(1)]
      expect(drive(p.k.migrate.migratePfn(frames[1] as Pfn))).toBe(0)
      expect([p.frameOf(0), p.frameOf(1) === frames[1]]).toEqual([frames[0], false])
      expect(contents(p)).toEqual(ascending)
    })

    it('stays where it is while it is pinned, for a write that then goes to the pinned frame', () => {
      const p = huge()
      const pinned = pin(p, 0)
      expect(drive(p.k.migrate.migratePfn(p.frameOf(0) as Pfn))).toBeLessThan(0)
      p.write(0, 50)
      expect(p.frameOf(0)).toBe(pinned)
      drive(p.k.gup.release(pinned, FOLL_PIN))
    })

    it('is moved in both processes that share it', () => {
      const p = huge()
      const child = p.fork()
      const frame = p.frameOf(0)
      expect(drive(p.k.migrate.migratePfn(frame as Pfn))).toBe(0)
      expect([p.frameOf(0), p.frameOf(0) !== frame]).toEqual([p.frameOf(0, child), true])
      p.write(0, 70)
      p.become(child)
      expect(contents(p)).toEqual(ascending)
    })

    it('is only an anonymous one: free frames, tables, tails and the zero page are passed over', () => {
      const p = huge()
      p.read(nr)
      const tail = p.frameOf(1)
      const table = p.k.memmap.pfnAt(p.k.upper.pgdOffset(p.mm, p.at(0)))
      for (const pfn of [p.k.memmap.frameCount - 1, table, tail, p.frameOf(nr)])
        expect(drive(p.k.migrate.migratePfn(pfn as Pfn))).toBe(-EBUSY)
    })
  })

  it('leaves migration entries where it was mapped, which no access gets past, and comes back from them', () => {
    const p = huge()
    const folio = folioOf(p, 0)
    drive(p.k.folios.folioGet(folio, 1))
    drive(p.k.folios.folioLock(folio))
    drive(p.k.migrationEntries.tryToMigrate(folio))
    const pmd = peek64(drive(p.k.upper.mmFindPmd(p.mm, p.at(0)))) as PteWord
    expect([isMigrationEntry(pmd), drive(p.k.folios.folioMapcount(folio))]).toEqual([true, 0])
    expect(drive(p.k.mmu.load(p.at(0)))).toBe(FAULT)
    expect(drive(p.k.gupFast.getUserPagesFast(p.at(0), 1, FOLL_GET | FOLL_FAST_ONLY, new Int32Array(1)))).toBe(0)
    drive(p.k.migrationEntries.removeMigrationPtes(folio, folio))
    drive(p.k.folios.folioUnlock(folio))
    drive(p.k.folios.folioPut(folio, 1))
    expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0))]).toEqual([true, true])
    expect(contents(p)).toEqual(ascending)
  })
})
