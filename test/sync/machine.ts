/**
 * A small machine for the tests of sync/: CPUs, interrupts, RCU and a few words, without an mm.
 *
 * The programs that CPUs run are in programs/*.js, written once as generators and lowered when they are loaded, so that
 * every guarantee is tested in both forms of the kernel: `Machine` runs them on the controlled engine, under a schedule
 * drawn from a seed; `runThreads` (threads.ts) runs them on worker threads, free or perturbed.
 */
import { readFileSync } from 'node:fs'
import { Prng } from '../../dist/src/base/prng.js'
import { cpuId, phys, type PhysAddr } from '../../dist/src/base/units.js'
import { lowerForLoad } from '../../dist/src/boot/lower/lower.js'
import * as area from '../../dist/src/machine/cpu/area.js'
import { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import { placeIpiRegions } from '../../dist/src/machine/cpu/ipi.js'
import {
  ControlledEngine,
  type RunEnd,
  type SchedulePoint,
  type Strategy,
} from '../../dist/src/machine/engine/controlled.js'
import * as engineModule from '../../dist/src/machine/engine/engine.js'
import type { Engine, Step } from '../../dist/src/machine/engine/engine.js'
import { Panic, type Finding } from '../../dist/src/machine/engine/finding.js'
import { cpuOf } from '../../dist/src/machine/engine/actions.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import * as image from '../../dist/src/machine/image/image.js'
import { checkAccesses } from '../../dist/src/machine/image/guarded.js'
import { laboratory } from '../../dist/src/machine/image/guard.js'
import { Layout } from '../../dist/src/machine/image/layout.js'
import { struct } from '../../dist/src/machine/image/struct.js'
import { EventRing, placeRings } from '../../dist/src/machine/trace/ring.js'
import * as completion from '../../dist/src/sync/completion.js'
import * as expedited from '../../dist/src/sync/expedited.js'
import * as list from '../../dist/src/sync/list.js'
import * as mightSleep from '../../dist/src/sync/mightSleep.js'
import * as rcuModule from '../../dist/src/sync/rcu.js'
import { Rcu, placeRcu } from '../../dist/src/sync/rcu.js'
import * as rcuLayout from '../../dist/src/sync/rcuLayout.js'
import * as rwsem from '../../dist/src/sync/rwsem.js'
import * as seqcount from '../../dist/src/sync/seqcount.js'
import * as spinlock from '../../dist/src/sync/spinlock.js'
import * as waitQueue from '../../dist/src/sync/waitQueue.js'
import { membersOf } from '../machine/points.js'

const KIT = {
  ...area,
  ...engineModule,
  ...image,
  ...completion,
  ...expedited,
  ...list,
  ...mightSleep,
  ...rcuLayout,
  ...rcuModule,
  ...rwsem,
  ...seqcount,
  ...spinlock,
  ...waitQueue,
  phys,
}

/** Words of the tests, each on a cache line of its own. */
export const WORD = struct('word', 64, {
  a: [0, 4, laboratory],
  b: [4, 4, laboratory],
  c: [8, 4, laboratory],
  d: [12, 4, laboratory],
})
export const WORDS = 256

/** Addresses that every thread of a machine needs. */
export interface Places {
  readonly cpuCount: number
  readonly regions: area.CpuRegions
  readonly csds: PhysAddr
  readonly rings: PhysAddr
  readonly rcu: PhysAddr
  readonly words: PhysAddr
  readonly bytes: number
}

export function place(cpuCount: number): Places {
  const layout = new Layout()
  const regions = area.placeCpuRegions(layout, cpuCount)
  const csds = placeIpiRegions(layout, cpuCount)
  const rings = placeRings(layout, cpuCount, 0)
  const rcu = placeRcu(layout, cpuCount)
  const words = layout.add('words', WORD, WORDS)
  return { cpuCount, regions, csds, rings, rcu, words, bytes: layout.size }
}

/** What a file of programs/ makes of the kernel's exports; bootArgs may choose a variant. */
export interface Programs {
  /** RCU as this file wants it; mainline otherwise. */
  readonly Rcu?: typeof Rcu
  /** Registers handlers and callbacks, the same on every CPU; programs get what it returns as their last argument. */
  boot?(cpu: Cpu, rcu: Rcu, args: unknown): unknown
  readonly [program: string]: unknown
}
type Program = (cpu: Cpu, rcu: Rcu, args: unknown, own: unknown) => Step<unknown>

/** A module of this text; the source URL keeps stack traces readable. */
export function urlOf(code: string, file: string): string {
  const named = `${code}\n//# sourceURL=programs/${file}.js\n`
  return `data:text/javascript;base64,${Buffer.from(named).toString('base64')}`
}

export const codeOf = (file: string): string => readFileSync(new URL(`programs/${file}.js`, import.meta.url), 'utf8')

async function load(file: string, places: Places, bootArgs: unknown): Promise<Programs> {
  const code = lowerForLoad(codeOf(file), `${file}.js`, 'controlled')
  const module = (await import(/* @vite-ignore */ urlOf(code, file))) as {
    default(kit: object, places: Places, bootArgs: unknown): Programs
  }
  return module.default(KIT, places, bootArgs)
}

/** Uniform over what can happen next, but lets a CPU go on for a while: every 2nd to 17th point is a choice. */
export class RandomStrategy implements Strategy {
  readonly #prng: Prng
  readonly #every: number

  constructor(seed: number) {
    this.#prng = new Prng(seed)
    this.#every = 1 + this.#prng.below(16)
  }

  pick({ current, actions }: SchedulePoint): number {
    if (current >= 0 && actions.has(current) && this.#prng.below(this.#every) !== 0) return current
    const byCpu = membersOf(actions).sort((a, b) => cpuOf(a) - cpuOf(b) || a - b)
    return byCpu[this.#prng.below(byCpu.length)] as number
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}

export type Outcome =
  | { readonly kind: 'done'; readonly results: readonly unknown[] }
  | { readonly kind: 'panic'; readonly finding: Finding }
  | Exclude<RunEnd, { kind: 'done' }>

/** What one CPU runs: a program's name and its arguments. */
export type Task = readonly [program: string, args?: unknown]

/** A machine on the controlled engine. Only one at a time: the image is attached to the thread. */
export class Machine {
  readonly places: Places
  readonly cpus: readonly Cpu[]
  readonly rcus: readonly Rcu[]
  readonly engine: ControlledEngine
  readonly #programs: Programs
  readonly #own: readonly unknown[]

  private constructor(places: Places, programs: Programs, bootArgs: unknown) {
    attachMemory(places.bytes)
    this.places = places
    this.#programs = programs
    const handlers = Array.from({ length: places.cpuCount }, (_, cpu) => () => (this.cpus[cpu] as Cpu).ipi.handle())
    this.engine = new ControlledEngine(handlers, new RandomStrategy(0))
    this.cpus = handlers.map((_, cpu) => makeCpu(places, cpu, this.engine))
    this.rcus = this.cpus.map((cpu) => new (programs.Rcu ?? Rcu)(cpu, places.rcu))
    this.#own = this.cpus.map((cpu, index) => programs.boot?.(cpu, this.rcus[index] as Rcu, bootArgs))
    image.snapshot(places.bytes)
  }

  static async boot(cpuCount: number, file: string, bootArgs?: unknown): Promise<Machine> {
    const places = place(cpuCount)
    return new Machine(places, await load(file, places, bootArgs), bootArgs)
  }

  /** One execution from the booted state, CPU c running task c (those without a task are idle). */
  run(seed: number, tasks: readonly Task[]): Outcome {
    return this.runUnder(new RandomStrategy(seed), tasks)
  }

  runUnder(strategy: Strategy, tasks: readonly Task[]): Outcome {
    image.restore()
    this.engine.strategy = strategy
    const results: unknown[] = []
    try {
      const end = this.engine.run(tasks.map((task, cpu) => this.#start(cpu, task, results)))
      return end.kind === 'done' ? { kind: 'done', results } : end
    } catch (error) {
      if (error instanceof Panic) return { kind: 'panic', finding: error.finding }
      throw error
    }
  }

  *#start(cpu: number, [name, args]: Task, results: unknown[]): Step<void> {
    const program = this.#programs[name] as Program
    const step = program(this.cpus[cpu] as Cpu, this.rcus[cpu] as Rcu, args, this.#own[cpu])
    results[cpu] = yield* step
  }

  /** Address of test word `index`. */
  word(index: number): PhysAddr {
    return phys(this.places.words + index * WORD.size)
  }

  peek(index: number): number {
    return image.peek32(this.word(index))
  }
}

/** A fresh image, whose accesses no oracle checks: a machine of another test may have left its own. */
function attachMemory(bytes: number): void {
  image.attach(image.createMemory(bytes))
  checkAccesses(null)
}

function makeCpu(places: Places, cpu: number, engine: Engine): Cpu {
  const areaAt = phys(places.regions.cpus + cpu * area.CPU_AREA.size)
  const ring = new EventRing(places.rings, cpu, 0, areaAt)
  return new Cpu(cpuId(cpu), places.cpuCount, places.regions, places.csds, ring, engine)
}

/** One CPU alone, for calls that need no other; its RCU watches it. */
export function soloCpu(): { cpu: Cpu; rcu: Rcu; word(index: number): PhysAddr } {
  const places = place(1)
  attachMemory(places.bytes)
  const cpu = makeCpu(places, 0, new SoloEngine())
  return { cpu, rcu: new Rcu(cpu, places.rcu), word: (index) => phys(places.words + index * WORD.size) }
}

// ---- many executions ----------------------------------------------------------------------------------------------

/** Outcomes of `executions` schedules, counted by what `classify` calls them (the kind, or the finding's oracle). */
export function survey(
  machine: Machine,
  executions: number,
  tasks: readonly Task[],
  classify: (outcome: Outcome) => string = name,
): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let seed = 1; seed <= executions; seed++) {
    const key = classify(machine.run(seed, tasks))
    counts[key] = (counts[key] ?? 0) + 1
  }
  return counts
}

export function name(outcome: Outcome): string {
  return outcome.kind === 'panic' ? outcome.finding.oracle : outcome.kind
}
