/**
 * Random walk over schedules. Uniform choice at every point is weak where a CPU has many private steps, so each execution
 * draws one of several odds of switching; the odds cover windows from one access to a whole operation.
 */
import { lowestBit } from '../base/bits.js'
import { Prng } from '../base/prng.js'
import { INTERRUPT, type Strategy } from '../machine/engine/controlled.js'

/** Odds of leaving the current CPU at a point, as thresholds of 32 bits. */
const ODDS = [1 / 2, 1 / 6, 1 / 16, 1 / 48, 1 / 150, 1 / 400].map((p) => p * 0x1_0000_0000)

export class RandomStrategy implements Strategy {
  readonly #prng: Prng
  #threshold: number

  /** Execution `index` of the exploration with `seed`. */
  constructor(seed: number, index: number) {
    this.#prng = Prng.split(seed, index)
    this.#threshold = ODDS[this.#prng.below(ODDS.length)] as number
  }

  pick(current: number, runnable: number, interruptible: number): number {
    if (current >= 0 && this.#prng.next() >= this.#threshold) return current
    const others = current >= 0 ? runnable & ~(1 << current) : runnable
    const count = bits(others)
    const all = count + bits(interruptible)
    if (all === 0) return current
    const choice = this.#prng.below(all)
    return choice < count ? nth(others, choice) : INTERRUPT + nth(interruptible, choice - count)
  }

  choose(n: number): number {
    return this.#prng.below(n)
  }
}

function bits(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}

/** Number of the `n`-th set bit, from the lowest. */
function nth(mask: number, n: number): number {
  let rest = mask
  for (let i = 0; i < n; i++) rest &= rest - 1
  return lowestBit(rest)
}
