/**
 * Partial order sampling. The next access of each CPU has a random priority, the access with the highest is made, and
 * those that race with it draw again. Private steps of a CPU do not lower the chance of another order, as they do when
 * the next CPU is drawn at every step.
 *
 * Source: Yuan, Yang, Gu, "Partial Order Aware Concurrency Sampling", CAV 2018. Two accesses race when they go to the
 * same 8 bytes. An interrupt that can be delivered counts as an access to no word. Departures: in most executions
 * accesses to some words alone have priorities (sharedWords.ts), and all others are made at once; an execution that is
 * several times as long as expected becomes fair (fair.ts).
 */
import { lowestBit } from '../../base/bits.js'
import { Prng } from '../../base/prng.js'
import { placeOf } from '../../machine/engine/actions.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'
import { FairStrategy } from './fair.js'
import type { Profile } from './profile.js'
import { drawSharedWords, mayLeave } from './sharedWords.js'
import type { SampledStrategy } from './strategy.js'

const NOWHERE = -1

export const POS = {
  kind: 'sampled',
  id: 'pos',
  summary: 'random priorities of accesses, drawn again where accesses race',
  options: {},
  make: ({ seed, index, profile }): Strategy => new PosStrategy(seed, index, profile),
} as const satisfies SampledStrategy

class PosStrategy extends FairStrategy {
  readonly #prng: Prng
  readonly #cpus: number
  /** By place of the action. */
  readonly #priority: number[] = []
  readonly #pending: number[] = []
  /** Words whose accesses have priorities, all others being made at once; null: all. */
  readonly #words: ReadonlySet<number> | null
  #taken = -1

  /** Execution `index` of the exploration with `seed`. */
  constructor(seed: number, index: number, profile: Profile) {
    super(profile.fairFrom)
    this.#prng = Prng.split(seed, index)
    this.#words = drawSharedWords(this.#prng, profile)
    this.#cpus = profile.accesses.length
    for (const action of profile.actions) {
      this.#redraw(action)
      this.#pending[this.#place(action)] = NOWHERE
    }
  }

  protected override draw(point: SchedulePoint): number {
    const { current, addr, actions } = point
    if (!mayLeave(this.#words, point)) return (this.#taken = current)
    if (current >= 0) {
      this.#pending[current] = addr >>> 3
      this.#redraw(current)
    } else if (this.#taken >= 0) this.#redraw(this.#taken)
    let best = -1
    for (let n = 0; n < actions.count; n++) best = this.#higher(best, actions.nth(n))
    this.#race(best, actions.runnable)
    this.#taken = best
    return best
  }

  #higher(a: number, b: number): number {
    return a < 0 || (this.#priority[this.#place(b)] as number) > (this.#priority[this.#place(a)] as number) ? b : a
  }

  /** Those that wait for the word that `action` goes to draw again. */
  #race(action: number, runnable: number): void {
    const word = this.#pending[this.#place(action)] as number
    if (word === NOWHERE) return
    for (let rest = runnable; rest !== 0; rest &= rest - 1) {
      const cpu = lowestBit(rest)
      if (cpu !== action && this.#pending[cpu] === word) this.#redraw(cpu)
    }
  }

  #redraw(action: number): void {
    this.#priority[this.#place(action)] = this.#prng.next()
  }

  #place(action: number): number {
    return placeOf(action, this.#cpus)
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}
