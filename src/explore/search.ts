/**
 * A search decides the schedules of an exploration, execution after execution: sampled ones from a seed, systematic ones
 * from what earlier executions have shown. One implementation a kind: sampled.ts, and later the exhaustive ones.
 */
import type { Strategy } from '../machine/engine/controlled.js'

export interface Search {
  /** The strategy of the next execution; null when no schedule is left. */
  next(): Strategy | null
  /** The execution under the last strategy of next() has ended. */
  ended(): void
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
