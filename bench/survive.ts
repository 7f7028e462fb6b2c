/**
 * Does fixed code survive? Executions spread evenly over the catalogue, on one core: the number asked for on the
 * command line (1,000,000 unless given), seed 1. With a design of page tables as the third argument: over the scenarios
 * of tables, each with that design. Prints each scenario's rate and ends with exit code 1 on a finding.
 */
import { explore } from '../src/explore/explore.js'
import { scenarioById, scenarios, tableScenarios } from '../src/scenario/catalog/index.js'
import { SMOKE } from './harness.js'

const total = SMOKE ? 200 : Number(process.argv[2] ?? 1_000_000)
const seed = Number(process.argv[3] ?? 1)
const design = process.argv[4]
const list =
  design === undefined
    ? scenarios.filter(({ id }) => !['message-passing-reversed', 'gup-fast-miniature'].includes(id))
    : tableScenarios.map(({ id }) => scenarioById(`${id}@${design}`))
let done = 0
for (const scenario of list) {
  const start = performance.now()
  const result = explore({ scenario, seed, executions: Math.ceil(total / list.length) })
  done += result.executions
  const rate = (result.executions / (performance.now() - start)) * 1000
  console.log(
    `${scenario.id}: ${result.executions} executions, ${rate.toFixed(0)}/s, ${result.finding?.title ?? 'clean'}`,
  )
  if (result.finding === null) continue
  console.log(JSON.stringify(result.finding, null, 2))
  process.exitCode = 1
}
console.log(`${done} executions`)
