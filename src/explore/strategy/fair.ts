/**
 * What a random strategy does with an execution that does not end: from some length on the CPUs take turns. A CPU that
 * tries again until another one has done something ends then, whatever the odds were.
 */
import { lowestBit } from '../../base/bits.js'
import { INTERRUPT } from '../../machine/engine/controlled.js'

/**
 * An execution is fair from this many times the expected length on, never before FAIR_LEAST points, and never so late that it
 * could not end in the accesses that it may make (ControlledEngine.stepLimit): half of them are left.
 */
const FAIR_LENGTHS = 4
const FAIR_LEAST = 400
const FAIR_MOST = 10_000
/** Points after which it is to be fair when nobody knows how long it should be. */
export const FAIR_FROM_UNKNOWN = 5000
/** Points of one turn: a retry that fails takes fewer, so that nobody keeps the others waiting for nothing. */
const TURN = 50

/** Points after which an execution that was expected to have `length` of them is to be fair. */
export const fairFrom = (length: number): number => Math.min(FAIR_MOST, Math.max(FAIR_LEAST, FAIR_LENGTHS * length))

export class RoundRobin {
  #left = TURN
  #interrupted = false

  /** As Strategy.pick: CPUs in order of their numbers; an interrupt at once, but not two without an access between them. */
  pick(current: number, runnable: number, interruptible: number): number {
    this.#interrupted = interruptible !== 0 && (!this.#interrupted || runnable === 0)
    if (this.#interrupted) return INTERRUPT + lowestBit(interruptible)
    if (current >= 0 && --this.#left > 0) return current
    this.#left = TURN
    const above = runnable & ~((2 << current) - 1)
    return lowestBit(above === 0 ? runnable : above)
  }
}
