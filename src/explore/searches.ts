/** The search that a strategy of strategies.ts stands for. */
import type { ControlledEngine } from '../machine/engine/controlled.js'
import { BoundedSearch } from './bounded.js'
import { DporSearch } from './dpor.js'
import { SampledSearch } from './sampled.js'
import type { Search } from './search.js'
import type { StrategyId } from './strategies.js'

/** `engine` runs the executions; systematic searches have no use for `seed`. */
export function searchOf(id: StrategyId, seed: number, engine: ControlledEngine, cpus: number): Search {
  if (id === 'bounded') return new BoundedSearch()
  return id === 'dpor' ? new DporSearch(engine, cpus) : new SampledSearch(id, seed, engine, cpus)
}
