import { describe, expect, it } from 'vitest'
import { pmdLeaf, pteWrite } from '../../dist/src/isa/x86_64/pte.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { FOLL_GET } from '../../dist/src/mm/gupFast.js'
import { Scan } from '../../dist/src/mm/khugepaged.js'
import { MADV_COLLAPSE, MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE } from '../../dist/src/mm/madvise.js'
import { EAGAIN, EINVAL } from '../../dist/src/mm/mmStruct.js'
import { GEOMETRIES, Process, RO } from './process.js'

describe.each(GEOMETRIES)('khugepaged, %s', (_, config) => {
  const nr = 1 << config.indexBits

  /** Base pages 0 and 1 of a range that may be huge hold 1 and 2; nothing else is there. */
  function small(): Process {
    const p = new Process(config, { thp: 'always' })
    p.mmap(0, 4 * nr)
    p.madvise(0, 4 * nr, MADV_NOHUGEPAGE)
    p.write(0, 1)
    p.write(1, 2)
    p.madvise(0, 4 * nr, MADV_HUGEPAGE)
    return p
  }

  const collapse = (p: Process, page = 0): Scan => drive(p.k.khugepaged.hpageCollapseScanPmd(p.mm, p.at(page)))

  it('copies what is there into a huge page and fills the rest with zeroes', () => {
    const p = small()
    const free = p.freeFrames()
    expect(collapse(p, 1)).toBe(Scan.succeed)
    expect([pmdLeaf(p.entry(0)), pteWrite(p.entry(0))]).toEqual([true, true])
    expect([p.read(0), p.read(1), p.read(2), p.read(nr - 1)]).toEqual([1, 2, 0, 0])
    // Two pages go, a huge one comes; the table stays, deposited.
    expect([p.freeFrames(), p.counter('rssAnon'), p.counter('nrPtes')]).toEqual([free + 2 - nr, nr, 1])
  })

  it('deposits the old table, empty: the next split uses it', () => {
    const p = small()
    collapse(p)
    const pmdp = drive(p.k.upper.mmFindPmd(p.mm, p.at(0)))
    const free = p.freeFrames()
    drive(p.k.splitHugePmd.splitHugePmd(p.vmaAt(0), pmdp, p.at(0), false, 0))
    expect([pmdLeaf(p.entry(0)), p.read(1), p.freeFrames()]).toEqual([false, 2, free])
  })

  it('takes zero pages for holes', () => {
    const p = small()
    p.madvise(0, 4 * nr, MADV_NOHUGEPAGE)
    expect(p.read(2)).toBe(0)
    p.madvise(0, 4 * nr, MADV_HUGEPAGE)
    expect([collapse(p), p.read(2), p.counter('rssAnon')]).toEqual([Scan.succeed, 0, nr])
  })

  it('leaves a range alone in which somebody references a page, and takes it later', () => {
    const p = small()
    const pages = new Int32Array(1)
    drive(p.k.gupFast.getUserPagesFast(p.at(1), 1, FOLL_GET, pages))
    const frames = [p.frameOf(0), p.frameOf(1)]
    expect(collapse(p)).toBe(Scan.pageCount)
    expect([p.frameOf(0), p.frameOf(1), p.write(1, 2)]).toEqual([...frames, 'ok'])
    drive(p.k.gup.release(pages[0] as number, FOLL_GET))
    expect(collapse(p)).toBe(Scan.succeed)
  })

  it('puts everything back when it finds out late: pages, table, counts', () => {
    const p = small()
    const folio = p.k.memmap.page(p.frameOf(1))
    const before = [p.freeFrames(), p.entry(0), p.entry(1), p.counter('nrPtes')]
    const { khugepaged } = p.k
    // The second revalidation passes, and then page 1 is locked by somebody: isolation fails after page 0 was isolated.
    const detach = Reflect.get(khugepaged, 'detachTable') as (...args: unknown[]) => unknown
    Reflect.set(khugepaged, 'detachTable', function* (...args: unknown[]) {
      const result: unknown = yield* detach.apply(khugepaged, args) as Generator<void, unknown, void>
      yield* p.k.folios.folioTrylock(folio)
      return result
    })
    expect(collapse(p)).toBe(Scan.pageLock)
    drive(p.k.folios.folioUnlock(folio))
    expect([p.freeFrames(), p.entry(0), p.entry(1), p.counter('nrPtes')]).toEqual(before)
    expect([p.read(0), p.read(1), p.write(0, 4)]).toEqual([1, 2, 'ok'])
  })

  it('does not touch what it may not, or need not', () => {
    const p = small()
    expect(collapse(p, nr)).toBe(Scan.pmdNone)
    p.write(2 * nr)
    expect(collapse(p, 2 * nr)).toBe(Scan.pmdMapped)
    expect(collapse(p, 4 * nr)).toBe(Scan.vmaNull)
    p.madvise(0, nr, MADV_NOHUGEPAGE)
    expect(collapse(p)).toBe(Scan.vmaCheck)
  })

  it('wants a page that is written to', () => {
    const p = small()
    p.mprotect(0, 4 * nr, RO)
    expect(collapse(p)).toBe(Scan.pageRo)
  })

  it('shares nothing afterwards that was shared before: the child keeps its small pages', () => {
    const p = small()
    p.write(2, 3)
    const child = p.fork()
    p.write(0, 10)
    expect(collapse(p)).toBe(Scan.succeed)
    p.write(1, 20)
    p.become(child)
    expect([p.read(0), p.read(1), p.read(2)]).toEqual([1, 2, 3])
  })

  it('scans an address space and says how many ranges it collapsed', () => {
    const p = small()
    p.madvise(0, 4 * nr, MADV_NOHUGEPAGE)
    p.write(2 * nr + 1, 5)
    p.madvise(0, 4 * nr, MADV_HUGEPAGE)
    expect(drive(p.k.khugepaged.khugepagedScanMmSlot(p.mm))).toBe(2)
    expect([pmdLeaf(p.entry(0)), pmdLeaf(p.entry(2 * nr)), p.read(2 * nr + 1)]).toEqual([true, true, 5])
    expect(drive(p.k.khugepaged.khugepagedScanMmSlot(p.mm))).toBe(0)
  })

  describe('MADV_COLLAPSE', () => {
    it('collapses at once, and is content with what is huge already', () => {
      const p = small()
      expect(p.madvise(0, nr, MADV_COLLAPSE)).toBe(0)
      expect(p.madvise(0, nr, MADV_COLLAPSE)).toBe(0)
      expect([pmdLeaf(p.entry(0)), p.read(1)]).toEqual([true, 2])
    })

    it('says EAGAIN for what may pass, EINVAL for what cannot be huge', () => {
      const p = small()
      const pages = new Int32Array(1)
      drive(p.k.gupFast.getUserPagesFast(p.at(0), 1, FOLL_GET, pages))
      expect(p.madvise(0, nr, MADV_COLLAPSE)).toBe(-EAGAIN)
      drive(p.k.gup.release(pages[0] as number, FOLL_GET))
      expect(p.madvise(1, 1, MADV_COLLAPSE)).toBe(-EINVAL)
      p.madvise(0, 4 * nr, MADV_NOHUGEPAGE)
      expect(p.madvise(0, nr, MADV_COLLAPSE)).toBe(-EINVAL)
      p.madvise(0, nr, MADV_DONTNEED)
    })
  })
})
