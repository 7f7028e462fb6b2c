/** The search that a strategy of strategies.ts stands for. */
import type { ControlledEngine } from '../machine/engine/controlled.js'
import { BoundedSearch } from './systematic/bounded.js'
import { DporSearch } from './systematic/dpor.js'
import { SampledSearch } from './strategy/sampled.js'
import type { Search } from './strategy/search.js'
import type { StrategyChoice } from './strategy/strategies.js'

/** `engine` runs the executions; systematic searches have no use for `seed`. */
export function searchOf(choice: StrategyChoice, seed: number, engine: ControlledEngine, cpus: number): Search {
  const { strategy, depth, preemptions } = choice
  if (strategy === 'bounded') return new BoundedSearch(preemptions)
  if (strategy === 'dpor') return new DporSearch(engine, cpus, preemptions)
  return new SampledSearch(strategy, depth, seed, engine, cpus)
}
