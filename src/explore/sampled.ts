/**
 * Schedules drawn at random: execution `index` of a seed is the same whoever runs it and whatever ran before, so that ranges
 * of executions can be spread over threads, continued and counted without a word between them.
 *
 * Some strategies need to know how long executions are. The first few of each exploration are random walks that measure it.
 */
import type { ControlledEngine, Strategy } from '../machine/engine/controlled.js'
import { Measured, Measuring } from './profile.js'
import { RandomStrategy } from './random.js'
import type { IndexedSearch } from './search.js'
import { strategyOf, type SampledId } from './strategies.js'

/** Executions that are random walks and measure the profile. */
export const MEASURED = 8

export class SampledSearch implements IndexedSearch {
  readonly measured = MEASURED
  readonly #id: SampledId
  readonly #depth: number | null
  readonly #seed: number
  readonly #engine: ControlledEngine
  readonly #profile: Measured
  #index = 0
  #measuring: Measuring | null = null

  /** `engine` runs the executions; `depth`: of PCT, if it is fixed. */
  constructor(id: SampledId, depth: number | null, seed: number, engine: ControlledEngine, cpus: number) {
    this.#id = id
    this.#depth = depth
    this.#seed = seed
    this.#engine = engine
    this.#profile = new Measured(cpus)
  }

  next(): Strategy {
    const index = this.#index++
    if (index >= MEASURED) return strategyOf(this.#id, this.#seed, index, this.#profile, this.#depth)
    return (this.#measuring = new Measuring(new RandomStrategy(this.#seed, index, null), this.#profile.accesses.length))
  }

  skipTo(index: number): void {
    this.#index = index
  }

  ended(): boolean {
    if (this.#measuring === null) return true
    this.#profile.add(this.#measuring.recorder, this.#engine.picks.length)
    this.#measuring = null
    return true
  }
}
