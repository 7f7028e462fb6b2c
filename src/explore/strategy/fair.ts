/**
 * Ends executions that do not end under a random strategy: from some length on, the CPUs take turns. A CPU that retries
 * until another CPU has done something ends then, whatever the odds of switching were.
 */
import { FIRST_EVENT, isGoOn } from '../../machine/engine/actions.js'
import type { SchedulePoint } from '../../machine/engine/controlled.js'

/**
 * An execution is fair from this many times the expected length on, never before FAIR_LEAST points, and never so late
 * that it could not end in the accesses that it may make (ControlledEngine.stepLimit): half of them are left.
 */
const FAIR_LENGTHS = 4
const FAIR_LEAST = 400
const FAIR_MOST = 10_000
/** Points after which an execution of unknown length is fair. */
export const FAIR_FROM_UNKNOWN = 5000
/**
 * Points of one turn: more than one retry that fails takes, and few enough that no CPU waits long for another's
 * retries.
 */
const TURN = 50

/** Points after which an execution whose expected length is `length` is fair. */
export const fairFrom = (length: number): number => Math.min(FAIR_MOST, Math.max(FAIR_LEAST, FAIR_LENGTHS * length))

export class RoundRobin {
  #left = TURN
  #interrupted = false

  /** As Strategy.pick: CPUs in order of their numbers; an event at once, but not two without an access between them. */
  pick({ current, actions }: SchedulePoint): number {
    const event = actions.from(FIRST_EVENT)
    this.#interrupted = event >= 0 && (!this.#interrupted || actions.runnable === 0)
    if (this.#interrupted) return event
    if (current >= 0 && --this.#left > 0) return current
    this.#left = TURN
    const next = actions.from(current + 1)
    return next >= 0 && isGoOn(next) ? next : actions.from(0)
  }
}
