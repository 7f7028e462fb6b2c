import { describe, expect, it } from 'vitest'
import type { PhysAddr } from '../../dist/src/base/units.js'
import type { Bug } from '../../dist/src/bug/bug.js'
import { explore, type ExploreResult } from '../../dist/src/explore/explore.js'
import type { Step } from '../../dist/src/machine/engine/engine.js'
import type { PartClasses } from '../../dist/src/mm/kernel.js'
import { fileByte } from '../../dist/src/mm/file.js'
import { VM_FAULT_SIGBUS } from '../../dist/src/mm/faultFlags.js'
import { MAP, PROT, type Op, type Program } from '../../dist/src/program/op.js'
import { defineScenario } from '../../dist/src/scenario/scenario.js'
import { MAINLINE } from '../../dist/src/subsystem/index.js'

const AT = 0x10_000
const PAGE = 0x1000
const PAGES = 3
const RW = PROT.read | PROT.write
/** What a word of page `index` of the first file reads as. */
const wordOf = (index: number): number => (fileByte(1, index) * 0x01010101) | 0
const BUS = -VM_FAULT_SIGBUS

const map = (kind: number): Op => ({
  op: 'mmap',
  addr: AT,
  len: PAGES * PAGE,
  prot: RW,
  flags: kind | MAP.fixed,
  file: 0,
})
const at = (page: number): number => AT + page * PAGE
const load = (page: number, expected?: number): Op => ({
  op: 'load',
  addr: at(page),
  ...(expected === undefined ? {} : { expect: expected }),
})
const store = (page: number, value: number): Op => ({ op: 'store', addr: at(page), value })
const truncate = (pages: number): Op => ({ op: 'ftruncate', file: 0, pages, expect: 0 })
const punch = (page: number): Op => ({ op: 'punchHole', file: 0, page, expect: 0 })

/** One file of three pages, mapped in a process that both CPUs have. */
function run(
  kind: number,
  programs: readonly Program[],
  executions = 600,
  parts: Partial<PartClasses> = {},
): ExploreResult {
  const scenario = defineScenario({
    id: 'truncation',
    summary: 'pages go from a file',
    arch: 'x86-64',
    cpus: programs.length,
    cpusMin: 1,
    files: [PAGES],
    build: () => ({ boot: [map(kind)], programs }),
  })
  const bug = Object.keys(parts).length === 0 ? null : ({ id: 'mutant', parts } as unknown as Bug)
  return explore({ scenario, bug, executions })
}

describe('a file that is truncated', () => {
  it.each([MAP.shared, MAP.private])(
    'ends there for mappings of kind %i, and reads as zeroes when it grows',
    (kind) => {
      const program: Program = [load(0, wordOf(0)), load(2, wordOf(2)), truncate(1), load(0, wordOf(0)), load(2, BUS)]
      const grown: Program = [truncate(3), load(1, 0), load(2, 0), load(0, wordOf(0))]
      expect(run(kind, [[...program, ...grown]], 1).finding).toBeNull()
    },
  )

  it('takes private copies along, and a hole leaves them', () => {
    const copied: Program = [store(1, 7), load(1, 7)]
    expect(run(MAP.private, [[...copied, truncate(1), load(1, BUS)]], 1).finding).toBeNull()
    expect(run(MAP.private, [[...copied, punch(1), load(1, 7)]], 1).finding).toBeNull()
  })

  it('loses what was stored in a hole, for itself and for MADV_REMOVE', () => {
    const remove: Op = { op: 'madvise', addr: at(1), len: PAGE, advice: 'remove', expect: 0 }
    for (const hole of [punch(1), remove])
      expect(run(MAP.shared, [[store(1, 7), store(2, 8), hole, load(1, 0), load(2, 8)]], 1).finding).toBeNull()
  })

  it('does not grow beyond what it had room for', () => {
    expect(run(MAP.shared, [[{ op: 'ftruncate', file: 0, pages: 4, expect: -27 }]], 1).finding).toBeNull()
  })

  it('keeps a page for whoever has pinned it', () => {
    const pin: Op = { op: 'gup', addr: at(1), pages: 1, pin: true, hold: true }
    const read: Op = { op: 'gupRead', expect: 7 }
    expect(run(MAP.shared, [[store(1, 7), pin, truncate(0), read, { op: 'unpin' }]], 1).finding).toBeNull()
  })
})

