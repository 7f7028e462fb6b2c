/**
 * What do the oracles cost? The same executions with all of them and with none, in turns, one core. Asked for: at most
 * three times the cost of running without.
 */
import Table from 'cli-table3'
import { explore } from '../src/explore/explore.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const ROUNDS = SMOKE ? 1 : 5
/** Executions of a round, about half a second each. */
const SCENARIOS = {
  'gup-vs-split': 3000,
  'gup-vs-munmap': 2000,
  'gup-vs-collapse': 3000,
  'retract-vs-exit': 2000,
  'leave-vs-purge': 2000,
  mixed: 300,
}

/** Microseconds of the processor that an execution takes, its first and slower ones left out. */
function cost(id: string, oracles: boolean, executions: number): number {
  const scenario = scenarioById(id)
  explore({ scenario, strategy: 'random', oracles, executions: Math.ceil(executions / 4) })
  const start = process.cpuUsage()
  const result = explore({ scenario, strategy: 'random', oracles, executions })
  const { user, system } = process.cpuUsage(start)
  if (result.finding !== null) throw new Error(`${id}: ${result.finding.title}`)
  return (user + system) / executions
}

const table = new Table({
  head: ['scenario', 'with oracles, µs', 'without, µs', 'ratio', 'least … most'],
  style: { head: [], border: [] },
})
for (const [id, full] of Object.entries(SCENARIOS)) {
  const executions = SMOKE ? 5 : full
  const rounds = Array.from({ length: ROUNDS }, () => {
    const [on, off] = [cost(id, true, executions), cost(id, false, executions)]
    return { on, off, ratio: on / off }
  })
  const ratios = rounds.map(({ ratio }) => ratio)
  table.push([
    id,
    median(rounds.map(({ on }) => on)).toFixed(0),
    median(rounds.map(({ off }) => off)).toFixed(0),
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)}`,
  ])
}
console.log(`node ${process.version}, ${ROUNDS} rounds each way`)
console.log(table.toString())
