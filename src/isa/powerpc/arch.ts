/**
 * powerpc book3s64 with the radix tree and pages of 64 KiB: 32 entries in a PTE table, 512 in the others. The top has
 * 8192 in fact, for addresses beyond 2^48, which no process gets unless it asks.
 */
import { Geometry } from '../../arch/geometry.js'
import { BROADCAST, defineArch } from '../architecture.js'
import { PowerpcDeferCount } from './deferCount.js'
import { PowerpcFragments } from './fragments.js'
import * as legal from './legal.js'
import * as pte from './pte.js'
import * as swap from './swap.js'
import { PowerpcTlbFlush } from './tlbFlush.js'
import { PowerpcMmu } from './walk.js'
import * as word from './word.js'

export const powerpc = defineArch({
  id: 'powerpc',
  summary:
    'book3s64 radix, 4 levels; pages of 64 KiB with 256 PTE tables or 16 PMD tables, explored with 16; ' +
    'tlbie reaches all CPUs without IPI',
  geometry: new Geometry({ levels: 4, indexBits: 9, pteBits: 5, pageShift: 16 }),
  // Pages are sixteen times as large, and huge pages as large as ever: half the huge pages in an eighth of the pages.
  pagesPerFrame: 8,
  entry: { ...pte, ...swap, ...word, ...legal },
  parts: { Mmu: PowerpcMmu, TlbFlush: PowerpcTlbFlush },
  config: BROADCAST,
  designs: [
    { id: 'powerpc-defer-count', part: PowerpcDeferCount, fragments: 256, pmdFragments: 16 },
    { id: 'powerpc-fragments', part: PowerpcFragments, fragments: 256, pmdFragments: 16 },
  ],
  pgalloc: 'powerpc-fragments',
})

// Parts that a bug or a patch changes.
export * from './deferCount.js'
export * from './fragments.js'
export { PowerpcTlbFlush } from './tlbFlush.js'
export { PowerpcMmu } from './walk.js'
