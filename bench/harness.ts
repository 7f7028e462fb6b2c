/**
 * The part that every bench shares: a warm-up that ends when the rate holds, rounds of tinybench in which the ways
 * compared take turns, medians, and the ratio of the first way to the second, taken in one run. Parameters have a smoke
 * value, with which the tests run each bench once.
 *
 * V8 compiles the kernel piece by piece, in some loads for seconds: a bench with a warm-up of fixed length measures how
 * far the compiler has come.
 */
import Table from 'cli-table3'
import { Bench } from 'tinybench'

export interface Way {
  readonly name: string
  /** Does the thing `batch` times. */
  readonly run: () => void
}

export interface Question {
  readonly question: string
  /** The way measured, then what it is measured against. */
  readonly ways: readonly Way[]
  /** Operations that one run() stands for. */
  readonly batch: number
}

export interface Answer {
  readonly question: string
  readonly rows: readonly { readonly name: string; readonly ns: number }[]
  /** First way over last way. */
  readonly ratio: number
}

/** The machines of the free-running benches, each in a thread of its own. */
export const BENCH_PARTS = ['kernel', 'fragments', 'ipi'] as const
export type BenchPart = (typeof BENCH_PARTS)[number]

export const SMOKE = process.env['RACEWALK_BENCH'] === 'smoke'
const ROUNDS = SMOKE ? 1 : 5
const ROUND_MS = SMOKE ? 5 : 200

/** Successive rounds whose rates have to agree, how closely, and the rounds after which a warm-up ends anyhow. */
const STEADY_ROUNDS = 4
const STEADY_WITHIN = 0.05
const WARM_UP_MOST = SMOKE ? 1 : 25

/** The rates of a warm-up, first to last, hold: the last few agree, or there were as many as there may be. */
export function isWarm(rates: readonly number[]): boolean {
  if (rates.length >= WARM_UP_MOST) return true
  const last = rates.slice(-STEADY_ROUNDS)
  return last.length === STEADY_ROUNDS && Math.max(...last) <= (1 + STEADY_WITHIN) * Math.min(...last)
}

/** Runs a way until its rate holds. */
function warmUp({ run }: Way): void {
  for (const rates: number[] = []; !isWarm(rates);) {
    const start = performance.now()
    let runs = 0
    let elapsed = 0
    for (; elapsed < ROUND_MS; elapsed = performance.now() - start) {
      run()
      runs++
    }
    rates.push(runs / elapsed)
  }
}

export async function ask(question: Question): Promise<Answer> {
  const samples = question.ways.map((): number[] => [])
  question.ways.forEach(warmUp)
  for (let round = 0; round < ROUNDS; round++) {
    const bench = new Bench({ time: ROUND_MS, warmupTime: SMOKE ? ROUND_MS : 20 })
    for (const way of question.ways) bench.add(way.name, way.run)
    await bench.run()
    bench.tasks.forEach((task, i) => {
      const { result } = task
      if ('latency' in result) samples[i]?.push((result.latency.p50 * 1e6) / question.batch)
    })
  }
  const rows = question.ways.map((way, i) => ({ name: way.name, ns: median(samples[i] ?? []) }))
  return { question: question.question, rows, ratio: (rows[0]?.ns ?? 0) / (rows.at(-1)?.ns ?? 1) }
}

export function print(answers: readonly Answer[]): void {
  const table = new Table({ head: ['question', 'way', 'ns', 'ratio'], style: { head: [], border: [] } })
  for (const answer of answers)
    answer.rows.forEach((row, i) =>
      table.push([i === 0 ? answer.question : '', row.name, row.ns.toFixed(1), i === 0 ? answer.ratio.toFixed(2) : '']),
    )
  console.log(table.toString())
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
