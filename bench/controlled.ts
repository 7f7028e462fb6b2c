/** How many executions a second does the controlled engine make, tracing picks, with all oracles on? One core. */
import Table from 'cli-table3'
import { explore } from '../src/explore/explore.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const ROUNDS = SMOKE ? 1 : 5
const ROUND_MS = SMOKE ? 20 : 1500

const table = new Table({
  head: ['scenario', 'executions/s', 'steps/execution', 'least … most'],
  style: { head: [], border: [] },
})
for (const id of ['message-passing', 'store-buffering', 'gup-vs-split', 'gup-vs-munmap', 'mixed']) {
  const scenario = scenarioById(id)
  const rates: number[] = []
  let steps = 0
  for (let round = 0; round <= ROUNDS; round++) {
    const start = performance.now()
    const result = explore({
      scenario,
      strategy: 'random',
      seed: round,
      stop: () => performance.now() - start > ROUND_MS,
    })
    if (result.finding !== null) throw new Error(`${id}: ${result.finding.title}`)
    if (round > 0) rates.push(result.executions / ((performance.now() - start) / 1000))
    steps = result.steps / result.executions
  }
  table.push([
    id,
    median(rates).toFixed(0),
    steps.toFixed(0),
    `${Math.min(...rates).toFixed(0)} … ${Math.max(...rates).toFixed(0)}`,
  ])
}
console.log(`node ${process.version}, ${ROUNDS} rounds of ${ROUND_MS} ms`)
console.log(table.toString())
