/**
 * An exploration in several threads, each a whole machine. The coordinator hands out units of work and collects their
 * results. It explores nothing itself, so that Ctrl-C reaches it at once. The result is that of one thread: the same
 * finding in the same execution, and the same counts.
 *
 * When a thread dies, the pool starts another thread, which repeats the unit. A unit that fails twice ends the
 * exploration.
 */
import { totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { Piscina } from 'piscina'
import { UsageError } from '../../base/errors.js'
import { explorationWorkerUrl } from '../../boot/threads/spawn.js'
import { checkpointFor, planOf, resultOf, type ExploreOptions, type ExploreResult } from '../explore.js'
import type { Checkpoint } from '../checkpoint.js'
import { Partition } from './partition.js'
import { Ranges } from './ranges.js'
import { Runner, type Plan } from '../runner.js'
import { partsOf } from '../searches.js'
import type { ShardData } from './shardMain.js'
import { emptyTally } from '../tally.js'
import { encodePlan, decodePlan } from '../planCodec.js'
import type { WorkUnit, UnitResult, Work } from './work.js'

export interface ShardedOptions extends ExploreOptions {
  /** Threads: 1 to 64. */
  readonly shards: number
  /** Heap that one thread may use, in MiB; a share of the machine's memory unless given. */
  readonly heapMb?: number
  /** Called a few times a second. */
  readonly onProgress?: (executions: number) => void
}

export const SHARDS_MAX = 64

/** How often `stop` is asked, and the exploration kept. */
const TICK_MS = 10
/** How long threads may take to stop before they are ended. */
const GRACE_MS = 2000
const HEAP_MB = { least: 256, most: 4096 }

/**
 * As exploreAsync(), in `shards` threads. Start no machine in this thread until it is done. Throws UsageError for what
 * cannot be sent to threads; what fails in one is in the result.
 */
export async function exploreSharded(options: ShardedOptions): Promise<ExploreResult> {
  const { shards: count, executions = Infinity } = options
  checkShards(count)
  const plan = planOf(options)
  const data: ShardData = {
    plan: encodePlan(plan, options.modules ?? {}),
    last: new Int32Array(new SharedArrayBuffer(4)),
    stackTraceLimit: Error.stackTraceLimit,
  }
  await decodePlan(data.plan)
  // This thread's own machine shows what was found. Made first, it refuses what no shard could do either.
  const runner = new Runner(plan)
  const kept = checkpointFor(options, plan)
  const work = workOf(plan, kept, executions, count)
  const { redone, broken } = await new Coordinator(work, data, options, () =>
    kept?.saveSometimes(
      () => work.tally,
      () => work.keep(),
    ),
  ).run()
  const behind = work.behind()
  const tally = behind.found === null ? work.tally : { ...work.tally, found: behind.found }
  const unkept = kept?.save(work.tally, work.keep()) ?? null
  const result = resultOf(tally, plan, runner.session, options.shrink === true)
  const shards = { count, cut: behind.executions, redone, fault: work.fault ?? broken }
  return { ...result, resumed: kept?.resumed ?? null, unkept, shards }
}

function workOf(plan: Plan, kept: Checkpoint | null, executions: number, shards: number): Work {
  const tally = kept?.tally ?? emptyTally()
  const parts = partsOf(plan)
  if (parts === null) return new Ranges(tally, executions, shards)
  if (kept !== null && kept.search !== null) parts.goOn(kept.search)
  return new Partition(parts, tally, executions, shards)
}

function checkShards(count: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= SHARDS_MAX) return
  throw new UsageError(
    `--shards ${count}`,
    `shards are threads: 1 to ${SHARDS_MAX}`,
    'as many as there are cores is best',
  )
}

class Coordinator {
  readonly #work: Work
  readonly #data: ShardData
  readonly #options: ShardedOptions
  readonly #tick: () => void
  readonly #redone: string[] = []
  #pool: Piscina<WorkUnit, UnitResult> | null = null
  #running = 0
  #stopped = false
  /** Why no thread can be had. */
  #broken: string | null = null
  #over: () => void = () => {}
  #fail: (error: unknown) => void = () => {}