const reclaim = (page: number): Op => ({ op: 'reclaim', file: 0, page })

describe('the contents of a page that goes', () => {
  it('are forgotten, though reclaim has taken the page before and takes the hole afterwards', () => {
    for (const gone of [[punch(1)], [truncate(1), truncate(3)]]) {
      const program: Program = [load(1, wordOf(1)), reclaim(1), ...gone, load(1, 0), reclaim(1)]
      expect(run(MAP.shared, [program], 1).finding).toBeNull()
    }
  })

  it('are forgotten for each private copy that truncation takes', () => {
    const word: Op = { op: 'store', addr: at(1) + 4, value: 8 }
    const program: Program = [store(1, 7), store(2, 7), truncate(1), truncate(3), word, load(1, 0)]
    expect(run(MAP.private, [program], 1).finding).toBeNull()
  })

  it('must be there still in a private copy beside a hole', () => {
    const Zap = class extends MAINLINE.Zap {
      protected override isCow(): boolean {
        return false
      }
    }
    expect(run(MAP.private, [[store(1, 7), punch(1)]], 1, { Zap }).finding?.oracle).toBe('contents')
  })
})

/** After the file was cut off nobody reaches its pages, whatever faults did meanwhile. */
const cut: Program = [truncate(1), load(1, BUS)]

describe('truncation against', () => {
  it.each<[string, number, Program]>([
    ['faults that read', MAP.shared, [load(1), load(2)]],
    ['faults that store', MAP.shared, [store(1, 5), store(2, 5)]],
    ['faults that copy', MAP.private, [store(1, 5), store(2, 5)]],
    ['fault-around', MAP.private, [load(0), load(0)]],
    ['gup', MAP.shared, [{ op: 'gup', addr: at(1), pages: 1, write: true, pin: true }, load(1)]],
    ['reclaim', MAP.shared, [load(1), reclaim(1)]],
    ['khugepaged', MAP.shared, [load(1), { op: 'retract', addr: AT }]],
    ['munmap', MAP.shared, [load(1), { op: 'munmap', addr: at(0), len: PAGE }]],
    ['a hole', MAP.shared, [load(1), punch(1), load(2)]],
    ['another truncation', MAP.shared, [load(2), truncate(0)]],
  ])('%s leaves no page behind', (_what, kind, other) => {
    expect(run(kind, [cut, other]).finding).toBeNull()
  })

  // Each of the three steps that make it so is needed: without it a page beyond the end stays mapped.
  const withoutStep: [string, number, Partial<PartClasses>, Program][] = [
    [
      'the second pass',
      MAP.private,
      {
        Truncate: class extends MAINLINE.Truncate {
          protected override *truncatePagecache(file: PhysAddr, first: number, count: number): Step<void> {
            yield* this.k.zap.unmapMappingPages(file, first, count, true)
            yield* this.truncateInodePagesRange(file, first, first + count)
          }
        },
      },
      [store(1, 5)],
    ],
    [
      'the look at the cache under the folio lock',
      MAP.shared,
      {
        FaultHandler: class extends MAINLINE.FaultHandler {
          protected override *isStillCached(): Step<boolean> {
            return true
          }
        },
      },
      [store(1, 5)],
    ],
  ]
  it.each(withoutStep)('faults is wrong without %s, which is found', (_what, kind, parts, other) => {
    // Found within 400 executions for each of ten seeds.
    expect(run(kind, [cut, other], 3000, parts).finding).not.toBeNull()
  })
})
