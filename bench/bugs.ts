/**
 * How long does `explore` take to find each bug of the corpus, on one core, with which strategy? For each bug, in the
 * first scenario that shows it: over some seeds, how many found it within the limit, and the median executions and
 * seconds of those. Seconds are the processor's, so that what else runs on the machine does not count.
 * `--seeds 10 --limit 10 --executions 20000 --strategies portfolio,random` and names of bugs restrict it.
 */
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { bugs, type Bug } from '../src/bug/index.js'
import { explore } from '../src/explore/explore.js'
import { STRATEGIES, type StrategyId } from '../src/explore/searches.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: 'string' },
    limit: { type: 'string' },
    executions: { type: 'string' },
    strategies: { type: 'string' },
  },
})
const SEEDS = SMOKE ? 1 : Number(values.seeds ?? 10)
const LIMIT = SMOKE ? 0.1 : Number(values.limit ?? 10)
const EXECUTIONS = Number(values.executions ?? Infinity)
const strategies = (values.strategies?.split(',') ?? STRATEGIES.map(({ id }) => id)) as StrategyId[]

/** The same with every seed: one is enough. */
const SYSTEMATIC: readonly StrategyId[] = ['bounded']

/** `7/10  118 executions  0.2 s`, worst seconds behind. */
function measure(bug: Bug, scenarioId: string, strategy: StrategyId): string {
  const [executions, seconds]: [number[], number[]] = [[], []]
  const seeds = SYSTEMATIC.includes(strategy) ? 1 : SEEDS
  for (let seed = 1; seed <= seeds; seed++) {
    const start = process.cpuUsage()
    const elapsed = (): number => {
      const { user, system } = process.cpuUsage(start)
      return (user + system) / 1e6
    }
    const scenario = scenarioById(scenarioId)
    const result = explore({ scenario, bug, seed, strategy, executions: EXECUTIONS, stop: () => elapsed() > LIMIT })
    if (result.finding === null) continue
    executions.push(result.executions)
    seconds.push(elapsed())
  }
  const found = `${executions.length}/${seeds}`
  if (executions.length === 0) return found
  return `${found}  ${median(executions)}  ${median(seconds).toFixed(2)} s, ${Math.max(...seconds).toFixed(1)} s`
}

const table = new Table({ head: ['bug', 'scenario', ...strategies], style: { head: [], border: [] } })
const chosen = bugs.filter((bug) => positionals.length === 0 || positionals.includes(bug.id))
for (const bug of SMOKE ? chosen.slice(0, 4) : chosen) {
  const scenario = bug.scenarios[0]
  if (scenario !== undefined)
    table.push([bug.id, scenario, ...strategies.map((strategy) => measure(bug, scenario, strategy))])
}
console.log(`found of ${SEEDS} seeds within ${LIMIT} s, median executions, median and worst seconds`)
console.log(table.toString())
