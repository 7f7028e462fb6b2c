/** The strategies by name, and the portfolio that is used when none is asked for. */
import type { Strategy } from '../machine/engine/controlled.js'
import { PctStrategy } from './pct.js'
import { PosStrategy } from './pos.js'
import type { Profile } from './profile.js'
import { RandomStrategy } from './random.js'
import { urwStrategy } from './urw.js'

export interface StrategyInfo {
  readonly id: StrategyId
  readonly summary: string
}

export const STRATEGIES = [
  { id: 'portfolio', summary: 'the others in turn, an execution each' },
  { id: 'random', summary: 'a random walk, with odds of switching that each execution draws' },
  { id: 'pct', summary: 'random priorities and a few points at which the CPU that runs falls below all others' },
  { id: 'pos', summary: 'random priorities of accesses, drawn again where accesses race' },
  {
    id: 'urw',
    summary: 'all interleavings equally likely, of all accesses or of those to a few words that CPUs share',
  },
  { id: 'bounded', summary: 'every schedule, those with the fewest preemptions first; says when it is complete' },
  { id: 'dpor', summary: 'every execution there is, up to equivalence, each once' },
] as const satisfies readonly { id: string; summary: string }[]

export type StrategyId = (typeof STRATEGIES)[number]['id']

/** Strategies that draw their schedules, each execution for itself. */
export type SampledId = Exclude<StrategyId, 'bounded' | 'dpor'>

const SINGLE = ['random', 'pct', 'pos', 'urw'] as const

/**
 * The strategy of execution `index` of an exploration with `seed`; `profile`: what its executions are like. The same
 * arguments give the same picks.
 */
export function strategyOf(id: SampledId, seed: number, index: number, profile: Profile): Strategy {
  const chosen = id === 'portfolio' ? (SINGLE[index % SINGLE.length] as (typeof SINGLE)[number]) : id
  switch (chosen) {
    case 'random':
      return new RandomStrategy(seed, index, profile)
    case 'pct':
      return new PctStrategy(seed, index, profile)
    case 'pos':
      return new PosStrategy(seed, index, profile)
    case 'urw':
      return urwStrategy(seed, index, profile)
  }
}
