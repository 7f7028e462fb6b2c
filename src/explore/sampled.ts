/**
 * Schedules drawn at random: execution `index` of a seed is the same whoever runs it and whatever ran before, so that ranges
 * of executions can be spread over threads, continued and counted without a word between them.
 *
 * Some strategies need to know how long executions are. The first few of each exploration are random walks that measure it.
 */
import type { ControlledEngine, Strategy } from '../machine/engine/controlled.js'
import { RandomStrategy } from './random.js'
import type { IndexedSearch } from './search.js'
import { strategyOf, type SampledId } from './strategies.js'

/** Executions that are random walks and measure the profile. */
export const MEASURED = 4

/** What executions of a scenario are like, from the first MEASURED of a seed. */
export interface Profile {
  /** Places at which there was more than one action, in the longest. */
  readonly length: number
  /** By CPU: how often it came to such a place, at most. */
  readonly points: readonly number[]
}

export class SampledSearch implements IndexedSearch {
  readonly measured = MEASURED
  readonly #id: SampledId
  readonly #seed: number
  readonly #engine: ControlledEngine
  readonly #profile: { length: number; points: number[] }
  #index = 0
  #counting: Counting | null = null

  /** `engine` runs the executions. */
  constructor(id: SampledId, seed: number, engine: ControlledEngine, cpus: number) {
    this.#id = id
    this.#seed = seed
    this.#engine = engine
    this.#profile = { length: 0, points: Array.from({ length: cpus }, () => 0) }
  }

  get profile(): Profile {
    return this.#profile
  }

  next(): Strategy {
    const index = this.#index++
    if (index >= MEASURED) return strategyOf(this.#id, this.#seed, index, this.#profile)
    return (this.#counting = new Counting(new RandomStrategy(this.#seed, index), this.#profile.points.length))
  }

  skipTo(index: number): void {
    this.#index = index
  }

  ended(): void {
    const { points } = this.#counting ?? { points: null }
    if (points === null) return
    this.#counting = null
    const profile = this.#profile
    profile.length = Math.max(profile.length, this.#engine.picks.length)
    points.forEach((count, cpu) => (profile.points[cpu] = Math.max(profile.points[cpu] as number, count)))
  }
}

/** Counts the points of each CPU under another strategy. */
class Counting implements Strategy {
  readonly points: number[]
  readonly #inner: Strategy

  constructor(inner: Strategy, cpus: number) {
    this.#inner = inner
    this.points = Array.from({ length: cpus }, () => 0)
  }

  pick(current: number, runnable: number, interruptible: number, kind: number, addr: number): number {
    if (current >= 0) this.points[current] = (this.points[current] as number) + 1
    return this.#inner.pick(current, runnable, interruptible, kind, addr)
  }

  choose(n: number, cpu: number): number {
    return this.#inner.choose(n, cpu)
  }
}
