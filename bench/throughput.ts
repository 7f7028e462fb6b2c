/**
 * How does throughput grow from 1 to 8 CPUs, each a thread? Two loads: each CPU in memory of its own (stores, pins and
 * drops 16 pages), and all CPUs pinning the same page. Free-running, oracles off; after a warm-up until the rate holds,
 * the median of rounds in which the numbers of CPUs take turns. The threads of each number stay for all rounds. More
 * CPUs than cores share them: then the question is what the sharing costs.
 */
import { availableParallelism } from 'node:os'
import Table from 'cli-table3'
import { fullMachine } from '../src/boot/config.js'
import { CpuThreads } from '../src/boot/threads/cpuThreads.js'
import { freeRun } from '../src/boot/threads/freeRun.js'
import { cpuWorkerUrl } from '../src/boot/threads/spawn.js'
import type { Program } from '../src/program/op.js'
import { isWarm, median, SMOKE } from './harness.js'

const ROUNDS = SMOKE ? 1 : 5
const ROUND_MS = SMOKE ? 50 : 1000
const CPUS = SMOKE ? [1, 2] : [1, 2, 4, 8]
const PAGE = 4096
const HUGE = 512 * PAGE
const ARENA = 8 * HUGE

const LOADS: readonly { readonly name: string; readonly program: (cpu: number) => Program }[] = [
  {
    name: 'own pages: store, pin, MADV_DONTNEED of 16',
    program: (cpu) => {
      const addr = ARENA + (cpu + 1) * HUGE
      return [
        { op: 'store', addr, pages: 16 },
        { op: 'gup', addr, pages: 16, pin: true, write: true },
        { op: 'madvise', addr, len: 16 * PAGE, advice: 'dontneed' },
      ]
    },
  },
  { name: 'one page: gup_fast and put', program: () => [{ op: 'gup', addr: ARENA, pages: 1, fastOnly: true }] },
]

/** Operations a second of `cpus` CPUs, in `threads`, that run `program` for one round. */
async function rate(threads: CpuThreads, cpus: number, program: (cpu: number) => Program): Promise<number> {
  const result = await freeRun({
    machine: { ...fullMachine(cpus), oracles: false, ringLength: 0 },
    boot: [
      { op: 'mmap', addr: ARENA, len: 16 * HUGE, prot: 3, flags: 0x32 },
      { op: 'madvise', addr: ARENA, len: 16 * HUGE, advice: 'nohugepage' },
      { op: 'store', addr: ARENA },
    ],
    programs: Array.from({ length: cpus }, (_, cpu) => program(cpu)),
    durationMs: ROUND_MS,
    threads,
  })
  if (result.finding !== null || result.fault !== null) throw new Error(result.finding?.title ?? result.fault ?? '')
  const operations = Object.values(result.operations).reduce((sum, count) => sum + count, 0)
  return operations / result.seconds
}

const table = new Table({
  head: ['load', 'CPUs', 'operations/s', 'of one CPU'],
  style: { head: [], border: [] },
})
for (const { name, program } of LOADS) {
  const runs = CPUS.map((cpus) => ({ cpus, threads: new CpuThreads(cpus, cpuWorkerUrl(false)), rates: [] as number[] }))
  for (const { threads, cpus } of runs)
    for (const rates: number[] = []; !isWarm(rates);) rates.push(await rate(threads, cpus, program))
  for (let round = 0; round < ROUNDS; round++)
    for (const { threads, cpus, rates } of runs) rates.push(await rate(threads, cpus, program))
  await Promise.all(runs.map(({ threads }) => threads.destroy()))
  const medians = runs.map(({ rates }) => median(rates))
  CPUS.forEach((cpus, i) => {
    const share = (medians[i] as number) / (medians[0] as number)
    table.push([i === 0 ? name : '', cpus, (medians[i] as number).toFixed(0), share.toFixed(2)])
  })
}
console.log(`node ${process.version}, ${availableParallelism()} cores, ${ROUNDS} rounds of ${ROUND_MS} ms`)
console.log(table.toString())
