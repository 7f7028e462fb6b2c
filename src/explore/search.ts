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
