/**
 * The main thread's eye on a machine that runs in threads: looks at the image a few times a second, asks the CPUs to
 * stop when their time is up, and sees when nothing moves any more, or one CPU does not.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { CONTROL, CPU_AREA, cpuAreaAt } from '../../machine/cpu/area.js'
import type { Finding } from '../../machine/engine/finding.js'
import { attach, cmpxchg32, load32, peek32, store32 } from '../../machine/image/image.js'
import { PHASE } from '../../program/interpret.js'
import type { Machine } from '../machine.js'
import { Starvation } from './starvation.js'
import { describeWaiting, holderOf, type Waiting } from './waiting.js'

/** Why a run ended. */
export type Stopped = 'duration' | 'programs ended' | 'interrupted' | 'finding' | 'fault'

export interface Progress {
  readonly seconds: number
  /** Operations done so far, by CPU. */
  readonly perCpu: readonly number[]
}

export interface WatchOptions {
  readonly durationMs: number
  /**
   * No operation of any CPU, or of one while others go on, for this long is a stall. Scaled up where CPUs share cores.
   */
  readonly stallMs: number
  /** What stallMs counts: milliseconds, of any beginning. */
  readonly clock: () => number
  readonly signal: AbortSignal | undefined
  readonly onProgress: ((progress: Progress) => void) | undefined
}

/** What the watch saw. `fault`: CPUs that do not even halt; their threads must be ended from outside. */
export interface Watched {
  readonly seconds: number
  readonly stopped: Stopped
  readonly stall: Finding | null
  readonly fault: string | null
  /** CPU that panicked first; -1 for none. */
  readonly panicBy: number
}

const POLL_MS = 100
const ARRIVAL_POLL_MS = 5
const START_MS = 60_000
const GRACE_MS = 5_000
/** The panic word when no CPU, but the watch, ended the run. */
const PANIC_BY_WATCH = -1
/** A waiting thread wakes every few milliseconds to look again; so many looks see it asleep. */
const LOOKS_AT_WAITERS = 20

export class Watch {
  readonly #machine: Machine
  readonly #options: WatchOptions
  readonly #control: number
  readonly #before: readonly number[]
  readonly #patience: number
  #stopped: Stopped = 'programs ended'
  #stall: Finding | null = null
  #seconds = 0

  constructor(machine: Machine, options: WatchOptions) {
    this.#machine = machine
    this.#options = options
    this.#control = machine.regions.cpus.control
    this.#patience = Math.max(1, machine.config.cpus / (4 * availableParallelism()))
    this.#before = this.#opsDone()
  }

