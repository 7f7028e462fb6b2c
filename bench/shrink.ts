/**
 * How small do findings become, and what does that cost? For each bug of the corpus, in the first scenario that shows
 * it, over some seeds: switches between CPUs, operations and CPUs before and after (medians), executions and seconds of
 * the processor that shrinking took (medians, and the worst of these).
 *
 * Too many: the most switches that a seed has more than the fewest known of its failure. Those are what any seed came
 * to, and any failure in the first `--bounded` executions of a search for few preemptions first in what each seed was
 * left with.
 *
 * `--seeds 3 --executions 40000` and names of bugs restrict it.
 */
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { bugs, type Bug } from '../src/bug/index.js'
import { Budget } from '../src/explore/shrink/budget.js'
import { explore } from '../src/explore/explore.js'
import { fromFewPreemptions, reducedBy, shrink, type BeforeAfter } from '../src/explore/shrink/shrink.js'
import { isSameFailure, type Finding } from '../src/machine/engine/finding.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { extentOf } from '../src/program/reduction.js'
import { median, SMOKE } from './harness.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string' }, executions: { type: 'string' }, bounded: { type: 'string' } },
})
const SEEDS = SMOKE ? 1 : Number(values.seeds ?? 3)
const EXECUTIONS = SMOKE ? 50 : Number(values.executions ?? 40_000)
const BOUNDED = SMOKE ? 10 : Number(values.bounded ?? 0)

interface Measured {
  readonly finding: Finding
  readonly switches: BeforeAfter
  readonly operations: BeforeAfter
  readonly cpus: BeforeAfter
  readonly executions: number
  readonly seconds: number
  /** Switches, the fewest that are known of what is left. */
  readonly fewest: number
}

function measure(bug: Bug, scenarioId: string, seed: number): Measured | null {
  const { finding, session } = explore({ scenario: scenarioById(scenarioId), bug, seed, executions: EXECUTIONS })
  if (finding === null) return null
  const start = process.cpuUsage()
  const { picks, switches, executions } = shrink(session, finding, session.engine.picks, seed)
  const { user, system } = process.cpuUsage(start)
  const whole = extentOf(session.wholePrograms)
  const same = { operations: unchanged(whole.operations), cpus: unchanged(whole.cpus) }
  const reduced = reducedBy(session) ?? same
  const left = { finding, picks, switches: switches.after }
  const { switches: fewest } = fromFewPreemptions(session, left, BOUNDED, 0, new Budget(Infinity))
  return { finding, switches, ...reduced, executions, seconds: (user + system) / 1e6, fewest }
}

const fewestOf = (all: readonly Measured[], one: Measured): number =>
  Math.min(...all.map(({ finding, fewest }) => (isSameFailure(finding, one.finding) ? fewest : Infinity)))

const unchanged = (n: number): BeforeAfter => ({ before: n, after: n })

function change(all: readonly Measured[], of: (measured: Measured) => BeforeAfter): string {
  return `${median(all.map((one) => of(one).before))} → ${median(all.map((one) => of(one).after))}`
}

const table = new Table({
  head: ['bug', 'scenario', 'found', 'switches', 'too many', 'operations', 'CPUs', 'executions', 'seconds, worst'],
  style: { head: [], border: [] },
})
const chosen = bugs.filter((bug) => positionals.length === 0 || positionals.includes(bug.id))
for (const bug of SMOKE ? chosen.slice(0, 2) : chosen) {
  const scenario = bug.scenarios[0]
  if (scenario === undefined) continue
  const all = Array.from({ length: SEEDS }, (_, i) => measure(bug, scenario, i + 1)).filter((one) => one !== null)
  const seconds = all.map((one) => one.seconds)
  table.push([
    bug.id,
    scenario,
    `${all.length}/${SEEDS}`,
    ...(all.length === 0
      ? []
      : [
          change(all, (one) => one.switches),
          Math.max(...all.map((one) => one.switches.after - fewestOf(all, one))),
          change(all, (one) => one.operations),
          change(all, (one) => one.cpus),
          `${median(all.map((one) => one.executions))}`,
          `${median(seconds).toFixed(2)}, ${Math.max(...seconds).toFixed(2)}`,
        ]),
  ])
}
console.log(table.toString())
