/** What executions of a scenario are like, from a few random walks; and the strategy that measures it. */
import { mayWrite } from '../machine/cpu/access.js'
import type { Strategy } from '../machine/engine/controlled.js'

/** Plain data. The numbers are the largest of any measured execution. */
export interface Profile {
  /** Places at which there was more than one action. */
  readonly length: number
  /** By CPU: how often it came to such a place. */
  readonly points: readonly number[]
  /** Words that several CPUs went to at such places, at least one of them to change it; by address. */
  readonly shared: readonly SharedWord[]
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
  readonly points: number[]
  shared: readonly SharedWord[] = []
  readonly #words = new Map<number, Word>()

  constructor(cpus: number) {
    this.points = Array.from({ length: cpus }, () => 0)
  }

  /** An execution that `counting` heard has ended, after `picks` picks. */
  add(counting: Counting, picks: number): void {
    this.length = Math.max(this.length, picks)
    raise(this.points, counting.points)
    for (const [word, { accesses, written }] of counting.words) {
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
  }
}

interface Word {
  readonly accesses: number[]
  written: boolean
}

/** Counts the points of each CPU under another strategy, and the words that it goes to. */
export class Counting implements Strategy {
  readonly points: number[]
  readonly words = new Map<number, Word>()
  readonly #inner: Strategy

  constructor(inner: Strategy, cpus: number) {
    this.#inner = inner
    this.points = Array.from({ length: cpus }, () => 0)
  }

  pick(current: number, runnable: number, interruptible: number, kind: number, addr: number): number {
    if (current >= 0) {
      this.points[current] = (this.points[current] as number) + 1
      this.#note(current, kind, addr >>> 3)
    }
    return this.#inner.pick(current, runnable, interruptible, kind, addr)
  }

  #note(cpu: number, kind: number, word: number): void {
    let known = this.words.get(word)
    if (known === undefined) this.words.set(word, (known = { accesses: this.points.map(() => 0), written: false }))
    known.accesses[cpu] = (known.accesses[cpu] as number) + 1
    known.written ||= mayWrite(kind)
  }

  choose(n: number): number {
    return this.#inner.choose(n)
  }
}

/** Each of `most` to at least its counterpart in `counts`. */
function raise(most: number[], counts: readonly number[]): void {
  counts.forEach((count, at) => (most[at] = Math.max(most[at] as number, count)))
}
