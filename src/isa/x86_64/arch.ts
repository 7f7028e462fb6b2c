/** x86-64 as it ships without 5-level paging. */
import { Geometry } from '../../arch/geometry.js'
import { OnePage } from '../../mm/pgalloc/onePage.js'
import { defineArch } from '../architecture.js'
import { IpiFlush } from './ipiFlush.js'
import { byNumber } from './legal.js'
import * as pte from './pte.js'
import * as swap from './swap.js'
import { X86Mmu } from './walk.js'
import * as word from './word.js'

export const x86_64 = defineArch({
  id: 'x86-64',
  summary: '4 levels; 512 entries per table when stressed, 4 when explored; flush by IPI or by broadcast',
  // A SYSCALL at the end of the last page would return to a non-canonical address.
  geometry: new Geometry({ levels: 4, indexBits: 9, pageShift: 12, lastPageFree: true }),
  entry: { ...pte, ...swap, ...word, ...byNumber },
  parts: { Mmu: X86Mmu, TlbFlush: IpiFlush },
  config: {},
  designs: [{ id: 'one-page', part: OnePage, fragments: 1 }],
  pgalloc: 'one-page',
})

// Parts that a bug or a patch changes.
export { IpiFlush } from './ipiFlush.js'
export { X86Mmu } from './walk.js'
