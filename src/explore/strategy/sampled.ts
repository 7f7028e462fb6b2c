/**
 * Schedules drawn at random. Execution `index` of a seed is the same in every thread and whatever ran before, so that
 * ranges of executions are spread over threads, continued and counted without communication.
 *
 * Some strategies use measurements of the scenario's executions. The first few executions of each exploration are
 * measured. Every other one of them is a random walk; the rest run one CPU after the other to its end, beginning with
 * each CPU in turn: a path that a program takes only when it comes first, or last, is rare in random walks, and
 * strategies switch only at words that a measured execution accessed.
 */
import type { ControlledEngine, Strategy } from '../../machine/engine/controlled.js'
import { fairFromUnknown } from './fair.js'
import { Measured, Measuring } from './profile.js'
import { RandomStrategy } from './random.js'
import { SerialStrategy } from './serial.js'
import type { IndexedSearch } from './search.js'
import type { SampledStrategy } from './strategy.js'

/** Executions that measure. */
const MEASURED = 16

export class SampledSearch implements IndexedSearch {
  readonly measured: number
  readonly #row: SampledStrategy
  readonly #depth: number | null
  readonly #seed: number
  readonly #engine: ControlledEngine
  readonly #profile: Measured
  #index = 0
  /** Executions that have been measured. */
  #known = 0
  #measuring: Measuring | null = null

  /** `engine` runs the executions; `depth`: of PCT, if it is fixed; `measured`: executions that measure. */
  constructor(
    row: SampledStrategy,
    depth: number | null,
    seed: number,
    engine: ControlledEngine,
    cpus: number,
    measured = MEASURED,
  ) {
    this.#row = row
    this.#depth = depth
    this.#seed = seed
    this.#engine = engine
    this.#profile = new Measured(cpus, engine.kinds, engine.stepLimit)
    this.measured = measured
  }

  next(): Strategy {
    const index = this.#index++
    if (index >= this.measured)
      return this.#row.make({ seed: this.#seed, index, profile: this.#profile, depth: this.#depth })
    const cpus = this.#profile.accesses.length
    const fairFrom = fairFromUnknown(this.#engine.stepLimit)
    const inner =
      index % 2 === 0
        ? new RandomStrategy(this.#seed, index, null, fairFrom)
        : new SerialStrategy((index >>> 1) % cpus, cpus, fairFrom)
    // A shard, or an exploration that is resumed, measures before it comes to these executions.
    if (index < this.#known) return inner
    return (this.#measuring = new Measuring(inner, cpus))
  }

  skipTo(index: number): void {
    this.#index = index
  }

  ended(): boolean {
    if (this.#measuring === null) return true
    this.#profile.add(this.#measuring, this.#engine.pickCount)
    this.#measuring = null
    this.#known++
    return true
  }
}
