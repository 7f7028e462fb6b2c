/** Every bug that can be switched on, oldest number first, then the mutants. */
import { nearest } from '../base/names.js'
import type { Bug } from './bug.js'
import { dirtyCow } from './dirtyCow.js'
import { dontneedNuma } from './dontneedNuma.js'
import { forkGupfast } from './forkGupfast.js'
import { gupCollapsePmd } from './gupCollapsePmd.js'
import { gupCollapseUaf } from './gupCollapseUaf.js'
import { gupHeadRecheck } from './gupHeadRecheck.js'
import { mremapRetract } from './mremapRetract.js'
import { mremapTlb } from './mremapTlb.js'
import { freeBeforeFlush, missingTlbFlush, noRecheck, tableNoGracePeriod, tableOneNoSync } from './mutants.js'
import { pmdpInvalAddr } from './pmdpInvalAddr.js'
import { splitMigentryInval } from './splitMigentryInval.js'
import { splitNoneExit } from './splitNoneExit.js'
import { splitZapSync } from './splitZapSync.js'
import * as fragments from './tableFragments.js'
import { tailRef } from './tailRef.js'
import { zapZapTlb } from './zapZapTlb.js'

export type { Bug } from './bug.js'

export const bugs: readonly Bug[] = [
  pmdpInvalAddr,
  gupCollapsePmd,
  gupCollapseUaf,
  mremapRetract,
  mremapTlb,
  dirtyCow,
  forkGupfast,
  gupHeadRecheck,
  dontneedNuma,
  splitMigentryInval,
  tailRef,
  splitZapSync,
  zapZapTlb,
  splitNoneExit,
  fragments.rcuheadDouble,
  fragments.lruRcuheadOverlay,
  fragments.listNodeInFragment,
  fragments.ptmmLockUaf,
  fragments.listDelUnlisted,
  fragments.s390Release,
  noRecheck,
  missingTlbFlush,
  freeBeforeFlush,
  tableNoGracePeriod,
  tableOneNoSync,
  fragments.tableDeferNoGrace,
]

/** Throws UsageError, with what exists and the nearest match, for a name that is none. */
export const bugById = (id: string): Bug => nearest('bug', id, bugs)
