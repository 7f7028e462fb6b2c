/**
 * The profile of a scenario: lengths, accesses and shared words of its executions, measured on a few of them; and the
 * strategy that measures.
 */
import { mayWrite } from '../../machine/cpu/access.js'
import { everyAction } from '../../machine/engine/actions.js'
import type { SchedulePoint, StepRecorder, Strategy } from '../../machine/engine/controlled.js'
import { fairFrom, fairFromUnknown } from './fair.js'

/** Plain data. The numbers are the largest of any measured execution, but for those of `lengths`. */
export interface Profile {
  /** Places at which there was more than one action. */
  readonly length: number
  /** Such places after which an execution is fair (fair.ts). */
  readonly fairFrom: number
  /** By CPU: accesses that it made. */
  readonly accesses: readonly number[]
  /** All actions that the machine can have. */
  readonly actions: readonly number[]
  /** Words that several CPUs went to, at least one of them to change it; by address. */
  readonly shared: readonly SharedWord[]
  /** The same words. */
  readonly sharedWords: ReadonlySet<number>
  /** By measured execution. */
  readonly lengths: readonly Lengths[]
}

export interface Lengths {
  /** Places at which there was more than one action. */
  readonly points: number
  /** By word: at how many of them a CPU that could go on was about to go there. */
  readonly before: ReadonlyMap<number, number>
}

export interface SharedWord {
  /** Address of its 8 bytes, divided by 8. */
  readonly word: number
  /** By CPU: how often it went there. */
  readonly accesses: readonly number[]
}

/** Grows with each measured execution. */
export class Measured implements Profile {
  length = 0
  readonly accesses: number[]
  readonly actions: readonly number[]
  shared: readonly SharedWord[] = []
  sharedWords: ReadonlySet<number> = new Set()
  readonly lengths: Lengths[] = []
  readonly #words = new Map<number, Word>()
  readonly #stepLimit: number

  /** `kinds`: of the actions that the machine has; `stepLimit`: accesses that an execution may make. */
  constructor(cpus: number, kinds: readonly number[], stepLimit: number) {
    this.#stepLimit = stepLimit
    this.accesses = Array.from({ length: cpus }, () => 0)
    this.actions = everyAction(kinds, cpus)
  }

  get fairFrom(): number {
    return fairFrom(this.length, this.#stepLimit)
  }

  /**
   * The execution under `measuring` has ended, after `picks` picks. One that became fair, since a CPU retried in vain,
   * says nothing about the length of others, and is left out unless it is the first.
   */
  add({ recorder, before }: Measuring, picks: number): void {
    if (picks > fairFromUnknown(this.#stepLimit) && this.lengths.length > 0) return
    this.lengths.push({ points: picks, before })
    this.length = Math.max(this.length, picks)
    raise(this.accesses, recorder.accesses)
    for (const [word, { accesses, written }] of recorder.words) {
      const known = this.#words.get(word)
      if (known === undefined) this.#words.set(word, { accesses, written })
      else {
        raise(known.accesses, accesses)
        known.written ||= written
      }
    }
    this.shared = [...this.#words]
      .filter(([, { accesses, written }]) => written && accesses.filter((count) => count > 0).length > 1)
      .map(([word, { accesses }]) => ({ word, accesses }))
      .sort((a, b) => a.word - b.word)
    this.sharedWords = new Set(this.shared.map(({ word }) => word))
  }
}

interface Word {
  readonly accesses: number[]
  written: boolean
}

/** Another strategy, and the measurements of the execution under it. */
export class Measuring implements Strategy {
  readonly recorder: AccessCounts
  /** As in Lengths. */
  readonly before = new Map<number, number>()
  readonly #inner: Strategy

  constructor(inner: Strategy, cpus: number) {
    this.#inner = inner
    this.recorder = new AccessCounts(cpus)
  }

  pick(point: SchedulePoint): number {
    const word = point.addr >>> 3
    if (point.current >= 0) this.before.set(word, 1 + (this.before.get(word) ?? 0))
    return this.#inner.pick(point)
  }

  choose(n: number, cpu: number): number {
    return this.#inner.choose(n, cpu)
  }
}

/** Counts the accesses of one execution, by CPU and word. */
class AccessCounts implements StepRecorder {
  readonly accesses: number[]
  readonly words = new Map<number, Word>()

  constructor(cpus: number) {
    this.accesses = Array.from({ length: cpus }, () => 0)
  }

  step(cpu: number, kind: number, addr: number): void {
    this.accesses[cpu] = (this.accesses[cpu] as number) + 1
    const word = addr >>> 3
    let known = this.words.get(word)
    if (known === undefined) this.words.set(word, (known = { accesses: this.accesses.map(() => 0), written: false }))
    known.accesses[cpu] = (known.accesses[cpu] as number) + 1
    known.written ||= mayWrite(kind)
  }

  event(): void {
    // The accesses of its handler count.
  }

  end(): void {
    // Measured.add() reads the counts.
  }
}

/** Each of `most` to at least its counterpart in `counts`. */
function raise(most: number[], counts: readonly number[]): void {
  counts.forEach((count, at) => (most[at] = Math.max(most[at] as number, count)))
}
