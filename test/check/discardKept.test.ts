import { beforeEach, describe, it } from 'vitest'
import { Level } from '../../dist/src/arch/level.js'
import { expectFinding, HUGE, HUGE_SIZE, hugeWritable, Lab, PAGE_SIZE } from './lab.js'

const KEPT = 'MADV_DONTNEED kept a page'

describe('discard-kept', () => {
  let lab: Lab
  let table: number
  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
  })

  const mapped = (index = 1): number => {
    const page = lab.anonPage()
    lab.map(table, index, page)
    return page
  }
  const begin = () => lab.observer.callBegins(lab.cpu)
  const end = (stamp: number, from = 0, to = HUGE_SIZE) =>
    lab.observer.callReturns(lab.cpu, 'discard', lab.mm, from, to, stamp)

  it('reports an anonymous page that was mapped before the call and still is', () => {
    mapped()
    const stamp = begin()
    expectFinding('discard-kept', KEPT, () => end(stamp))
  })

  it('looks at the range of the call only, over holes in the tables', () => {
    mapped(3)
    const stamp = begin()
    end(stamp, 0, 3 * PAGE_SIZE)
    end(stamp, HUGE_SIZE, HUGE_SIZE * HUGE * HUGE * 2)
    expectFinding('discard-kept', KEPT, () => end(stamp, 0, HUGE_SIZE * HUGE * HUGE * 2))
  })

  it('is silent about a page that was made before the call and first mapped during it', () => {
    const page = lab.anonPage()
    const stamp = begin()
    lab.map(table, 1, page)
    end(stamp)
  })

  it('takes a copy of an anonymous page for as old as the original', () => {
    const [page, copy] = [mapped(), lab.anonPage()]
    const stamp = begin()
    lab.observer.contentsCreated(lab.cpu, copy, page)
    lab.unmap(table, 1)
    lab.map(table, 1, copy)
    expectFinding('discard-kept', KEPT, () => end(stamp))
  })

  it('takes a copy of a page of a file for new, and leaves pages of files alone', () => {
    const [page, copy] = [lab.filePage(), lab.anonPage()]
    lab.map(table, 1, page)
    const stamp = begin()
    lab.observer.contentsCreated(lab.cpu, copy, page)
    lab.map(table, 2, copy)
    end(stamp)
  })

  it('reports a huge page that stayed', () => {
    const folio = lab.anonPage(2)
    lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
    const stamp = begin()
    expectFinding('discard-kept', KEPT, () => end(stamp, HUGE_SIZE, 2 * HUGE_SIZE))
  })

  it('forgets the age of a frame when it is freed', () => {
    const page = mapped()
    lab.unmap(table, 1)
    lab.free(page)
    lab.observer.pagesAllocated(lab.cpu, page, 0, 2)
    lab.observer.contentsCreated(lab.cpu, page, -1)
    const stamp = begin()
    lab.map(table, 1, page)
    end(stamp)
  })

  it('keeps the age of pages while their huge entry is split', () => {
    const [folio, below] = [lab.anonPage(2), lab.table(Level.pte)]
    lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
    const stamp = begin()
    lab.set(Level.pmd, lab.pmdp(1), 0n, HUGE_SIZE)
    lab.map(below, 2, folio + 2)
    lab.linkTable(1, below)
    expectFinding('discard-kept', KEPT, () => end(stamp, HUGE_SIZE, 2 * HUGE_SIZE))
  })
})
