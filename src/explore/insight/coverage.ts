/**
 * The coverage of an exploration: the number of executions that differ in more than the order of independent accesses,
 * the operations of two CPUs that overlapped, and the orders in which accesses of two CPUs came to one word.
 *
 * Recording an execution costs about as much as running it. Therefore the first executions of an exploration are
 * recorded, and one in RECORDED_EVERY of the rest. The index of an execution decides, so that every thread records the
 * same ones.
 *
 * Two executions are equivalent if one becomes the other by swapping neighbours that do not conflict; a class of them
 * is a trace (Mazurkiewicz, "Concurrent Program Schemes and Their Interpretations", DAIMI PB-78, 1977). An access is
 * hashed with the access of its CPU before it and those that it conflicts with: a load with the last store to its word,
 * a store with that and all loads since. The sum of the hashes of all accesses is the same for equivalent executions,
 * and for others it differs but for a chance of 2^-53. An access that may store counts as a store; each look of a CPU
 * that waits is one of its accesses.
 */
import { assert } from '../../base/assert.js'
import { countBits } from '../../base/bits.js'
import { OPS } from '../../program/op.js'
import { KINDS_MAX } from '../../program/state.js'
import type { Machine } from '../../boot/machine.js'
import { accessName, ACCESSES, accessWidth, mayWrite } from '../../machine/cpu/access.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { ActionKind, CONTROLLED_CPUS_MAX, cpuOf, kindOf } from '../../machine/engine/actions.js'
import type { StepRecorder, Strategy } from '../../machine/engine/controlled.js'
import { peek32 } from '../../machine/image/image.js'
import { PctStrategy } from '../strategy/pct.js'
import { NOTHING_COVERED, siteKey, type CoverageData, type Site } from './coverageData.js'
import { WordClasses } from './wordClass.js'

/** Executions at the beginning that are recorded, each of them. */
export const RECORDED_FIRST = 128
/** After that one in so many is. */
export const RECORDED_EVERY = 64
/** Classes of equivalent executions that are told apart; later ones are not counted. */
const CLASSES_MAX = 1 << 18

/** `mark`: a number of execution `index` that is the same in every thread; the index itself in a sampled search. */
const isRecorded = (index: number, mark = index): boolean => index < RECORDED_FIRST || mark % RECORDED_EVERY === 0

/** The operation that a CPU is in, as its last access saw it. */
interface Running {
  kind: number
  index: number
  done: number
  /** False between two operations. */
  active: boolean
}

/** A site, in numbers. */
interface NumberedSite {
  readonly kind: number
  readonly operation: number
  readonly word: number
  cpus: number
}

/** The operation in the CPU_AREA at `area`, before its program begins. */
const runningAt = (area: number): Running => ({
  kind: peek32(area + CPU_AREA.at.opKind),
  index: peek32(area + CPU_AREA.at.opIndex),
  done: peek32(area + CPU_AREA.at.opsDone),
  active: false,
})

/** Operations by number: 0 between two, then OPS, then these. */
const inInterrupt = (): number => OPS.length + 1
const ofCpu = (): number => OPS.length + 2
const OPERATIONS_MAX = KINDS_MAX + 2 + CONTROLLED_CPUS_MAX
const ACCESSES_MAX = ACCESSES.length + 1
const SITES_MAX = 1 << 14

export class Coverage implements StepRecorder {
  readonly #cpus: number
  readonly #areas: readonly number[]
  readonly #classOf: WordClasses
  /** A litmus test's operations are single accesses. */
  readonly #bare: boolean
  readonly #all: boolean

  // Of this execution. Words by address / 4; what is said of a word holds if its stamp is this execution's.
  #stamp = 0
  readonly #stamps: Int32Array
  readonly #storeA: Int32Array
  readonly #storeB: Int32Array
  readonly #loadsA: Int32Array
  readonly #loadsB: Int32Array
  /** By word and CPU: its last access there; 0 for none. */
  readonly #lastSite: Uint16Array
  readonly #cpuA: Int32Array
  readonly #cpuB: Int32Array
  readonly #running: Running[]
  readonly #atBoot: readonly Running[]
  #sumA = 0
  #sumB = 0
  #recording = false
  /** Of PCT; 0 under any other strategy. */
  #depth = 0

  // Of all executions, and of all that were recorded.
  #executions = 0
  #points = 0
  /** Kinds of actions that were taken, as a mask. */
  #kinds = 1 << ActionKind.goOn
  #pct = new Map<number, number>()
  #recorded = 0
  #beyond = 0
  #classes = new Map<number, number>()
  readonly #operations: Set<number>[]
  readonly #overlaps = new Set<number>()
  readonly #siteNumbers = new Map<number, number>()
  readonly #sites: NumberedSite[] = []
  readonly #orders = new Set<number>()