  /** `tick` is called now and then. */
  constructor(work: Work, data: ShardData, options: ShardedOptions, tick: () => void) {
    this.#work = work
    this.#data = data
    this.#options = options
    this.#tick = tick
  }

  /** Until all work is done, or the exploration is stopped. Why work was done again, and why no thread can be had. */
  async run(): Promise<{ readonly redone: readonly string[]; readonly broken: string | null }> {
    const over = new Promise<void>((resolve, reject) => {
      this.#over = resolve
      this.#fail = reject
    })
    const timer = setInterval(() => this.#look(), TICK_MS)
    try {
      this.#publish()
      this.#fill()
      await over
      return { redone: this.#redone, broken: this.#broken }
    } finally {
      clearInterval(timer)
      await this.#pool?.destroy()
    }
  }

  /** Gives every idle thread a unit. */
  #fill(): void {
    while (!this.#stopped && this.#running < this.#options.shards) {
      const unit = this.#work.next()
      if (unit === null) break
      this.#running++
      void this.#complete(unit).finally(() => {
        this.#running--
        this.#publish()
        this.#fill()
      })
    }
    if (this.#running === 0) this.#over()
  }

  /** Has the unit done, a second time if the first one fails. */
  async #complete(unit: WorkUnit): Promise<void> {
    const first = await this.#attempt(unit)
    if (first === null || this.#stopped || unit.order > this.#work.last) return
    this.#redone.push(first)
    const second = await this.#attempt(unit)
    if (second !== null && !this.#stopped) this.#work.failed(unit, second)
  }

  /** Null, or how it failed. */
  async #attempt(unit: WorkUnit): Promise<string | null> {
    try {
      this.#work.done(unit, await this.#threads().run(unit))
      return null
    } catch (error) {
      return howItFailed(error)
    }
  }

  /** Started when there is something to do. */
  #threads(): Piscina<WorkUnit, UnitResult> {
    if (this.#pool !== null) return this.#pool
    this.#pool = makePool(this.#data, this.#options)
    // A thread that fails before it can take a unit: none would ever take one.
    this.#pool.on('error', (error) => this.#break(howItFailed(error)))
    return this.#pool
  }

  #publish(): void {
    Atomics.store(this.#data.last, 0, this.#stopped ? -1 : this.#work.last)
  }

  #look(): void {
    try {
      this.#tick()
      this.#options.onProgress?.(this.#work.executions)
      if (!this.#stopped && this.#options.stop?.(this.#work.executions) === true) this.#stop()
    } catch (error) {
      // Of the caller's own functions.
      this.#fail(error)
    }
  }

  #break(why: string): void {
    this.#broken ??= `no thread can be started: ${why}`
    this.#stop()
  }

  /** Threads drop their units; one that does not hear is not waited for. */
  #stop(): void {
    this.#stopped = true
    this.#publish()
    void sleep(GRACE_MS, undefined, { ref: false }).then(() => this.#over())
  }
}

function makePool(workerData: ShardData, { shards, heapMb }: ShardedOptions): Piscina<WorkUnit, UnitResult> {
  const share = totalmem() / 2 ** 20 / 2 / shards
  const maxOldGenerationSizeMb = heapMb ?? Math.round(Math.min(HEAP_MB.most, Math.max(HEAP_MB.least, share)))
  const filename = explorationWorkerUrl().href
  return new Piscina({
    filename,
    minThreads: shards,
    maxThreads: shards,
    workerData,
    resourceLimits: { maxOldGenerationSizeMb },
  })
}

/** In words: of a thread that is gone its last ones, of an error the place too. */
function howItFailed(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const exit = /^worker exited with code: (\d+)$/.exec(error.message)
  if (exit !== null) return `its thread ended with code ${exit[1]}`
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return code.startsWith('ERR_WORKER') ? error.message : (error.stack ?? error.message)
}
