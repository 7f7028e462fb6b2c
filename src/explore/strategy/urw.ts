/**
 * Uniform random walk. The next CPU is drawn in proportion to the accesses that it has still to make, so that all
 * interleavings are equally likely: a CPU with many private steps does not have to win a coin for each of them.
 *
 * In the _selective_ form, only the accesses to a few words count. The CPU that makes the next of these is drawn in
 * proportion to those that each CPU has still to make. A CPU that comes to one out of turn is held back, and all other
 * accesses are a random walk around them.
 *
 * Each execution draws its form: all accesses count, or those to one, two, four or all of the words over which CPUs
 * conflict. The measured executions tell how many accesses a CPU makes (Profile).
 *
 * Source: Zhao, Wolff, Mathur, Roychoudhury, "Selectively Uniform Concurrency Testing", ASPLOS 2025. Departures: each
 * execution draws its own words; the walk between the accesses that count draws its odds of switching; a CPU that waits
 * is not drawn, and the draw is repeated when all others are held back for a CPU that waits; an interrupt is one
 * access.
 */
import { lowestBit } from '../../base/bits.js'
import { Prng } from '../../base/prng.js'
import { actionOf, ActionKind, Actions, isGoOn } from '../../machine/engine/actions.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'
import { FairStrategy } from './fair.js'
import type { Profile } from './profile.js'
import { leaveOdds, randomAction } from './random.js'
import { drawSome, mayLeave } from './sharedWords.js'
import type { SampledStrategy } from './strategy.js'

/** How many words count in an execution, by equal chances; 0: every access. */
const SELECTIONS = [0, 1, 1, 2, 4, Infinity]
const NOWHERE = -1

export const URW = {
  kind: 'sampled',
  id: 'urw',
  summary: 'all interleavings equally likely, of all accesses or of those to a few words that CPUs share',
  options: {},
  make: ({ seed, index, profile }) => urwStrategy(seed, index, profile),
} as const satisfies SampledStrategy

/** The strategy of execution `index` of the exploration with `seed`. */
function urwStrategy(seed: number, index: number, profile: Profile): Strategy {
  const prng = Prng.split(seed, index)
  const words = Math.min(SELECTIONS[prng.below(SELECTIONS.length)] as number, profile.shared.length)
  return words === 0 ? new UrwStrategy(prng, profile) : new SelectiveStrategy(prng, profile, words)
}

/** Every access counts. */
export class UrwStrategy extends FairStrategy {
  readonly #prng: Prng
  readonly #left: number[]

  constructor(prng: Prng, profile: Profile) {
    super(profile.fairFrom)
    this.#prng = prng
    this.#left = [...profile.accesses]
  }

  protected override draw({ actions }: SchedulePoint): number {
    const action = drawn(this.#prng, this.#left, actions.runnable, actions, EVENT_WEIGHT)
    if (isGoOn(action)) this.#left[action] = (this.#left[action] as number) - 1
    return action
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}

/** Scratch of one pick. */
const FREE = new Actions()

/** Accesses to some words count. */
export class SelectiveStrategy extends FairStrategy {
  readonly #prng: Prng
  /** Accesses that count and are still to come, by CPU. */
  readonly #left: number[]
  readonly #words = new Set<number>()
  readonly #pending: number[]
  readonly #odds: number
  /** Words before whose accesses the walk leaves a CPU; null: any. */
  readonly #leaves: ReadonlySet<number> | null
  /** Whose access is to be the next that counts; -1: not drawn yet. */
  #intended = -1
  #patience = 0

  /** So many of the words that CPUs share, at random. */
  constructor(prng: Prng, profile: Profile, words: number) {
    super(profile.fairFrom)
    this.#prng = prng
    this.#left = profile.accesses.map(() => 0)
    this.#pending = profile.accesses.map(() => NOWHERE)
    for (const { word, accesses } of drawSome(prng, profile.shared, words)) {
      this.#words.add(word)
      accesses.forEach((count, cpu) => (this.#left[cpu] = (this.#left[cpu] as number) + count))
    }
    this.#odds = leaveOdds(prng)
    this.#leaves = prng.below(2) === 0 ? null : profile.sharedWords
  }

  protected override draw(point: SchedulePoint): number {
    const { current } = point
    if (current >= 0) this.#pending[current] = point.addr >>> 3
    const action = this.#inTurn(point)
    if (isGoOn(action)) this.#takes(action)
    return action
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }

  /** An action that makes no access that counts out of turn, if there is one. */
  #inTurn(point: SchedulePoint): number {
    const { current, actions } = point
    const { runnable } = actions
    let held = this.#held(runnable)
    if (held !== 0) {
      if (!this.#mayGoOn(runnable, held)) this.#intended = this.#drawIntended(actions, held)
      held &= ~(1 << this.#intended)
    }
    const free = held === 0 ? actions : this.#without(actions, held)
    const stays = current >= 0 && free.has(current)
    if (stays && !mayLeave(this.#leaves, point)) return current
    if (free.count === 0) return actions.from(0)
    return randomAction(this.#prng, this.#odds, stays ? current : -1, free)
  }

  /** The actions of which none makes an access that counts out of turn; they hold for one pick. */
  #without(actions: Actions, held: number): Actions {
    FREE.copy(actions)
    for (let rest = held; rest !== 0; rest &= rest - 1) FREE.delete(actionOf(ActionKind.goOn, lowestBit(rest)))
    return FREE
  }

  /** CPUs that are about to make an access that counts. */
  #held(runnable: number): number {
    let held = 0
    for (let rest = runnable; rest !== 0; rest &= rest - 1) {
      const cpu = lowestBit(rest)
      if (this.#words.has(this.#pending[cpu] as number)) held |= 1 << cpu
    }
    return held
  }

  /** Whether the draw stands: its CPU can go on, and has not been waited for too long. */
  #mayGoOn(runnable: number, held: number): boolean {
    if (this.#intended < 0 || ((runnable >>> this.#intended) & 1) === 0) return false
    return ((held >>> this.#intended) & 1) === 1 || ++this.#patience < this.fairFrom / 4
  }

  #drawIntended(actions: Actions, held: number): number {
    this.#patience = 0
    return drawn(this.#prng, this.#left, held, actions, 0)
  }

  #takes(cpu: number): void {
    if (this.#words.has(this.#pending[cpu] as number)) {
      this.#left[cpu] = (this.#left[cpu] as number) - 1
      this.#intended = -1
    }
    this.#pending[cpu] = NOWHERE
  }
}

/** An event counts as one access. */
const EVENT_WEIGHT = 1

/**
 * One of the actions, in proportion to their weights: of a CPU, the accesses that it has still to make. CPUs of
 * `certain` have one to make whatever the profile says. `eventWeight`: of an event, 0 for none.
 */
function drawn(prng: Prng, left: readonly number[], certain: number, actions: Actions, eventWeight: 0 | 1): number {
  let total = 0
  for (let n = 0; n < actions.count; n++) total += weight(left, certain, actions.nth(n), eventWeight)
  let at = prng.below(total)
  for (let n = 0; n < actions.count; n++) {
    at -= weight(left, certain, actions.nth(n), eventWeight)
    if (at < 0) return actions.nth(n)
  }
  return actions.nth(0)
}

const weight = (left: readonly number[], certain: number, action: number, eventWeight: number): number =>
  isGoOn(action) ? Math.max((certain >>> action) & 1, left[action] as number) : eventWeight
