import { describe, expect, it } from 'vitest'
import { scenarioById, scenarios } from '../../dist/src/scenario/catalog/index.js'
import { stress } from '../../dist/src/scenario/stress.js'

// Fixed code survives real concurrency. Short runs: a smoke test of each scenario; a miss is likely where a window is
// narrow, and finding those is what the controlled engine and --perturb are for.
const SEED = 5
const stressed = scenarios.filter((scenario) => scenario.exploreOnly !== true)
const CLEAN = { finding: null, fault: null, stopped: 'duration' }

describe(`the catalogue on mainline, free-running (seed ${SEED}, 4 CPUs, 1 s each)`, () => {
  for (const scenario of stressed)
    it(`${scenario.id} is clean`, async () => {
      expect(await stress({ scenario, cpus: 4, seed: SEED, durationMs: 1000 })).toMatchObject(CLEAN)
    })
})

describe(`the catalogue on mainline, with pauses at the schedule points (seed ${SEED}, 4 CPUs)`, () => {
  for (const id of ['gup-vs-split', 'mixed'])
    it(`${id} is clean`, async () => {
      const result = await stress({ scenario: scenarioById(id), cpus: 4, seed: SEED, perturb: true, durationMs: 3000 })
      expect(result).toMatchObject(CLEAN)
    })
})

// Progress counts, not time: the run goes on until every CPU has finished an operation, and only a stall ends it before.
// Starting 64 threads takes some ten seconds of CPU, so the suite does it for three scenarios of different kinds.
describe('64 CPUs, however few the cores', () => {
  for (const scenario of ['gup-vs-split', 'dontneed-vs-dontneed', 'mixed'].map(scenarioById))
    it(`all make progress in ${scenario.id}`, { timeout: 600_000 }, async () => {
      const everyCpu = new AbortController()
      const result = await stress({
        scenario,
        cpus: 64,
        seed: SEED,
        durationMs: 300_000,
        signal: everyCpu.signal,
        onProgress: ({ perCpu }) => {
          if (perCpu.every((done) => done > 0)) everyCpu.abort()
        },
      })
      expect(result).toMatchObject({ finding: null, fault: null, stopped: 'interrupted' })
    })
})
