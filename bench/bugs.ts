/**
 * How long does `explore` take to find each bug of the corpus, on one core? For each bug and scenario that shows it: over
 * ten seeds, how many found it within ten seconds, and the median executions and seconds. Names on the command line
 * restrict it to those bugs.
 */
import Table from 'cli-table3'
import { bugs } from '../src/bug/index.js'
import { explore } from '../src/explore/explore.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const SEEDS = SMOKE ? 1 : 10
const LIMIT_MS = SMOKE ? 300 : 10_000
const wanted = process.argv.slice(2)

const table = new Table({
  head: ['bug', 'scenario', 'found', 'median executions', 'median s', 'worst s', 'oracles'],
  style: { head: [], border: [] },
})
for (const bug of bugs.filter((b) => wanted.length === 0 || wanted.includes(b.id)))
  for (const id of bug.scenarios) {
    const found: { executions: number; seconds: number; oracle: string }[] = []
    for (let seed = 1; seed <= SEEDS; seed++) {
      const start = performance.now()
      const result = explore({
        scenario: scenarioById(id),
        bug,
        seed,
        stop: () => performance.now() - start > LIMIT_MS,
      })
      if (result.finding === null) continue
      found.push({
        executions: result.executions,
        seconds: (performance.now() - start) / 1000,
        oracle: result.finding.oracle,
      })
    }
    const seconds = found.map((f) => f.seconds)
    table.push([
      bug.id,
      id,
      `${found.length}/${SEEDS}`,
      found.length === 0 ? '' : median(found.map((f) => f.executions)),
      found.length === 0 ? '' : median(seconds).toFixed(2),
      found.length === 0 ? '' : Math.max(...seconds).toFixed(2),
      [...new Set(found.map((f) => f.oracle))].join(' '),
    ])
  }
console.log(table.toString())
