/**
 * Units of work and their results, as plain data. The coordinator (shards.ts) hands units to threads and their results
 * to a Work, which decides the units and adds the results up: ranges of executions (ranges.ts), or parts of a
 * systematic search (partition.ts).
 */
import type { Found, Tally } from '../tally.js'

/** Executions `from` to `to` (from 0, `to` not among them). */
export interface RangeUnit {
  readonly kind: 'range'
  /** Units count from 0 in the order of the work: what is found in one makes all later ones void. */
  readonly order: number
  readonly from: number
  readonly to: number
}

/** Parts of a systematic search, one after the other until the time is up. */
export interface PartsUnit {
  readonly kind: 'parts'
  readonly order: number
  readonly names: readonly string[]
  readonly parts: readonly object[]
  /**
   * Number of the first execution, from 0: what it is if its turn is now, and RECORDED_FIRST or more if it is later.
   */
  readonly from: number
  /** Executions that are made whatever the time, and that are made at most in each part. */
  readonly least: number
  readonly most: number
}

export type WorkUnit = RangeUnit | PartsUnit

export interface RangeResult {
  readonly tally: Tally
  /** False when the shard was told to stop in the middle. */
  readonly ended: boolean
  /** How long it took, by the shard's clock. */
  readonly ms: number
}

/** Of the parts that were begun. */
export interface PartsResult {
  readonly parts: readonly PartResult[]
}

export interface PartResult {
  readonly tally: Tally
  readonly done: object
}

export type UnitResult = RangeResult | PartsResult

export interface Work {
  readonly tally: Tally
  /** The unit that failed, and why, if what is before it has not ended the exploration. */
  readonly fault: string | null
  /** Results behind a gap, when no more arrive: executions, and the first finding that was looked for. */
  behind(): { readonly executions: number; readonly found: Found | null }
  /** The state of a systematic search; null for sampled schedules. */
  keep(): object | null
  /** The next unit; null when there is none at the moment. */
  next(): WorkUnit | null
  done(unit: WorkUnit, result: UnitResult): void
  /** The unit cannot be done; `why` is for the user. */
  failed(unit: WorkUnit, why: string): void
  /** Executions that count by now. */
  readonly executions: number
  /** Order of the last unit that still counts; later ones are not to be begun, and to be dropped. */
  readonly last: number
}

/** For `last`: all count. */
export const NO_LAST = 2 ** 31 - 1
