/**
 * Memory that was given up with MADV_FREE, and what MADV_PAGEOUT and MADV_COLD do: reclaim drops what nobody has stored
 * to since, large folios are split where the advice is about a part of them, and nothing that was stored is lost.
 */
import { describe, expect, it } from 'vitest'
import { explore } from '../../dist/src/explore/explore.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { FOLL_GET } from '../../dist/src/mm/gupFast.js'
import { MADV_COLD, MADV_FREE, MADV_PAGEOUT } from '../../dist/src/mm/madvise.js'
import { MAP_FIXED, MAP_SHARED } from '../../dist/src/mm/mmap.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { defineScenario, load, mapAnonymous, store } from '../../dist/src/scenario/scenario.js'
import { executions } from '../budget.js'
import { GEOMETRIES, Process, RW } from './process.js'

describe.each(GEOMETRIES)('MADV_FREE and reclaim, %s', (_name, config) => {
  /** One page that holds 5 and was given up. */
  function givenUp(): Process {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 5)
    expect(p.madvise(0, 1, MADV_FREE)).toBe(0)
    return p
  }

  it('keep the contents until reclaim drops them; zeroes are read then', () => {
    const p = givenUp()
    expect(p.read(0)).toBe(5)
    expect(p.madvise(0, 1, MADV_PAGEOUT)).toBe(0)
    expect([p.frameOf(0), p.counter('rssAnon'), p.read(0)]).toEqual([-1, 0, 0])
  })

  it('keep what was stored since', () => {
    const p = givenUp()
    p.write(0, 6)
    p.madvise(0, 1, MADV_PAGEOUT)
    expect(p.read(0)).toBe(6)
  })

  it('keep a page that somebody has a reference to, until it is dropped', () => {
    const p = givenUp()
    const pages = new Int32Array(1)
    expect(drive(p.k.gup.getUserPages(p.mm, p.at(0), 1, FOLL_GET, pages, 0))).toBe(1)
    p.madvise(0, 1, MADV_PAGEOUT)
    expect(p.read(0)).toBe(5)
    drive(p.k.gup.release(pages[0] as number, FOLL_GET))
    p.madvise(0, 1, MADV_PAGEOUT)
    expect(p.read(0)).toBe(0)
  })

  it('keep memory that was not given up: there is no swap', () => {
    const p = new Process(config)
    p.mmap(0, 1)
    p.write(0, 5)
    p.madvise(0, 1, MADV_PAGEOUT)
    expect([p.frameOf(0) >= 0, p.read(0)]).toEqual([true, 5])
  })

  it('unmap pages of files, which are found again, stored to or not', () => {
    const p = new Process(config, { files: [4] })
    p.mmap(0, 2, RW, MAP_FIXED | MAP_SHARED, 0)
    p.write(0, 5)
    const second = p.read(1)
    p.madvise(0, 2, MADV_PAGEOUT)
    expect([p.frameOf(0), p.frameOf(1), p.counter('rssFile')]).toEqual([-1, -1, 0])
    expect([p.read(0), p.read(1)]).toEqual([5, second])
  })

  it('drop a huge page as a whole', () => {
    const p = new Process(config, { thp: 'always' })
    const nr = config.indexBits === 9 ? 512 : 4
    p.mmap(0, nr)
    p.write(1, 5)
    p.madvise(0, nr, MADV_FREE)
    p.madvise(0, nr, MADV_PAGEOUT)
    expect([p.frameOf(1), p.counter('rssAnon'), p.read(1)]).toEqual([-1, 0, 0])
  })
})

describe.each(GEOMETRIES)('advice about a part of a huge page, %s', (_name, config) => {
  it.each([
    ['MADV_FREE', MADV_FREE],
    ['MADV_COLD', MADV_COLD],
    ['MADV_PAGEOUT', MADV_PAGEOUT],
  ])('%s splits it, and of its pages those stay that hold something', (_advice, advice) => {
    const p = new Process(config, { thp: 'always' })
    p.mmap(0, config.indexBits === 9 ? 512 : 4)
    p.write(0, 5)
    p.write(3, 6)
    const free = p.freeFrames()
    expect(p.madvise(0, 2, advice)).toBe(0)
    expect([p.counter('rssAnon'), p.read(0), p.read(1), p.read(3)]).toEqual([2, 5, 0, 6])
    expect(p.freeFrames() - free).toBe((config.indexBits === 9 ? 512 : 4) - 2)
  })
})

// Random schedules, seed below. Were a store lost in one schedule of a hundred, 300 executions would miss it with a
// chance of 5 %.
const SEED = 7
const EXECUTIONS = executions(300)

const USERS: Readonly<Record<string, (at: number) => readonly Op[]>> = {
  'a store': (at) => [store(at, 2), load(at, 0)],
  'a write of a device': (addr) => [{ op: 'gupWrite', addr, value: 2 }, load(addr, 0)],
  'a store behind a fork': (at) => [{ op: 'fork', slot: 0 }, store(at, 2), load(at, 0)],
}

describe.each(['x86-64', 's390', 'powerpc'] as const)('reclaim of memory that was given up, on %s', (arch) => {
  it.each(
    Object.keys(USERS).flatMap((user) => [
      [user, 'base'],
      [user, 'huge'],
    ]),
  )('does not lose %s that comes meanwhile, %s pages', (user, size) => {
    const scenario = defineScenario({
      id: `lazyfree-${size}`,
      summary: `reclaim of lazyfree memory against ${user}`,
      arch,
      cpus: 2,
      build: (s) => {
        const [start, len] = size === 'huge' ? [s.huge(0), s.hugeSize] : [s.page(0), s.pageSize]
        const at = start + len - s.pageSize
        const reclaim: Program = [{ op: 'madvise', addr: start, len, advice: 'pageout' }]
        const free: Op = { op: 'madvise', addr: start, len, advice: 'free' }
        return {
          boot: [mapAnonymous(start, len), store(at, 1), free],
          programs: [reclaim, USERS[user]?.(at) ?? []],
        }
      },
      outcome: (reg) => `${reg(1, 0)}`,
      allowed: ['2'],
    })
    expect(explore({ scenario, seed: SEED, executions: EXECUTIONS }).finding).toBeNull()
  })
})
