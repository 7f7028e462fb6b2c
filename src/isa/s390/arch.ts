/** s390: 2048 entries in a region or segment table, 256 in a page table, up to five levels. */
import { Geometry } from '../../arch/geometry.js'
import { BROADCAST, defineArch } from '../architecture.js'
import { S390_CPU_STATE } from './cpuState.js'
import { debts, inUse } from './debts.js'
import { FACILITIES } from './facilities.js'
import { FoldedTables } from './foldedTables.js'
import { S390Gather } from './gather.js'
import * as legal from './legal.js'
import { S390PtOps } from './ops.js'
import { S390Active } from './pgalloc/active.js'
import { S390FullPage } from './pgalloc/fullPage.js'
import { S390ListNode } from './pgalloc/listNode.js'
import { S390MmKept } from './pgalloc/mmKept.js'
import { S390Pgste } from './pgalloc/pgste.js'
import { S390PphhaaGlobal, S390PphhaaMmLock, S390PphhaaOnList } from './pgalloc/pphhaa.js'
import { S390SharedHead } from './pgalloc/sharedHead.js'
import * as pte from './pte.js'
import { reuse } from './reuse.js'
import * as swap from './swap.js'
import { S390TlbFlush } from './tlbFlush.js'
import { S390Mmu } from './walk.js'
import * as word from './word.js'

export const s390 = defineArch({
  id: 's390',
  summary:
    '3 to 5 levels that fold at run time; 2048 entries, 256 in a PTE table, or 4; IPTE, IDTE and RDP purge without IPI; ' +
    's390-csp: a machine that has only IPTE and CSP',
  geometry: new Geometry({ levels: 5, indexBits: 11, pteBits: 8, pageShift: 12 }),
  upperSpansFrames: true,
  entry: { ...pte, ...swap, ...word, ...legal },
  cpuState: S390_CPU_STATE,
  parts: { PtOps: S390PtOps, TlbFlush: S390TlbFlush, Mmu: S390Mmu, UpperTables: FoldedTables, MmuGather: S390Gather },
  config: BROADCAST,
  facilities: FACILITIES,
  designs: [
    { id: 's390-full-page', part: S390FullPage, fragments: 2, wholePages: true },
    { id: 's390-pgste', part: S390Pgste, fragments: 2, wholePages: true },
    { id: 's390-shared-head', part: S390SharedHead, fragments: 2, broken: true },
    { id: 's390-mm-kept', part: S390MmKept, fragments: 2, broken: true },
    { id: 's390-list-node', part: S390ListNode, fragments: 2, broken: true },
    { id: 's390-active', part: S390Active, fragments: 2 },
    { id: 's390-pphhaa-global', part: S390PphhaaGlobal, fragments: 2 },
    { id: 's390-pphhaa-mm-lock', part: S390PphhaaMmLock, fragments: 2, broken: true },
    { id: 's390-pphhaa-on-list', part: S390PphhaaOnList, fragments: 2 },
  ],
  pgalloc: 's390-full-page',
  variants: [{ id: 's390-csp', config: { facilities: [] } }],
  debts,
  inUse,
  reuse,
})

// Parts that a bug or a patch changes, and structures that they look into.
export { S390_CONTEXT } from './context.js'
export { S390_CPU_STATE } from './cpuState.js'
export * from './foldedTables.js'
export * from './gather.js'
export { S390PtOps } from './ops.js'
export * from './pgalloc/active.js'
export * from './pgalloc/bits.js'
export * from './pgalloc/fullPage.js'
export * from './pgalloc/listNode.js'
export * from './pgalloc/mmKept.js'
export * from './pgalloc/pgste.js'
export * from './pgalloc/pphhaa.js'
export * from './pgalloc/sharedHead.js'
export { tableType } from './pte.js'
export { S390TlbFlush } from './tlbFlush.js'
export { S390Mmu } from './walk.js'
