import { describe, expect, it } from 'vitest'
import { explore } from '../../dist/src/explore/explore.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { defineScenario, load, mapAnonymous, store } from '../../dist/src/scenario/scenario.js'
import { executions } from '../budget.js'

// What a user stored is what the user loads, whatever happens to the pages underneath; random schedules, seed below.
// Were a store lost in one schedule of a hundred, 400 executions would miss it with a chance of 2 %.
const SEED = 5
const EXECUTIONS = executions(400)

/** CPU 0 stores and loads its own page of a huge range, CPUs 1 and 2 do something to the range. */
const undisturbed = (
  id: string,
  disturb: (at: number) => readonly Op[],
  config: { flushStyle: 'ipi' | 'broadcast' } = { flushStyle: 'ipi' },
) =>
  defineScenario({
    id,
    summary: id,
    arch: 'x86-64',
    cpus: 3,
    config,
    build: (s) => {
      const at = s.huge(0)
      const own = at + s.pageSize
      const user: Program = [store(own, 11), load(own, 0), store(own, 12), load(own, 1), load(at, 2)]
      const programs = [user, disturb(at), disturb(at)]
      return { boot: [mapAnonymous(at, s.hugeSize), store(at, 7), store(own, 1)], programs }
    },
    outcome: (reg) => `${reg(0, 0)} ${reg(0, 1)} ${reg(0, 2)}`,
    allowed: ['11 12 7'],
  })

const disturbances: Record<string, (at: number) => readonly Op[]> = {
  'PMD splits and collapses': (addr) => [
    { op: 'splitPmd', addr },
    { op: 'collapse', addr },
  ],
  'folio splits and collapses': (addr) => [
    { op: 'splitFolio', addr },
    { op: 'collapse', addr },
  ],
  'migration of huge and base pages': (addr) => [
    { op: 'migrate', addr },
    { op: 'splitFolio', addr },
    { op: 'migrate', addr },
  ],
  'NUMA hints': (addr) => [
    { op: 'numaHint', addr },
    { op: 'splitPmd', addr },
  ],
  forks: (addr) => [
    { op: 'fork', slot: 0 },
    { op: 'splitFolio', addr },
    { op: 'reap', slot: 0 },
  ],
}

describe(`what a user stored survives (seed ${SEED})`, () => {
  for (const [name, disturb] of Object.entries(disturbances))
    for (const flushStyle of ['ipi', 'broadcast'] as const)
      it(`${name}, TLB flushes by ${flushStyle}`, () => {
        const scenario = undisturbed(name, disturb, { flushStyle })
        const result = explore({ scenario, seed: SEED, executions: EXECUTIONS })
        expect(result.finding).toBeNull()
        expect([...result.outcomes.keys()]).toEqual(['11 12 7'])
      })
})

describe('a fault on a range that is being split', () => {
  it('never maps over it: the range is huge or a table, all of it', () => {
    const scenario = defineScenario({
      id: 'fault-on-split',
      summary: 'stores to both ends while the range is split',
      arch: 'x86-64',
      cpus: 2,
      build: (s) => {
        const at = s.huge(0)
        const last = at + s.hugeSize - s.pageSize
        const programs = [[{ op: 'splitPmd', addr: at } as const], [store(last, 3), load(at, 0), load(last, 1)]]
        return { boot: [mapAnonymous(at, s.hugeSize), store(at, 9)], programs }
      },
      outcome: (reg) => `${reg(1, 0)} ${reg(1, 1)}`,
      allowed: ['9 3'],
    })
    const result = explore({ scenario, seed: SEED, executions: executions(2000) })
    expect(result.finding).toBeNull()
  })
})
