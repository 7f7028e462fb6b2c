/**
 * How many more executions a second do two shards make than one? The target is 1.7 times on two idle cores.
 *
 * None, one and two take turns in each round; the ratio is that of a round, so that a load that comes and goes falls on
 * both. "Running" leaves the start of the threads out: it is the difference between a long call and a short one. Where
 * others use the cores too, look at the CPU time of an execution: as long as two shards need no more of it than one,
 * all that is missing are cores.
 */
import { availableParallelism, loadavg } from 'node:os'
import Table from 'cli-table3'
import { exploreAsync } from '../src/explore/explore.js'
import { exploreSharded } from '../src/explore/shards/shards.js'
import { scenarioById } from '../src/scenario/catalog/index.js'
import { median, SMOKE } from './harness.js'

const ROUNDS = SMOKE ? 1 : 3
/** Executions of a long call: so many that what it takes V8 to compile the kernel, in each thread, is a small part. */
const LONG: Readonly<Record<string, number>> = SMOKE
  ? { 'gup-vs-split': 40 }
  : { 'message-passing': 2_000_000, 'gup-vs-split': 100_000 }
/** A short call is so much shorter: long enough that V8 has compiled what is hot when it ends. */
const SHORTER = 4

/** 0: no shards, everything in this thread. */
const SHARDS = [0, 1, 2]

/** Executions a second of the whole call and while running, and ns of CPU time that one takes while running. */
interface Rates {
  readonly whole: number
  readonly running: number
  readonly cpuNs: number
}

interface Times {
  readonly seconds: number
  readonly cpuSeconds: number
}

async function timesOf(id: string, shards: number, executions: number): Promise<Times> {
  const options = { scenario: scenarioById(id), executions, seed: 1 }
  const [start, cpuBefore] = [performance.now(), process.cpuUsage()]
  const result = await (shards === 0 ? exploreAsync(options) : exploreSharded({ ...options, shards }))
  if (result.executions !== executions) throw new Error(`${id}: ${result.executions} of ${executions} executions`)
  const { user, system } = process.cpuUsage(cpuBefore)
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 }
}

async function ratesOf(id: string, shards: number): Promise<Rates> {
  const executions = LONG[id] as number
  const short = await timesOf(id, shards, executions / SHORTER)
  const long = await timesOf(id, shards, executions)
  const more = executions - executions / SHORTER
  return {
    whole: executions / long.seconds,
    running: more / (long.seconds - short.seconds),
    cpuNs: ((long.cpuSeconds - short.cpuSeconds) * 1e9) / more,
  }
}

const table = new Table({
  head: ['scenario', 'shards', 'whole call, 1/s', 'running, 1/s', 'CPU ns/execution', 'whole : 1 shard', 'running'],
  style: { head: [], border: [] },
})
for (const id of Object.keys(LONG)) {
  const rounds: Rates[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    const rates: Rates[] = []
    for (const shards of SHARDS) rates.push(await ratesOf(id, shards))
    rounds.push(rates)
  }
  SHARDS.forEach((shards, i) => {
    const of = (figure: (rates: Rates, one: Rates) => number): number =>
      median(rounds.map((rates) => figure(rates[i] as Rates, rates[1] as Rates)))
    table.push([
      id,
      shards === 0 ? 'none' : String(shards),
      of(({ whole }) => whole).toFixed(0),
      of(({ running }) => running).toFixed(0),
      of(({ cpuNs }) => cpuNs).toFixed(0),
      of(({ whole }, one) => whole / one.whole).toFixed(2),
      of(({ running }, one) => running / one.running).toFixed(2),
    ])
  })
}
const load = loadavg().map((n) => n.toFixed(1))
console.log(`node ${process.version}, ${ROUNDS} rounds, ${availableParallelism()} cores, load ${load.join(' ')}`)
console.log(table.toString())
