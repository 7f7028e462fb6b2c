/**
 * A strategy of `--strategy` is a row: its name, its summary, its options and its constructor. Names, help, checks of
 * options and `racewalk list` derive from the rows (searches.ts lists them).
 */
import type { ControlledEngine, Strategy } from '../../machine/engine/controlled.js'
import type { Profile } from './profile.js'
import type { SearchParts, SystematicSearch } from './search.js'

export interface OptionRange {
  readonly least: number
  readonly most: number
}

export interface StrategyOptions {
  /** d of a bug's depth: ordering constraints that it needs. */
  readonly depth?: OptionRange
  /** Bound of preemptions. */
  readonly preemptions?: OptionRange
}

interface StrategyNames {
  readonly id: string
  readonly summary: string
  /** An option that is not here is refused. */
  readonly options: StrategyOptions
}

/** Execution `index` of an exploration with `seed`. */
export interface SampledContext {
  readonly seed: number
  readonly index: number
  /** Of the scenario's executions. */
  readonly profile: Profile
  /** Null: each execution draws its own. */
  readonly depth: number | null
}

/** Draws a schedule for each execution by itself: the same context gives the same picks. */
export interface SampledStrategy extends StrategyNames {
  readonly kind: 'sampled'
  make(context: SampledContext): Strategy
}

export interface SystematicContext {
  /** Runs the executions. */
  readonly engine: ControlledEngine
  readonly cpus: number
  /** Null: without a bound. */
  readonly preemptions: number | null
}

/** Learns from each execution which one is next, and ends when there is none. */
export interface SystematicStrategy extends StrategyNames {
  readonly kind: 'systematic'
  make(context: SystematicContext): SystematicSearch
  /** The same search as parts, for threads. */
  partition(preemptions: number | null): SearchParts
}

export type StrategyRow = SampledStrategy | SystematicStrategy
