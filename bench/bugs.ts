/**
 * How long does `explore` take to find each bug of the corpus, on one core, with which strategy? For each bug, in the
 * first scenario that shows it: over some seeds, how many found it within the limit, and the median executions and seconds
 * of those. `--seeds 10 --limit 10 --strategies portfolio,random` and names of bugs restrict it.
 */
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { bugs, type Bug } from '../src/bug/index.js'
import { explore } from '../src/explore/explore.js'
import { STRATEGIES, type StrategyId } from '../src/explore/strategies.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string' }, limit: { type: 'string' }, strategies: { type: 'string' } },
})
const SEEDS = SMOKE ? 1 : Number(values.seeds ?? 10)
const LIMIT_MS = SMOKE ? 100 : Number(values.limit ?? 10) * 1000
const strategies = (values.strategies?.split(',') ?? STRATEGIES.map(({ id }) => id)) as StrategyId[]

/** `7/10  118 executions  0.2 s`, worst seconds behind. */
function measure(bug: Bug, scenarioId: string, strategy: StrategyId): string {
  const [executions, seconds]: [number[], number[]] = [[], []]
  for (let seed = 1; seed <= SEEDS; seed++) {
    const start = performance.now()
    const stop = (): boolean => performance.now() - start > LIMIT_MS
    const result = explore({ scenario: scenarioById(scenarioId), bug, seed, strategy, stop })
    if (result.finding === null) continue
    executions.push(result.executions)
    seconds.push((performance.now() - start) / 1000)
  }
  const found = `${executions.length}/${SEEDS}`
  if (executions.length === 0) return found
  return `${found}  ${median(executions)}  ${median(seconds).toFixed(2)} s, ${Math.max(...seconds).toFixed(1)} s`
}

const table = new Table({ head: ['bug', 'scenario', ...strategies], style: { head: [], border: [] } })
const chosen = bugs.filter((bug) => positionals.length === 0 || positionals.includes(bug.id))
for (const bug of chosen) {
  const scenario = bug.scenarios[0]
  if (scenario !== undefined)
    table.push([bug.id, scenario, ...strategies.map((strategy) => measure(bug, scenario, strategy))])
}
console.log(`found of ${SEEDS} seeds within ${LIMIT_MS / 1000} s, median executions, median and worst seconds`)
console.log(table.toString())
