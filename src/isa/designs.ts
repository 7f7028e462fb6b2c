/** The designs by name, as a machine's configuration chooses them. */
import type { ArchId } from '../arch/archId.js'
import type { Kernel } from '../mm/kernel.js'
import { OnePage } from '../mm/pgalloc/onePage.js'
import type { Pgalloc } from '../mm/pgalloc/pgalloc.js'
import { PowerpcDeferCount } from './powerpc/deferCount.js'
import { PowerpcFragments } from './powerpc/fragments.js'
import { S390Active } from './s390/pgalloc/active.js'
import { S390FullPage } from './s390/pgalloc/fullPage.js'
import { S390ListNode } from './s390/pgalloc/listNode.js'
import { S390MmKept } from './s390/pgalloc/mmKept.js'
import { S390Pgste } from './s390/pgalloc/pgste.js'
import { S390PphhaaGlobal, S390PphhaaMmLock, S390PphhaaOnList } from './s390/pgalloc/pphhaa.js'
import { S390SharedHead } from './s390/pgalloc/sharedHead.js'

export interface PgallocDesign {
  readonly part: new (k: Kernel) => Pgalloc
  /** The architecture that has it. */
  readonly arch: ArchId
  /** PTE tables in a page, in the real geometry. */
  readonly fragments: number
  /** PMD tables in a page, 1 unless given. */
  readonly pmdFragments?: number
  /** Known to be wrong, and kept to be compared: src/bug/ says how. */
  readonly broken?: true
}

export const PGALLOC_DESIGNS = {
  'one-page': { part: OnePage, arch: 'x86-64', fragments: 1 },
  's390-full-page': { part: S390FullPage, arch: 's390', fragments: 2 },
  's390-pgste': { part: S390Pgste, arch: 's390', fragments: 2 },
  's390-shared-head': { part: S390SharedHead, arch: 's390', fragments: 2, broken: true },
  's390-mm-kept': { part: S390MmKept, arch: 's390', fragments: 2, broken: true },
  's390-list-node': { part: S390ListNode, arch: 's390', fragments: 2, broken: true },
  's390-active': { part: S390Active, arch: 's390', fragments: 2 },
  's390-pphhaa-global': { part: S390PphhaaGlobal, arch: 's390', fragments: 2 },
  's390-pphhaa-mm-lock': { part: S390PphhaaMmLock, arch: 's390', fragments: 2, broken: true },
  's390-pphhaa-on-list': { part: S390PphhaaOnList, arch: 's390', fragments: 2 },
  'powerpc-defer-count': { part: PowerpcDeferCount, arch: 'powerpc', fragments: 256, pmdFragments: 16 },
  'powerpc-fragments': { part: PowerpcFragments, arch: 'powerpc', fragments: 256, pmdFragments: 16 },
} as const satisfies Readonly<Record<string, PgallocDesign>>

export type PgallocId = keyof typeof PGALLOC_DESIGNS

/** PTE tables in a page of a small machine: sixteen are enough to see what they do to each other. */
export const exploredFragments = (id: PgallocId): number => Math.min(PGALLOC_DESIGNS[id].fragments, 16)
