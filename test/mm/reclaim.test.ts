/**
 * Reclaim of the pages of files: what it takes, what it leaves, that nothing which was stored gets lost, and the
 * account of batched flushes.
 */
import { describe, expect, it } from 'vitest'
import { exclusiveRetract } from '../../dist/src/bug/tlb.js'
import { bugById } from '../../dist/src/bug/index.js'
import { explore } from '../../dist/src/explore/explore.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { peek32, poke32 } from '../../dist/src/machine/image/image.js'
import { FOLL_GET } from '../../dist/src/mm/gupFast.js'
import { MAP_FIXED, MAP_SHARED } from '../../dist/src/mm/mmap.js'
import { MM, VM_LOCKED, VMA } from '../../dist/src/mm/mmStruct.js'
import type { Op } from '../../dist/src/program/op.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario, load } from '../../dist/src/scenario/scenario.js'
import { executions } from '../budget.js'
import { GEOMETRIES, Process, RW } from './process.js'

describe.each(GEOMETRIES)('reclaim of pages of a file, %s', (_name, config) => {
  /** Two pages of a file, mapped and read. */
  function mapped(): Process {
    const p = new Process(config, { files: [4] })
    p.mmap(0, 2, RW, MAP_FIXED | MAP_SHARED, 0)
    p.read(0)
    p.read(1)
    return p
  }
  const shrink = (p: Process): number => drive(p.k.reclaim.shrinkFile(p.k.files.fileAt(0), 0, 4))

  it('frees those that are clean, in whatever process they are mapped, and the next access reads them anew', () => {
    const p = mapped()
    const child = p.fork()
    const [contents, free] = [p.read(0), p.freeFrames()]
    expect(shrink(p)).toBe(2)
    expect([p.freeFrames() - free, p.frameOf(0), p.frameOf(0, child), p.counter('rssFile')]).toEqual([2, -1, -1, 0])
    expect(p.read(0)).toBe(contents)
  })

  it('leaves what was stored to', () => {
    const p = mapped()
    p.write(0, 7)
    expect(shrink(p)).toBe(1)
    expect([p.read(0), p.frameOf(1)]).toEqual([7, -1])
  })

  it('leaves what was unmapped dirty, by munmap or through the reverse map', () => {
    const p = mapped()
    p.write(0, 7)
    p.write(1, 8)
    p.munmap(0, 1)
    drive(p.k.zap.unmapMappingPages(p.k.files.fileAt(0), 1, 1, true))
    expect([p.frameOf(1), shrink(p)]).toEqual([-1, 0])
    p.mmap(0, 1, RW, MAP_FIXED | MAP_SHARED, 0)
    expect([p.read(0), p.read(1)]).toEqual([7, 8])
  })

  it('leaves pages that somebody has a reference to, and locked memory', () => {
    const p = mapped()
    const pages = new Int32Array(1)
    expect(drive(p.k.gupFast.getUserPagesFast(p.at(0), 1, FOLL_GET, pages))).toBe(1)
    const vma = p.vmaAt(0)
    poke32(vma + VMA.at.flags, peek32(vma + VMA.at.flags) | VM_LOCKED)
    expect([shrink(p), p.frameOf(1) >= 0]).toEqual([0, true])
    poke32(vma + VMA.at.flags, peek32(vma + VMA.at.flags) & ~VM_LOCKED)
    expect([shrink(p), p.frameOf(0)]).toEqual([1, -1])
    drive(p.k.gup.release(pages[0] as number, FOLL_GET))
    expect(shrink(p)).toBe(1)
  })
})

