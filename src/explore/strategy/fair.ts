/**
 * Fairness ends executions that go on for ever under an unfair strategy. From some length on, the CPUs of an execution
 * take turns: a CPU that retries until another CPU has done something then succeeds, whatever the odds of switching or
 * the priorities are.
 */
import { FIRST_EVENT, isGoOn } from '../../machine/engine/actions.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'

/**
 * An execution is fair from this many times the expected length on, never before FAIR_LEAST points, and never so late
 * that it could not end in the accesses that it may make (ControlledEngine.stepLimit): half of them are left.
 */
const FAIR_LENGTHS = 4
const FAIR_LEAST = 400
const FAIR_SHARE = 1 / 2
/** The share after which an execution of unknown length is fair. */
const UNKNOWN_SHARE = 1 / 4
/** Points after which it is, with the limit that short programs have. */
export const FAIR_FROM_UNKNOWN = 5000
/**
 * Points of one turn: more than one retry that fails takes, and few enough that no CPU waits long for another's
 * retries.
 */
const TURN = 50

/** Points after which an execution whose expected length is `length` is fair, if it may make `stepLimit` accesses. */
export const fairFrom = (length: number, stepLimit: number): number =>
  Math.min(FAIR_SHARE * stepLimit, Math.max(FAIR_LEAST, FAIR_LENGTHS * length))

/** Points after which an execution of unknown length is fair. */
export const fairFromUnknown = (stepLimit: number): number => UNKNOWN_SHARE * stepLimit

/** A strategy whose executions become fair. */
export abstract class FairStrategy implements Strategy {
  /** Points after which an execution is fair. */
  protected readonly fairFrom: number
  #fair: RoundRobin | null = null
  #picks = 0

  constructor(fairFrom: number) {
    this.fairFrom = fairFrom
  }

  pick(point: SchedulePoint): number {
    if (++this.#picks > this.fairFrom) return (this.#fair ??= new RoundRobin()).pick(point)
    return this.draw(point)
  }

  /** The pick of an execution that is not fair yet. */
  protected abstract draw(point: SchedulePoint): number

  abstract choose(n: number, cpu: number): number
}

/** The turns of a fair execution. */
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
