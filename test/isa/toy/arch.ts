/** An architecture that no machine has: the least that defineArch() takes. */
import { Geometry } from '../../../dist/src/arch/geometry.js'
import { BROADCAST, defineArch } from '../../../dist/src/isa/architecture.js'
import { OnePage } from '../../../dist/src/mm/pgalloc/onePage.js'
import * as legal from './legal.js'
import * as pte from './pte.js'
import * as swap from './swap.js'
import { ToyMmu } from './walk.js'
import * as word from './word.js'

export const toy = defineArch({
  id: 'toy',
  summary: '4 levels; 512 entries, 256 in a PTE table; flush by broadcast',
  geometry: new Geometry({ levels: 4, indexBits: 9, pteBits: 8, pageShift: 12 }),
  entry: { ...pte, ...swap, ...word, ...legal },
  parts: { Mmu: ToyMmu },
  config: BROADCAST,
  designs: [{ id: 'toy-page', part: OnePage, fragments: 1 }],
  pgalloc: 'toy-page',
})
