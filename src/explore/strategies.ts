/** The strategies by name, and the portfolio that is used when none is asked for. */
import type { Strategy } from '../machine/engine/controlled.js'
import { PctStrategy } from './pct.js'
import { PosStrategy } from './pos.js'
import { RandomStrategy } from './random.js'
import type { Profile } from './sampled.js'

export interface StrategyInfo {
  readonly id: StrategyId
  readonly summary: string
}

export const STRATEGIES = [
  { id: 'portfolio', summary: 'the others in turn, an execution each' },
  { id: 'random', summary: 'a random walk, with odds of switching that each execution draws' },
  { id: 'pct', summary: 'random priorities and a few points at which the CPU that runs falls below all others' },
  { id: 'pos', summary: 'random priorities of accesses, drawn again where accesses race' },
  { id: 'dpor', summary: 'every execution there is, up to equivalence, each once' },
] as const satisfies readonly { id: string; summary: string }[]

export type StrategyId = (typeof STRATEGIES)[number]['id']

/** Strategies that draw their schedules, each execution for itself. */
export type SampledId = Exclude<StrategyId, 'dpor'>

const SINGLE = ['random', 'pct', 'pos'] as const

/**
 * The strategy of execution `index` of an exploration with `seed`; `profile`: what its executions are like. The same
 * arguments give the same picks.
 */
export function strategyOf(id: SampledId, seed: number, index: number, profile: Profile): Strategy {
  const chosen = id === 'portfolio' ? (SINGLE[index % SINGLE.length] as (typeof SINGLE)[number]) : id
  if (chosen === 'random') return new RandomStrategy(seed, index)
  return chosen === 'pct' ? new PctStrategy(seed, index, profile.length) : new PosStrategy(seed, index)
}
