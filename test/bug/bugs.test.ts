import { describe, expect, it } from 'vitest'
import type { Bug } from '../../dist/src/bug/bug.js'
import { bugs } from '../../dist/src/bug/index.js'
import { explore } from '../../dist/src/explore/explore.js'
import { scenarios } from '../../dist/src/scenario/catalog/index.js'
import type { Op } from '../../dist/src/program/op.js'
import {
  defineScenario,
  dontneed,
  gup,
  load,
  mapAnonymous,
  store,
  type Scenario,
  type Setting,
} from '../../dist/src/scenario/scenario.js'

// Each bug is found where it lives within the budget, and the same budget finds nothing without it. The budget is five
// times the worst of ten seeds, so a miss has a chance far below one in a hundred.
const SEED = 1

/** Two CPUs on one huge page, which CPU 0 has stored to. */
const twoCpus = (
  id: string,
  build: (at: number, s: Setting) => [readonly Op[], readonly Op[]],
  boot: (at: number, s: Setting) => readonly Op[] = () => [],
): Scenario =>
  defineScenario({
    id,
    summary: id,
    arch: 'x86-64',
    cpus: 2,
    build: (s) => {
      const at = s.huge(0)
      return { boot: [mapAnonymous(at, s.hugeSize), store(at), ...boot(at, s)], programs: build(at, s) }
    },
  })

/** The smallest programs for bugs that the catalogue shows rarely. */
const small: Record<string, Scenario> = {
  'split-vs-dontneed': twoCpus('split-vs-dontneed', (at, s) => [
    [{ op: 'splitFolio', addr: at }],
    [load(at), dontneed(at, s.hugeSize), load(at)],
  ]),
  'split-vs-zap': twoCpus(
    'split-vs-zap',
    (at, s) => [[{ op: 'splitFolio', addr: at }], [dontneed(at, s.hugeSize)]],
    (at, s) => [{ op: 'splitPmd', addr: at }, dontneed(at + s.pageSize, s.hugeSize - s.pageSize)],
  ),
  'split-vs-migrate': twoCpus('split-vs-migrate', (addr) => [[{ op: 'migrate', addr }], [{ op: 'splitPmd', addr }]]),
  'gup-vs-folio-split': twoCpus(
    'gup-vs-folio-split',
    (at, s) => [[{ op: 'splitFolio', addr: at }], [gup(at + s.hugeSize - s.pageSize, 1, { fastOnly: true })]],
    (at) => [{ op: 'splitPmd', addr: at }],
  ),
}

const where: Record<string, readonly [scenario: string, executions: number]> = {
  'pmdp-inval-addr': ['fault-vs-split', 100],
  'gup-collapse-pmd': ['gup-vs-collapse', 2500],
  'gup-collapse-uaf': ['gup-vs-collapse', 35_000],
  'mremap-tlb': ['mremap-vs-touch', 1000],
  'dirty-cow': ['force-write-vs-dontneed', 1000],
  'fork-gupfast': ['fork-vs-gup', 5000],
  'gup-head-recheck': ['gup-vs-folio-split', 45_000],
  'dontneed-numa': ['numa-vs-dontneed', 500],
  'split-migentry-inval': ['split-vs-migrate', 500],
  'tail-ref': ['scan-vs-split', 1000],
  'split-zap-sync': ['split-vs-zap', 2500],
  'zap-zap-tlb': ['dontneed-vs-dontneed', 500],
  'split-none-exit': ['split-vs-dontneed', 500],
  'no-recheck': ['gup-vs-split', 1000],
  'missing-tlb-flush': ['dontneed-vs-dontneed', 100],
  'free-before-flush': ['dontneed-vs-dontneed', 100],
  'table-no-grace-period': ['gup-vs-munmap-broadcast', 500],
}

const scenarioOf = (id: string): Scenario => small[id] ?? (scenarios.find((s) => s.id === id) as Scenario)

describe.each(bugs.map((bug) => [bug.id, bug] as const))('%s', (id, bug: Bug) => {
  const [name, executions] = where[id] as readonly [string, number]
  const scenario = scenarioOf(name)

  it(`is found in ${name} within ${executions} executions`, () => {
    expect(explore({ scenario, bug, seed: SEED, executions }).finding).not.toBeNull()
  })

  it('is not found there when it is not there', () => {
    const fixed = { ...scenario, config: { ...scenario.config, ...bug.config } }
    expect(explore({ scenario: fixed, seed: SEED, executions: Math.min(executions, 4000) }).finding).toBeNull()
  })
})

describe('the list of bugs', () => {
  it('has one short name each, and names only scenarios that exist', () => {
    expect(new Set(bugs.map((bug) => bug.id)).size).toBe(bugs.length)
    for (const bug of bugs) {
      expect(bug.id).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(scenarios.map((s) => s.id)).toEqual(expect.arrayContaining([...bug.scenarios]))
    }
  })

  it('has upstream’s commit and year for all but mutants', () => {
    for (const bug of bugs)
      expect([bug.upstream === null, bug.year === null]).toEqual(Array(2).fill(bug.number === 'mutant'))
  })
})
