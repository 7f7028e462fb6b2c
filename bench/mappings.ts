/**
 * What does a call cost in an address space with many mappings, against one with ten? The search for a VMA, for room,
 * and the change of the tree take logarithmic time, so 10,000 mappings are expected to cost at most half as much again.
 *
 * Mappings of a page each, with a free page between two, in the real geometry and without oracles, each size in a
 * thread of its own. Pairs of calls leave everything as it was: a fault and MADV_DONTNEED of the page, munmap and mmap
 * of a mapping in the middle, mmap and munmap wherever there is room.
 */
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import Table from 'cli-table3'
import { SMOKE } from './harness.js'

const SIZES = SMOKE ? [10, 100] : [10, 1000, 10_000, 100_000]
const WARM_UP_MS = SMOKE ? 2 : 4000
const ROUNDS = SMOKE ? 3 : 60
const ROUND_MS = SMOKE ? 1 : 20

interface Costs {
  readonly builtMs: number
  /** Nanoseconds of each pair of calls. */
  readonly pairs: readonly number[]
}

if (isMainThread) await compare()
else {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=20000')
  setFlagsFromString('--max-inlined-bytecode-size=4000')
  const { ManyMappings } = await import('./manyMappings.js')
  const start = performance.now()
  const lab = new ManyMappings(Number(process.argv.at(-1)))
  const builtMs = performance.now() - start
  const calls = [() => lab.fault(), () => lab.unmapAndMap(), () => lab.mapAndUnmap()]
  calls.forEach((call) => time(call, WARM_UP_MS))
  const costs: Costs = { builtMs, pairs: calls.map(cost) }
  parentPort?.postMessage(costs)
}

async function compare(): Promise<void> {
  const columns = ['fault + MADV_DONTNEED', 'munmap + mmap', 'mmap + munmap'].flatMap((pair) => [`${pair} ns`, 'ratio'])
  const table = new Table({ head: ['mappings', 'built in ms', ...columns], style: { head: [], border: [] } })
  const all: Costs[] = []
  for (const size of SIZES) {
    const thread = new Worker(new URL(import.meta.url), { argv: [String(size)], workerData: null })
    all.push((await once(thread, 'message'))[0] as Costs)
  }
  all.forEach(({ builtMs, pairs }, i) => {
    const ratioOf = (ns: number, pair: number): string => (ns / (all[0]?.pairs[pair] as number)).toFixed(2)
    table.push([
      String(SIZES[i]),
      builtMs.toFixed(0),
      ...pairs.flatMap((ns, pair) => [ns.toFixed(0), ratioOf(ns, pair)]),
    ])
  })
  console.log(table.toString())
}

/** The third fastest of the rounds: others share the machine. */
function cost(call: () => void): number {
  const rounds = Array.from({ length: ROUNDS }, () => time(call, ROUND_MS))
  return rounds.sort((a, b) => a - b)[2] as number
}

/** Nanoseconds of one `call`, of as many as take `ms`. */
function time(call: () => void, ms: number): number {
  const start = performance.now()
  let calls = 0
  for (; performance.now() - start < ms; calls += 10) for (let i = 0; i < 10; i++) call()
  return ((performance.now() - start) / calls) * 1e6
}
