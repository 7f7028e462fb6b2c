import { beforeEach, describe, expect, it } from 'vitest'
import { explore } from '../../dist/src/explore/explore.js'
import { bugById } from '../../dist/src/bug/index.js'
import { peek32, poke32 } from '../../dist/src/machine/image/image.js'
import { PAGE_DIRTY } from '../../dist/src/isa/x86_64/pte.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { PAGE } from '../../dist/src/mm/page.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { expectFinding, Lab, PAGE_SIZE, writable } from './lab.js'

const CHILD = 1

describe('contents', () => {
  let lab: Lab
  let page: number
  beforeEach(() => {
    lab = new Lab()
    page = lab.anonPage()
    poke32(lab.page(page) + PAGE.at.refcount, 1)
    poke32(lab.mm + MM.at.mmUsers, 1)
  })

  const mmOf = (slot: number): number => lab.mm + slot * MM.size
  const store = (value: number, slot = 0, addr = PAGE_SIZE, pfn = page): void => {
    poke32(lab.frame(pfn), value)
    lab.observer.userAccessed(lab.cpu, mmOf(slot), addr, pfn, 0, true, value)
  }
  const load = (slot = 0, addr = PAGE_SIZE, pfn = page): void =>
    lab.observer.userAccessed(lab.cpu, mmOf(slot), addr, pfn, 0, false, peek32(lab.frame(pfn)))
  const giveUp = (start: number, end: number, to = -1, moved = false): void => {
    lab.observer.contentsGivingUp(lab.cpu, lab.mm, start, end, to)
    lab.observer.contentsGivenUp(lab.cpu, moved)
  }
  /** The child has what the parent has in the first two pages. */
  const fork = (): void =>
    lab.observer.contentsForked(lab.cpu, lab.mm, mmOf(CHILD), 0, 2 * PAGE_SIZE, lab.observer.callBegins(lab.cpu))

  it('is silent while a load finds what was stored last, in whichever frame', () => {
    store(7)
    load()
    const copy = lab.anonPage()
    poke32(lab.frame(copy), 7)
    load(0, PAGE_SIZE, copy)
    store(8, 0, PAGE_SIZE, copy)
    load(0, PAGE_SIZE, copy)
  })

  it('reports a load that finds anything else', () => {
    store(7)
    poke32(lab.frame(page), 9)
    const { details } = expectFinding('contents', 'not stored there', () => load())
    expect(details[0]).toContain('holds 9')
    expect(details[1]).toContain('7 was stored there last')
  })

  it('reports what a load has shown and the next one does not, in a page that was stored to', () => {
    poke32(lab.frame(page), 7)
    load()
    poke32(lab.frame(page), 8)
    load()
    store(7)
    giveUp(PAGE_SIZE, 2 * PAGE_SIZE)
    load()
    poke32(lab.frame(page), 9)
    expectFinding('contents', 'not stored there', () => load())
  })

  it('knows that a child has what its parent had stored, and neither sees what the other one stores then', () => {
    store(7)
    fork()
    load(CHILD)
    store(8)
    expectFinding('contents', 'not stored there', () => load(CHILD))
    store(9, CHILD)
    expectFinding('contents', 'not stored there', () => load())
  })

  it('takes what was stored along when it moves, and says nothing of its old place', () => {
    store(7)
    giveUp(PAGE_SIZE, 2 * PAGE_SIZE, 4 * PAGE_SIZE, true)
    poke32(lab.frame(page), 0)
    load()
    expectFinding('contents', 'not stored there', () => load(0, 4 * PAGE_SIZE))
  })

  it('says nothing of what is given up, meanwhile and afterwards', () => {
    store(7)
    lab.observer.contentsGivingUp(lab.cpu, lab.mm, 0, 2 * PAGE_SIZE, -1)
    poke32(lab.frame(page), 0)
    load()
    store(8)
    poke32(lab.frame(page), 0)
    load()
    lab.observer.contentsGivenUp(lab.cpu, false)
    load()
  })

  it('takes the write of a device through a pin for one of the process, and believes nothing of one through a reference', () => {
    const write = (pinned: boolean, value: number): void => {
      lab.observer.deviceAsks(lab.cpu)
      lab.observer.deviceWrites(lab.cpu, lab.mm, PAGE_SIZE, page, pinned)
      poke32(lab.frame(page), value)
      lab.observer.privateWrite(lab.cpu, lab.mm, PAGE_SIZE, page, pinned, value)
    }
    store(7)
    write(true, 8)
    load()
    poke32(lab.frame(page), 9)
    expectFinding('contents', 'not stored there', () => load())
    write(false, 10)
    poke32(lab.frame(page), 11)
    load()
  })

  it('finds at the end that the memory is not what it must be', () => {
    const table = lab.linkTable(0)
    lab.map(table, 1, page, writable(page) | PAGE_DIRTY)
    store(7)
    poke32(lab.frame(page), 9)
    lab.observer.mapped(lab.cpu, page, -1, 1)
    poke32(lab.page(page) + PAGE.at.mapcount, 0)
    poke32(lab.mm + MM.at.rssAnon, 1)
    poke32(lab.mm + MM.at.nrPtes, 1)
    expect(lab.finalCheck()?.title).toContain('does not hold what was stored')
  })

  it('finds a page that was stored to and that nothing calls dirty', () => {
    const table = lab.linkTable(0)
    lab.map(table, 1, page)
    store(7)
    lab.observer.mapped(lab.cpu, page, -1, 1)
    poke32(lab.page(page) + PAGE.at.mapcount, 0)
    poke32(lab.mm + MM.at.rssAnon, 1)
    poke32(lab.mm + MM.at.nrPtes, 1)
    expect(lab.finalCheck()).toMatchObject({ oracle: 'dirty-lost' })
    lab.observer.contentsFreed(lab.cpu, lab.mm, 0, 2 * PAGE_SIZE)
    expect(lab.finalCheck()).toBeNull()
  })

  it('finds a page that is reused although another process maps it, and nothing in fixed code', () => {
    const scenario = scenarioById('fork-vs-store')
    const wrong = explore({ scenario, bug: bugById('cow-reuse-shared'), seed: 2, executions: 20 })
    expect(wrong.finding?.oracle).toBe('contents')
    expect(explore({ scenario, seed: 2, executions: 60 }).finding).toBeNull()
  })
})
