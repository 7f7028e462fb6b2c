/** The strategies by name, with their options and their searches. */
import { UsageError } from '../base/errors.js'
import type { ControlledEngine } from '../machine/engine/controlled.js'
import { PCT } from './strategy/pct.js'
import { PORTFOLIO } from './strategy/portfolio.js'
import { POS } from './strategy/pos.js'
import { RANDOM } from './strategy/random.js'
import { SampledSearch } from './strategy/sampled.js'
import type { Search, SearchParts } from './strategy/search.js'
import type { OptionRange, StrategyOptions, StrategyRow } from './strategy/strategy.js'
import { URW } from './strategy/urw.js'
import { BOUNDED, DPOR } from './systematic/strategies.js'

/** In the order in which they are listed. */
const ROWS = [PORTFOLIO, RANDOM, PCT, POS, URW, BOUNDED, DPOR] as const

export type StrategyId = (typeof ROWS)[number]['id']

export const STRATEGIES: readonly (StrategyRow & { readonly id: StrategyId })[] = ROWS

/** A strategy and the values of its options. */
export interface StrategyChoice {
  readonly strategy: StrategyId
  /** Null: not asked for. */
  readonly depth: number | null
  readonly preemptions: number | null
}

type OptionName = keyof StrategyOptions

/** The value of an option of a strategy. */
const OPTIONS: Readonly<Record<OptionName, string>> = { depth: 'a depth', preemptions: 'a bound of preemptions' }

const rowOf = (id: StrategyId): StrategyRow => STRATEGIES.find((row) => row.id === id) as StrategyRow

/** Whether each execution of the strategy is drawn by itself. */
export const isSampled = (id: StrategyId): boolean => rowOf(id).kind === 'sampled'

/** Throws UsageError for an option that the strategy does not have, and for a value that is out of range. */
export function checkChoice(choice: StrategyChoice): void {
  const { strategy } = choice
  for (const name of Object.keys(OPTIONS) as OptionName[]) {
    const value = choice[name]
    if (value === null) continue
    const range = rowOf(strategy).options[name]
    if (range === undefined) throw without(name, value, strategy)
    const { least, most } = range
    if (!Number.isInteger(value) || value < least || value > most)
      throw new UsageError(`--${name} ${value}`, `it is a whole number, ${least} to ${most}`)
  }
}

function without(name: OptionName, value: number, strategy: StrategyId): UsageError {
  const have = having(name).length === 1 ? 'has' : 'have'
  const rule = `${thoseWith(name)} ${have} ${OPTIONS[name]}`
  return new UsageError(
    `--${name} ${value} with --strategy ${strategy}`,
    rule,
    'leave it out, or take another strategy',
  )
}

const having = (name: OptionName): readonly StrategyRow[] =>
  STRATEGIES.filter(({ options }) => options[name] !== undefined)

/** The strategies with an option, in words: `bounded and dpor`. */
export const thoseWith = (name: OptionName): string =>
  having(name)
    .map(({ id }) => id)
    .join(' and ')

/** The values that some strategy takes. */
export function rangeOf(name: OptionName): OptionRange {
  const ranges = having(name).map(({ options }) => options[name] as OptionRange)
  return {
    least: Math.min(...ranges.map(({ least }) => least)),
    most: Math.max(...ranges.map(({ most }) => most)),
  }
}

/** `engine` runs the executions; a systematic search has no use for `seed`. */
export function searchOf(choice: StrategyChoice, seed: number, engine: ControlledEngine, cpus: number): Search {
  const { strategy, depth, preemptions } = choice
  const row = rowOf(strategy)
  if (row.kind === 'systematic') return row.make({ engine, cpus, preemptions })
  return new SampledSearch(row, depth, seed, engine, cpus)
}

/** The parts of a systematic search; null for a strategy that draws its schedules. */
export function partsOf({ strategy, preemptions }: StrategyChoice): SearchParts | null {
  const row = rowOf(strategy)
  return row.kind === 'systematic' ? row.partition(preemptions) : null
}
