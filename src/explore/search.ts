/**
 * A search decides the schedules of an exploration, execution after execution: sampled ones from a seed, systematic ones
 * from what earlier executions have shown. One implementation a kind: sampled.ts, bounded.ts, dpor.ts.
 */
import type { Strategy } from '../machine/engine/controlled.js'

/** How far a systematic search has come. */
export interface SearchProgress {
  /** Largest bound (of preemptions) below and at which no schedule is left; -1 before there is one, null without a bound. */
  readonly bound: number | null
  /** About how many schedules are still to come, and up to what `note` says; null where nothing can be said. */
  readonly estimate: number | null
  /** The same in words. */
  readonly note: string
}

export interface Search {
  /** The strategy of the next execution; null when no schedule is left. */
  next(): Strategy | null
  /** The execution under the last strategy of next() has ended. */
  ended(): void
  /** Systematic searches only. */
  progress?(): SearchProgress
}

/** A search whose executions depend on nothing but their index, once a few have been measured. */
export interface IndexedSearch extends Search {
  /** Executions, from the first, that are run before any other. */
  readonly measured: number
  next(): Strategy
  /** Goes on with execution `index`; the first `measured` have been run. */
  skipTo(index: number): void
}

export const isIndexed = (search: Search): search is IndexedSearch => 'skipTo' in search
