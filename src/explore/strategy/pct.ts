/**
 * Probabilistic concurrency testing. CPUs have random priorities, and the CPU with the highest runs. At d - 1 random
 * _change points_ the CPU that runs falls below all others. A bug that needs d ordering constraints is found with
 * probability at least 1 / (n · k^(d-1)) in an execution of k points on n CPUs.
 *
 * Source: Burckhardt, Kothari, Musuvathi, Nagarakatti, "A Randomized Scheduler with Probabilistic Guarantees of Finding
 * Bugs", ASPLOS 2010. Departures:
 *
 * - Each execution draws its own depth d, unless the user gives one.
 * - The delivery of an interrupt is an action with a priority of its own.
 * - In most executions, accesses to some words alone count as points (sharedWords.ts). That makes k several times
 *   smaller, and the bound holds for those words only.
 * - k is the length of the longest measured execution, or of one that is drawn: paths that end early would see few
 *   change points of the longest.
 * - An execution that is several times as long as expected becomes fair (fair.ts), since strict priorities would let a
 *   CPU retry in vain for ever.
 */
import { Prng } from '../../base/prng.js'
import { placeOf, type Actions } from '../../machine/engine/actions.js'
import type { SchedulePoint } from '../../machine/engine/controlled.js'
import { FairStrategy } from './fair.js'
import type { Lengths, Profile } from './profile.js'
import { drawSharedWords, mayLeave } from './sharedWords.js'
import type { SampledStrategy } from './strategy.js'

/** Depths that executions draw, by equal chances. */
const DEPTHS = [2, 3, 4, 6]
const DEPTH_MAX = 100

export const PCT = {
  kind: 'sampled',
  id: 'pct',
  summary: 'random priorities and a few points at which the CPU that runs falls below all others',
  options: { depth: { least: 1, most: DEPTH_MAX } },
  make: ({ seed, index, profile, depth }) => new PctStrategy(seed, index, profile, depth),
} as const satisfies SampledStrategy

export class PctStrategy extends FairStrategy {
  /** d: change points, plus 1. */
  readonly depth: number
  /** True when any point of the longest measured execution can be a change point, so that the bound holds. */
  readonly anywhere: boolean
  readonly #prng: Prng
  readonly #cpus: number
  /** By place of the action. */
  readonly #priority: number[] = []
  /** Points, in any order. */
  readonly #changes: number[] = []
  /** Words at whose accesses the change points are; null: at any point. */
  readonly #words: ReadonlySet<number> | null
  #at = 0
  #low = 0

  /** Execution `index` of the exploration with `seed`; `depth`: d, if it is not to be drawn. */
  constructor(seed: number, index: number, profile: Profile, depth: number | null = null) {
    super(profile.fairFrom)
    this.#prng = Prng.split(seed, index)
    this.#cpus = profile.accesses.length
    for (const action of profile.actions) this.#priority[placeOf(action, this.#cpus)] = 1 + this.#prng.next()
    this.#words = drawSharedWords(this.#prng, profile)
    const one = profile.lengths[this.#prng.below(profile.lengths.length)] as Lengths
    this.anywhere = this.#words === null && this.#prng.below(2) === 0
    const length = this.anywhere ? profile.length : pointsOf(one, this.#words)
    this.depth = depth ?? (DEPTHS[this.#prng.below(DEPTHS.length)] as number)
    for (let change = 1; change < this.depth; change++) this.#changes.push(this.#prng.below(Math.max(1, length)))
  }

  protected override draw(point: SchedulePoint): number {
    const { current } = point
    const counts = current >= 0 ? mayLeave(this.#words, point) : this.#words === null
    const at = counts ? this.#at++ : -1
    if (current >= 0) for (const change of this.#changes) if (change === at) this.#priority[current] = --this.#low
    return this.#best(point.actions)
  }

  #best(actions: Actions): number {
    let best = -1
    let priority = -Infinity
    for (let n = 0; n < actions.count; n++) {
      const action = actions.nth(n)
      const own = this.#priority[placeOf(action, this.#cpus)] as number
      if (own > priority) [best, priority] = [action, own]
    }
    return best
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}

/** Points of an execution of these lengths; if only those before accesses to `words` count, as many. */
function pointsOf({ points, before }: Lengths, words: ReadonlySet<number> | null): number {
  if (words === null) return points
  let count = 0
  for (const word of words) count += before.get(word) ?? 0
  return count
}
