/**
 * Runs the programs of programs/*.js on worker threads, a CPU a thread, all over one memory. Starting a thread takes
 * longer than most runs, so threads stay for the next run of the same form; each attaches to that run's memory.
 */
import { Worker } from 'node:worker_threads'
import { lowerForLoad } from '../../dist/src/boot/lower/lower.js'
import type { Finding } from '../../dist/src/machine/engine/finding.js'
import * as image from '../../dist/src/machine/image/image.js'
import { codeOf, place, urlOf, WORD, WORDS, type Task } from './machine.js'

/** `free` is the stripped form, `perturb` generators with pauses. */
export type ThreadForm = 'free' | 'perturb'

export interface ThreadsResult {
  /** What each program returned; null where one panicked or halted. */
  readonly results: readonly unknown[]
  readonly findings: readonly Finding[]
  /** First word of each test word. */
  readonly words: Int32Array
}

interface Reply {
  readonly result?: unknown
  readonly finding?: Finding
}

/** One thread, which runs one job after another. */
class Thread {
  readonly #worker: Worker
  #answer: (reply: Reply) => void = () => {}
  #refuse: (error: Error) => void = () => {}

  constructor(form: ThreadForm) {
    this.#worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { form } })
    this.#worker.on('message', (reply: Reply) => this.#answer(reply))
    this.#worker.on('error', (error) => this.#refuse(error))
    this.#worker.on('exit', (code) => this.#refuse(new Error(`a CPU's thread ended with ${code}`)))
  }

  run(job: object): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#answer = resolve
      this.#refuse = reject
      this.#worker.postMessage(job)
    })
  }

  async dismiss(): Promise<void> {
    this.#refuse = () => {}
    await this.#worker.terminate()
  }
}

const crews: Readonly<Record<ThreadForm, Thread[]>> = { free: [], perturb: [] }

/** The first `count` threads of a form. */
function crew(form: ThreadForm, count: number): Thread[] {
  const threads = crews[form]
  while (threads.length < count) threads.push(new Thread(form))
  return threads.slice(0, count)
}

/** Ends the threads of all runs. */
export async function dismissThreads(): Promise<void> {
  const all = Object.values(crews).flatMap((threads) => threads.splice(0))
  await Promise.all(all.map((thread) => thread.dismiss()))
}

/** Runs task c on thread c. */
export async function runThreads(
  form: ThreadForm,
  file: string,
  tasks: readonly Task[],
  options: { seed?: number; bootArgs?: unknown } = {},
): Promise<ThreadsResult> {
  const places = place(tasks.length)
  const memory = image.createMemory(places.bytes)
  const code = lowerForLoad(codeOf(file), `${file}.js`, form === 'free' ? 'free' : 'controlled')
  const shared = { memory, places, url: urlOf(code, file), seed: options.seed ?? 1, bootArgs: options.bootArgs }
  const threads = crew(form, tasks.length)
  const replies = await Promise.all(threads.map((thread, cpu) => thread.run({ ...shared, cpu, task: tasks[cpu] })))
  const all = new Int32Array(memory.buffer)
  return {
    results: replies.map((reply) => reply.result ?? null),
    findings: replies.flatMap((reply) => (reply.finding === undefined ? [] : [reply.finding])),
    words: Int32Array.from({ length: WORDS }, (_, i) => all[(places.words + i * WORD.size) >>> 2] as number),
  }
}