  /** `machine`: as each execution begins. `bare`: a litmus test runs; `all`: every execution is recorded. */
  constructor(machine: Machine, bare: boolean, all: boolean) {
    this.#bare = bare
    this.#all = all
    this.#cpus = machine.config.cpus
    this.#classOf = new WordClasses(machine)
    const { cpus } = machine.regions.cpus
    this.#areas = Array.from({ length: this.#cpus }, (_, cpu) => cpus + cpu * CPU_AREA.size)
    const words = (machine.layout.size >>> 2) + 1
    this.#stamps = new Int32Array(words)
    this.#storeA = new Int32Array(words)
    this.#storeB = new Int32Array(words)
    this.#loadsA = new Int32Array(words)
    this.#loadsB = new Int32Array(words)
    this.#lastSite = new Uint16Array(words * this.#cpus)
    this.#cpuA = new Int32Array(this.#cpus)
    this.#cpuB = new Int32Array(this.#cpus)
    this.#atBoot = this.#areas.map(runningAt)
    this.#running = this.#atBoot.map((running) => ({ ...running }))
    this.#operations = Array.from({ length: this.#cpus }, () => new Set())
  }

  /** Before execution `index` with `mark` (isRecorded) under `strategy`: who is to hear its steps. */
  begin(index: number, mark: number, strategy: Strategy): StepRecorder | null {
    this.#depth = strategy instanceof PctStrategy && strategy.anywhere ? strategy.depth : 0
    this.#recording = this.#all || isRecorded(index, mark)
    if (!this.#recording) return null
    this.#stamp++
    this.#sumA = this.#sumB = 0
    this.#cpuA.fill(0)
    this.#cpuB.fill(0)
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#running[cpu] = { ...(this.#atBoot[cpu] as Running) }
    return this
  }

  /**
   * After an execution that had `points` places with more than one action. One that was given up does not come here.
   */
  ended(points: number): void {
    this.#executions++
    if (points > this.#points) this.#points = points
    if (this.#depth > 0) this.#pct.set(this.#depth, (this.#pct.get(this.#depth) ?? 0) + 1)
    if (this.#recording) this.#countClass()
  }

  step(cpu: number, kind: number, addr: number): void {
    const writes = mayWrite(kind)
    const word = addr >>> 2
    // A wild pointer: the access itself is what will be found.
    if (word >= this.#stamps.length - 1) return
    this.#hash(cpu, kind, word, writes)
    const operation = this.#bare ? ofCpu() + cpu : this.#operationOf(cpu)
    this.#order(cpu, this.#siteOf(cpu, operation, kind, addr), word, writes)
  }

  event(action: number): void {
    const kind = kindOf(action)
    this.#kinds |= 1 << kind
    this.#advance(cpuOf(action), Math.imul(kind, 0x5bd1e995), 0, 0)
  }

  end(): void {}

  #countClass(): void {
    this.#recorded++
    const hash = (this.#sumA >>> 0) * 0x20_0000 + (this.#sumB >>> 11)
    const seen = this.#classes.get(hash)
    if (seen !== undefined) this.#classes.set(hash, seen + 1)
    else if (this.#classes.size < CLASSES_MAX) this.#classes.set(hash, 1)
    else this.#beyond++
  }

  /** The coverage since the last call. */
  take(): CoverageData {
    const data = this.#data()
    this.#executions = this.#recorded = this.#beyond = 0
    this.#pct = new Map()
    this.#classes = new Map()
    return data
  }

  /** What was seen in recorded executions is said again each time, unless there were none since the last. */
  #data(): CoverageData {
    const counts = {
      executions: this.#executions,
      pct: this.#pct,
      points: this.#points,
      actions: countBits(this.#kinds) * this.#cpus,
    }
    if (this.#recorded === 0) return { ...NOTHING_COVERED, ...counts }
    const key = (site: number): string => siteKey(this.#site(site))
    return {
      ...counts,
      recorded: this.#recorded,
      classes: this.#classes,
      beyond: this.#beyond,
      operations: this.#operations.map((kinds) => new Set([...kinds].map((kind) => OPS[kind] as string))),
      overlaps: new Set([...this.#overlaps].map(overlapName)),
      sites: new Map(this.#sites.map((_, index) => [key(index + 1), this.#site(index + 1)])),
      orders: new Set(
        [...this.#orders].map((pair) => `${key(Math.floor(pair / SITES_MAX))}\x01${key(pair % SITES_MAX)}`),
      ),
    }
  }

  // ---- equivalence ------------------------------------------------------------------------------------------------

  #hash(cpu: number, kind: number, word: number, writes: boolean): void {
    this.#touch(word)
    const wide = accessWidth(kind) === 8
    if (wide) this.#touch(word + 1)
    let [a, b] = [this.#storeA[word] as number, this.#storeB[word] as number]
    if (writes) [a, b] = [a + (this.#loadsA[word] as number), b + (this.#loadsB[word] as number)]
    if (wide) {
      a += Math.imul((this.#storeA[word + 1] as number) + (writes ? (this.#loadsA[word + 1] as number) : 0), 3)
      b += Math.imul((this.#storeB[word + 1] as number) + (writes ? (this.#loadsB[word + 1] as number) : 0), 3)
    }
    this.#advance(cpu, Math.imul(word, 64) + kind, a, b)
    this.#note(word, cpu, writes)
    if (wide) this.#note(word + 1, cpu, writes)
  }

  /** The next of `cpu`'s accesses is `what`, after those that `a` and `b` stand for. */
  #advance(cpu: number, what: number, a: number, b: number): void {
    const seed = what ^ Math.imul(cpu + 1, 0x9e3779b9)
    const nextA = mix((this.#cpuA[cpu] as number) ^ seed, a)
    const nextB = mix((this.#cpuB[cpu] as number) + Math.imul(seed, 0x27d4eb2f), b ^ 0x165667b1)
    this.#cpuA[cpu] = nextA
    this.#cpuB[cpu] = nextB
    this.#sumA = (this.#sumA + nextA) | 0
    this.#sumB = (this.#sumB + nextB) | 0
  }

  #note(word: number, cpu: number, writes: boolean): void {
    const [a, b] = [this.#cpuA[cpu] as number, this.#cpuB[cpu] as number]
    if (writes) {
      this.#storeA[word] = a
      this.#storeB[word] = b
      this.#loadsA[word] = this.#loadsB[word] = 0
    } else {
      this.#loadsA[word] = (this.#loadsA[word] as number) + a
      this.#loadsB[word] = (this.#loadsB[word] as number) + b
    }
  }

  /** Forgets what earlier executions did to `word`. */
  #touch(word: number): void {
    if (this.#stamps[word] === this.#stamp) return
    this.#stamps[word] = this.#stamp
    this.#storeA[word] = this.#storeB[word] = this.#loadsA[word] = this.#loadsB[word] = 0
    const from = word * this.#cpus
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#lastSite[from + cpu] = 0
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  /**
   * Number of the operation that this access of `cpu` belongs to; 0 between two. An operation that is repeated by
   * itself counts once.
   */
  #operationOf(cpu: number): number {
    const area = this.#areas[cpu] as number
    if (peek32(area + CPU_AREA.at.inIrq) !== 0) return inInterrupt()
    const running = this.#running[cpu] as Running
    const kind = peek32(area + CPU_AREA.at.opKind)
    const index = peek32(area + CPU_AREA.at.opIndex)
    const done = peek32(area + CPU_AREA.at.opsDone)
    const begins = kind !== running.kind || index !== running.index
    const ended = done !== running.done
    if (begins || ended) {
      running.kind = kind
      running.index = index
      running.done = done
      // The count goes up at the end of one operation, before the kind of the next is set.
      running.active = begins
      if (begins) this.#begun(cpu, kind)
    }
    return running.active ? kind + 1 : 0
  }

  #begun(cpu: number, kind: number): void {
    ;(this.#operations[cpu] as Set<number>).add(kind)
    for (let other = 0; other < this.#cpus; other++) {
      const running = this.#running[other] as Running
      if (other === cpu || !running.active) continue
      const done = peek32((this.#areas[other] as number) + CPU_AREA.at.opsDone)
      if (done === running.done) this.#overlaps.add(running.kind * KINDS_MAX + kind)
    }
  }

  // ---- accesses ---------------------------------------------------------------------------------------------------

  #siteOf(cpu: number, operation: number, kind: number, addr: number): number {
    const word = this.#classOf.at(addr)
    const key = (word * ACCESSES_MAX + kind) * OPERATIONS_MAX + operation
    let number = this.#siteNumbers.get(key)
    if (number === undefined) {
      number = this.#sites.push({ kind, operation, word, cpus: 0 })
      assert(number < SITES_MAX, 'a scenario has fewer than 16384 kinds of accesses')
      this.#siteNumbers.set(key, number)
    }
    ;(this.#sites[number - 1] as NumberedSite).cpus |= 1 << cpu
    return number
  }

  #order(cpu: number, site: number, word: number, writes: boolean): void {
    const from = word * this.#cpus
    for (let other = 0; other < this.#cpus; other++) {
      const before = this.#lastSite[from + other] as number
      if (other === cpu || before === 0) continue
      if (writes || mayWrite((this.#sites[before - 1] as NumberedSite).kind))
        this.#orders.add(before * SITES_MAX + site)
    }
    this.#lastSite[from + cpu] = site
  }

  #site(number: number): Site {
    const { kind, operation, word, cpus } = this.#sites[number - 1] as NumberedSite
    return {
      operation: operationName(operation),
      access: accessName(kind),
      word: this.#classOf.names[word] as string,
      cpus,
      writes: mayWrite(kind),
    }
  }
}

const overlapName = (pair: number): string =>
  `${OPS[Math.floor(pair / KINDS_MAX)] as string}\0${OPS[pair % KINDS_MAX] as string}`

function operationName(operation: number): string {
  if (operation === 0) return 'between operations'
  if (operation === inInterrupt()) return 'interrupt'
  return operation < inInterrupt() ? (OPS[operation - 1] as string) : `CPU ${operation - ofCpu()}`
}

function mix(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0xcc9e2d51), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35)
  h ^= h >>> 13
  h = Math.imul(h + Math.imul(b, 0x1b873593), 0x2c1b3c6d)
  return h ^ (h >>> 16)
}