describe('the account of batched flushes', () => {
  const [, config] = GEOMETRIES[0]
  const ACCOUNT = MM.at.tlbFlushBatched

  /** A process whose mm says that so many are pending and flushed, and that counts whole flushes. */
  function accounting(pending: number, flushed: number): { p: Process; flushes: () => number } {
    const p = new Process(config, { files: [1] })
    let count = 0
    p.k.tlbFlush.flushTlbMm = function* () {
      count++
      yield* []
    }
    poke32(p.mm + ACCOUNT, pending | (flushed << 16))
    return { p, flushes: () => count }
  }

  it.each([
    [0, 0, 0, 0],
    [3, 3, 0, 3],
    [3, 1, 1, 3],
    [1, 0, 1, 1],
  ])('%i pending and %i flushed: flushes %i times, and %i are flushed then', (pending, flushed, times, after) => {
    const { p, flushes } = accounting(pending, flushed)
    drive(p.k.tlbBatch.flushTlbBatchedPending(p.mm))
    expect([flushes(), peek32(p.mm + ACCOUNT)]).toEqual([times, pending | (after << 16)])
  })

  it('begins anew before what is pending could catch up with what is flushed', () => {
    const { p } = accounting(0x4000, 0x123)
    p.mmap(0, 1)
    p.write(0)
    drive(p.k.tlbBatch.setTlbUbcFlushPending(p.mm, p.at(0), p.entry(0)))
    expect(peek32(p.mm + ACCOUNT)).toBe(1)
    drive(p.k.tlbBatch.setTlbUbcFlushPending(p.mm, p.at(0), p.entry(0)))
    expect(peek32(p.mm + ACCOUNT)).toBe(2)
  })
})

// What a user stored is what the user loads. Were a store lost in one schedule of a hundred, 400 executions would miss
// it with a chance of 2 %.
const SEED = 5
const EXECUTIONS = executions(400)

const undisturbed = (id: string, disturb: readonly Op[], flushStyle: 'ipi' | 'broadcast') =>
  defineScenario({
    id,
    summary: id,
    arch: 'x86-64',
    cpus: 3,
    config: { flushStyle },
    files: [2],
    build: (s) => {
      const [at, len] = [s.huge(0), s.hugeSize]
      const own = at + s.pageSize
      const user: Op[] = [
        { op: 'store', addr: own, value: 11 },
        load(own, 0),
        { op: 'gupWrite', addr: own, value: 12 },
        load(own, 1),
        { op: 'madvise', addr: own, len: s.pageSize, advice: 'dontneed' },
        load(own, 2),
      ]
      const map: Op = { op: 'mmap', addr: at, len, prot: RW, flags: MAP_SHARED | MAP_FIXED, file: 0 }
      return { boot: [map, load(at), load(own)], programs: [user, disturb, disturb] }
    },
    outcome: (reg) => `${reg(0, 0)} ${reg(0, 1)} ${reg(0, 2)}`,
    allowed: ['11 12 12'],
  })

describe(`stores to a file (seed ${SEED})`, () => {
  const reclaim: Op = { op: 'reclaim', file: 0, page: 0, pages: 2 }
  const retract: Op = { op: 'retractFile', file: 0, page: 0 }
  const unmap: Op = { op: 'unmapFile', file: 0, page: 0, pages: 2 }
  it.each([
    ['reclaim, flushes by interrupt', [reclaim, reclaim, reclaim], 'ipi'],
    ['reclaim, flushes by broadcast', [reclaim, reclaim, reclaim], 'broadcast'],
    ['reclaim of pages that were unmapped', [unmap, reclaim, unmap, reclaim], 'broadcast'],
    ['reclaim and retracted tables', [retract, reclaim, retract, reclaim], 'broadcast'],
  ] as const)('survive %s', (name, disturb, style) => {
    const run = explore({ scenario: undisturbed(name, disturb, style), seed: SEED, executions: EXECUTIONS })
    expect(run.finding).toBeNull()
  })
})

describe('tables retracted as before v6.5', () => {
  it('are safe with every lock held for write, and the walkers of then (see retract-wrong-locks)', () => {
    const bug = { ...bugById('K17'), id: 'exclusive-retract', parts: exclusiveRetract }
    const run = explore({
      scenario: scenarioById('retract-vs-unmap-file'),
      bug,
      seed: SEED,
      executions: executions(1000),
    })
    expect(run.finding).toBeNull()
  })
})