  /** Lets the CPUs go when all have arrived; returns when `ended` settles, or when CPUs do not answer any more. */
  async over(ended: Promise<unknown>): Promise<Watched> {
    let settled = false
    const end = ended.then(
      () => (settled = true),
      () => (settled = true),
    )
    const fault = (await this.#arrival(() => settled)) ?? (await this.#running(end, () => settled))
    const panicBy = Math.max(-1, this.#word(CONTROL.at.panic) - 1)
    return {
      seconds: this.#seconds,
      stopped: fault === null ? this.#stopped : 'fault',
      stall: this.#stall,
      fault,
      panicBy,
    }
  }

  async #arrival(settled: () => boolean): Promise<string | null> {
    const start = performance.now()
    const { cpus } = this.#machine.config
    while (this.#word(CONTROL.at.arrived) !== cpus && !settled()) {
      if (performance.now() - start > START_MS * this.#patience)
        return `only ${this.#word(CONTROL.at.arrived)} of ${cpus} CPUs started within ${START_MS / 1000} s`
      await sleep(ARRIVAL_POLL_MS)
    }
    store32(this.#control + CONTROL.at.phase, PHASE.running)
    return null
  }

  async #running(end: Promise<unknown>, settled: () => boolean): Promise<string | null> {
    const { onProgress, clock } = this.#options
    const start = performance.now()
    const starvation = new Starvation(this.#machine, this.#stallMs, clock())
    let [signs, signsAt, panicAt] = ['', clock(), Infinity]
    for (;;) {
      await Promise.race([end, sleep(this.#pollMs(performance.now() - start))])
      attach(this.#machine.memory)
      const now = performance.now()
      if (this.#stopped === 'programs ended') this.#seconds = (now - start) / 1000
      onProgress?.({ seconds: (now - start) / 1000, perCpu: this.#progress() })
      if (settled()) return null
      this.#askToStop(now - start)
      const [seen, seenAt] = [this.#signs(), clock()]
      if (seen !== signs) [signs, signsAt] = [seen, seenAt]
      if (this.#word(CONTROL.at.panic) !== 0) panicAt = Math.min(panicAt, now)
      else if (seenAt - signsAt > this.#stallMs) await this.#panicOnStall()
      else await this.#panicOnStarvation(starvation.look(seenAt))
      if (now - panicAt > GRACE_MS * this.#patience)
        return this.#stall === null ? 'CPUs did not halt after a panic' : null
    }
  }

  #pollMs(elapsed: number): number {
    const left = this.#options.durationMs - elapsed
    return left > 0 ? Math.min(POLL_MS, left) : POLL_MS
  }

  #askToStop(elapsed: number): void {
    if (this.#stopped !== 'programs ended') return
    if (this.#options.signal?.aborted === true) this.#stopped = 'interrupted'
    else if (elapsed >= this.#options.durationMs) this.#stopped = 'duration'
    else return
    store32(this.#control + CONTROL.at.stop, 1)
  }

  /** Says who waits for whom and halts the machine. A CPU that waits for the end of the run is not stuck. */
  async #panicOnStall(): Promise<void> {
    const phase = this.#control + CONTROL.at.phase
    const stuck = (await this.#waits()).filter(({ addr }) => addr !== phase)
    const title = `INFO: no CPU has finished an operation for ${Math.round(this.#stallMs)} ms`
    this.#panic(title, null, stuck)
  }

  /** Says what CPU `starved` (-1: none) waits for, who holds that, and what the holder waits for in turn. */
  async #panicOnStarvation(starved: number): Promise<void> {
    if (starved < 0) return
    const waits = await this.#waits()
    const chain: Waiting[] = []
    for (let next = waits[starved]; next !== undefined && !chain.includes(next);) {
      chain.push(next)
      next = waits[holderOf(this.#machine, next.cpu, next.addr)]
    }
    const title = `INFO: CPU ${starved} has not finished an operation for ${Math.round(this.#stallMs)} ms while others did`
    this.#panic(title, chain[0] ?? null, chain)
  }

  #panic(title: string, of: Waiting | null, waiting: readonly Waiting[]): void {
    const address = of === null || of.addr === 0 ? null : of.addr
    const details = describeWaiting(this.#machine, waiting)
    this.#stall = { oracle: 'stall', title, cpu: of?.cpu ?? -1, address, details, stack: [] }
    cmpxchg32(this.#control + CONTROL.at.panic, 0, PANIC_BY_WATCH)
  }

  /** What each CPU waits for, by several looks: a waiting thread is awake now and then. */
  async #waits(): Promise<readonly Waiting[]> {
    const { cpus } = this.#machine.config
    const waits = new Map<number, number>()
    for (let look = 0; look < LOOKS_AT_WAITERS; look++) {
      for (let cpu = 0; cpu < cpus; cpu++) {
        const addr = load32(this.#area(cpu) + CPU_AREA.at.waitingOn)
        if (addr !== 0) waits.set(cpu, addr)
      }
      await sleep(1)
    }
    return Array.from({ length: cpus }, (_, cpu) => ({ cpu, addr: waits.get(cpu) ?? 0 }))
  }

  get #stallMs(): number {
    return this.#options.stallMs * this.#patience
  }

  /** Changes whenever any CPU gets on. */
  #signs(): string {
    return `${this.#word(CONTROL.at.finished)} ${this.#opsDone().join(' ')}`
  }

  #progress(): number[] {
    return this.#opsDone().map((done, cpu) => (done - (this.#before[cpu] as number)) >>> 0)
  }

  #opsDone(): number[] {
    return Array.from({ length: this.#machine.config.cpus }, (_, cpu) => peek32(this.#area(cpu) + CPU_AREA.at.opsDone))
  }

  #area(cpu: number): number {
    return cpuAreaAt(this.#machine.regions.cpus, cpu)
  }

  #word(offset: number): number {
    return load32(this.#control + offset)
  }
}
