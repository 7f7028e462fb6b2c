/** The systematic strategies as rows. */
import type { SystematicStrategy } from '../strategy/strategy.js'
import { BoundedSearch } from './bounded.js'
import { BoundedParts } from './boundedParts.js'
import { DporSearch } from './dpor.js'
import { DporParts } from './dporParts.js'

const PREEMPTIONS = { least: 0, most: 1000 }

export const BOUNDED = {
  kind: 'systematic',
  id: 'bounded',
  summary: 'every schedule, those with the fewest preemptions first; says when it is complete',
  options: { preemptions: PREEMPTIONS },
  make: ({ preemptions }) => new BoundedSearch(preemptions),
  partition: (preemptions) => new BoundedParts(preemptions),
} as const satisfies SystematicStrategy

export const DPOR = {
  kind: 'systematic',
  id: 'dpor',
  summary: 'every execution there is, up to equivalence, each once',
  options: { preemptions: PREEMPTIONS },
  make: ({ engine, cpus, preemptions }) => new DporSearch(engine, cpus, preemptions),
  partition: (preemptions) => new DporParts(preemptions),
} as const satisfies SystematicStrategy
