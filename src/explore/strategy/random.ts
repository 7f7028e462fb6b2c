/**
 * A random walk over schedules. At each point it leaves the CPU that runs with some probability, the _odds of
 * switching_, and draws the next action among the others. Each execution draws its odds: even odds at every point are
 * weak where a CPU has many private steps, and the odds drawn here cover windows from one access to a whole operation.
 *
 * Most executions leave a CPU only before accesses to some words (sharedWords.ts). An execution that is several times
 * as long as expected becomes fair (fair.ts).
 */
import { Prng } from '../../base/prng.js'
import type { Actions } from '../../machine/engine/actions.js'
import type { SchedulePoint } from '../../machine/engine/controlled.js'
import { FAIR_FROM_UNKNOWN, FairStrategy } from './fair.js'
import type { Profile } from './profile.js'
import { drawSharedWords, mayLeave } from './sharedWords.js'
import type { SampledStrategy } from './strategy.js'

/** Odds of leaving the current CPU at a point, as thresholds of 32 bits. */
const ODDS = [1 / 2, 1 / 6, 1 / 16, 1 / 48, 1 / 150, 1 / 400].map((p) => p * 0x1_0000_0000)

export const RANDOM = {
  kind: 'sampled',
  id: 'random',
  summary: 'a random walk, with odds of switching that each execution draws',
  options: {},
  make: ({ seed, index, profile }) => new RandomStrategy(seed, index, profile),
} as const satisfies SampledStrategy

export class RandomStrategy extends FairStrategy {
  readonly #prng: Prng
  readonly #odds: number
  /** Words before whose accesses the CPU is left; null: any. */
  readonly #words: ReadonlySet<number> | null

  /** Execution `index` of the exploration with `seed`; `profile`: what executions are like, null if unknown. */
  constructor(seed: number, index: number, profile: Profile | null, fairFrom = profile?.fairFrom ?? FAIR_FROM_UNKNOWN) {
    super(fairFrom)
    this.#prng = Prng.split(seed, index)
    this.#odds = leaveOdds(this.#prng)
    this.#words = profile === null ? null : drawSharedWords(this.#prng, profile)
  }

  protected override draw(point: SchedulePoint): number {
    if (!mayLeave(this.#words, point)) return point.current
    return randomAction(this.#prng, this.#odds, point.current, point.actions)
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}

/** Odds of leaving the current CPU at a point, drawn from those of the file's head: a threshold for 32 bits. */
export const leaveOdds = (prng: Prng): number => ODDS[prng.below(ODDS.length)] as number

/** Stays on `current` (-1: it cannot go on) unless `odds` say otherwise; then any other action, by equal chances. */
export function randomAction(prng: Prng, odds: number, current: number, actions: Actions): number {
  if (current >= 0 && prng.next() >= odds) return current
  const others = current >= 0 ? actions.count - 1 : actions.count
  return others === 0 ? current : actions.nthBut(current, prng.below(others))
}
