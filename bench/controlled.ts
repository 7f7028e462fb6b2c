/** How many executions a second does the controlled engine make, tracing picks, with all oracles on? One core. */
import Table from 'cli-table3'
import { explore } from '../src/explore/explore.js'
import type { StrategyId } from '../src/explore/searches.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const ROUNDS = SMOKE ? 1 : 5
const ROUND_MS = SMOKE ? 20 : 1500

/** Scenario, strategy, CPUs (null: the scenario's own). */
const CASES: readonly (readonly [string, StrategyId, number | null])[] = [
  ['message-passing', 'random', null],
  ['store-buffering', 'random', null],
  ['try-lock', 'random', 4],
  ['message-passing', 'portfolio', null],
  ['gup-vs-split', 'random', null],
  ['gup-vs-split', 'portfolio', null],
  ['gup-vs-munmap', 'random', null],
  ['mixed', 'random', null],
]

const table = new Table({
  head: ['scenario', 'strategy', 'executions/s', 'steps/execution', 'least … most'],
  style: { head: [], border: [] },
})
for (const [id, strategy, cpus] of CASES) {
  const scenario = scenarioById(id)
  const rates: number[] = []
  let steps = 0
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now()
    const result = explore({
      scenario,
      strategy,
      ...(cpus === null ? {} : { cpus }),
      seed: round,
      stop: () => performance.now() - start > ROUND_MS,
    })
    if (result.finding !== null) throw new Error(`${id}: ${result.finding.title}`)
    if (round > 0) rates.push(result.executions / ((performance.now() - start) / 1000))
    steps = result.steps / result.executions
  }
  table.push([
    cpus === null ? id : `${id}, ${cpus} CPUs`,
    strategy,
    median(rates).toFixed(0),
    steps.toFixed(0),
    `${Math.min(...rates).toFixed(0)} … ${Math.max(...rates).toFixed(0)}`,
  ])
}
console.log(`node ${process.version}, ${ROUNDS} rounds of ${ROUND_MS} ms`)
console.log(table.toString())
