/**
 * Ranges of executions for threads. Ranges are handed out in order and their tallies added up in order, so the result
 * is that of one thread, execution after execution, however the threads are timed. The clock decides the length of a
 * range, never the executions in it.
 */
import { addTally, isOver, type Found, type Tally } from '../tally.js'
import { NO_LAST, type RangeResult, type RangeUnit, type WorkUnit, type UnitResult, type Work } from './work.js'

/** How long a range should take: a thread is never further ahead, and asks as seldom. */
const RANGE_MS = 100
const FIRST_SIZE = 32
const GROWTH_MAX = 8
const SIZE_MAX = 2 ** 20
/** Ranges for each shard that the rest is split into at least, so that all end at about the same time. */
const LAST_RANGES = 2

type Outcome = { readonly result: RangeResult } | { readonly failure: string }

export class Ranges implements Work {
  /** All executions up to the first that was not made. */
  readonly tally: Tally
  fault: string | null = null
  last = NO_LAST
  readonly #limit: number
  readonly #shards: number
  #from: number
  #order = 0
  #size = FIRST_SIZE
  /** Order of the unit that `tally` waits for. */
  #merged = 0
  /** Results that arrived before their turn. */
  readonly #early = new Map<number, Outcome>()

  /** Goes on after `tally`, until `limit` executions have been made. */
  constructor(tally: Tally, limit: number, shards: number) {
    this.tally = tally
    this.#from = tally.executions
    this.#limit = limit
    this.#shards = shards
    if (isOver(tally)) this.last = -1
  }

  get executions(): number {
    return this.tally.executions
  }

  next(): RangeUnit | null {
    const left = this.#limit - this.#from
    if (left <= 0 || this.#order > this.last) return null
    const from = this.#from
    this.#from += Math.max(1, Math.min(this.#size, left, Math.ceil(left / (LAST_RANGES * this.#shards))))
    return { kind: 'range', order: this.#order++, from, to: this.#from }
  }

  keep(): null {
    return null
  }

  done({ order }: WorkUnit, given: UnitResult): void {
    const result = given as RangeResult
    const { executions } = result.tally
    const fitting = Math.round((executions * RANGE_MS) / Math.max(result.ms, 0.1))
    if (result.ended) this.#size = Math.max(1, Math.min(fitting, this.#size * GROWTH_MAX, SIZE_MAX))
    if (isOver(result.tally)) this.last = Math.min(this.last, order)
    this.#early.set(order, { result })
    this.#merge()
  }

  failed(unit: WorkUnit, why: string): void {
    const { order, from, to } = unit as RangeUnit
    this.last = Math.min(this.last, order)
    this.#early.set(order, { failure: `executions ${from + 1} to ${to}: ${why}` })
    this.#merge()
  }

  /** Adds up what is next in turn. Behind a gap nothing counts any more. */
  #merge(): void {
    for (;;) {
      const outcome = this.#early.get(this.#merged)
      if (outcome === undefined || this.#merged > this.last) return
      this.#early.delete(this.#merged)
      if ('failure' in outcome) {
        this.fault = outcome.failure
        return
      }
      addTally(this.tally, outcome.result.tally)
      if (!outcome.result.ended) {
        this.last = this.#merged
        return
      }
      this.#merged++
    }
  }

  behind(): { readonly executions: number; readonly found: Found | null } {
    if (isOver(this.tally)) return { executions: 0, found: null }
    const outcomes = [...this.#early.entries()].sort(([a], [b]) => a - b).map(([, outcome]) => outcome)
    const tallies = outcomes.flatMap((outcome) => ('result' in outcome ? [outcome.result.tally] : []))
    const found = tallies.find((tally) => tally.found !== null)?.found ?? null
    return { executions: tallies.reduce((sum, tally) => sum + tally.executions, 0), found }
  }
}
