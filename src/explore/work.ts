/**
 * What shards are given to do, and what comes back. The coordinator (shards.ts) hands units out and takes results in; what a
 * unit is, and what the results add up to, is the business of a Work: ranges of executions (ranges.ts).
 */
import type { Tally } from './tally.js'

/** Executions `from` to `to` (from 0, `to` not among them). */
export interface RangeUnit {
  readonly kind: 'range'
  /** Units count from 0 in the order of the work: what is found in one makes all later ones void. */
  readonly order: number
  readonly from: number
  readonly to: number
}

export type Unit = RangeUnit

export interface UnitResult {
  readonly tally: Tally
  /** False when the shard was told to stop in the middle. */
  readonly ended: boolean
  /** How long it took, by the shard's clock. */
  readonly ms: number
}

export interface Work {
  /** The next unit; null when there is none at the moment. */
  next(): Unit | null
  done(unit: Unit, result: UnitResult): void
  /** The unit cannot be done; `why` is for the user. */
  failed(unit: Unit, why: string): void
  /** Executions that count by now. */
  readonly executions: number
  /** Order of the last unit that still counts; later ones are not to be begun, and to be dropped. */
  readonly last: number
}

/** For `last`: all count. */
export const NO_LAST = 2 ** 31 - 1
