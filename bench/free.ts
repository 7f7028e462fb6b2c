/**
 * The free-running engine's benches. Each machine has a thread of its own, as a machine that runs has, so that V8
 * compiles the kernel for it and for no other; its inlining budget is raised before the kernel is loaded, as in the
 * workers.
 */
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { type Answer, BENCH_PARTS, type BenchPart, print } from './harness.js'

if (isMainThread) {
  const answers: Answer[] = []
  for (const part of BENCH_PARTS) {
    const thread = new Worker(new URL(import.meta.url), { argv: [part], workerData: null })
    answers.push(...((await once(thread, 'message'))[0] as Answer[]))
  }
  print(answers)
} else {
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=20000')
  setFlagsFromString('--max-inlined-bytecode-size=4000')
  const { answersOf } = await import('./freeBenches.js')
  parentPort?.postMessage(await answersOf(process.argv.at(-1) as BenchPart))
}
