/** Every bug that can be switched on, oldest number first, then the mutants. */
import { nearest } from '../base/names.js'
import type { Bug } from './bug.js'
import { dirtyCow } from './dirtyCow.js'
import { dontneedNuma } from './dontneedNuma.js'
import { forkGupfast } from './forkGupfast.js'
import { gupCollapsePmd } from './gupCollapsePmd.js'
import { gupCollapseUaf } from './gupCollapseUaf.js'
import { gupHeadRecheck } from './gupHeadRecheck.js'
import * as lazy from './lazyTlb.js'
import { mremapRetract } from './mremapRetract.js'
import { mremapTlb } from './mremapTlb.js'
import { freeBeforeFlush, missingTlbFlush, noRecheck, tableNoGracePeriod, tableOneNoSync } from './mutants.js'
import { pmdpInvalAddr } from './pmdpInvalAddr.js'
import * as reclaim from './reclaim.js'
import { collapseFlushRange, ptReclaimHuge, ptReclaimNonempty, retractUffd, tableBatchNoInvalidate } from './retract.js'
import * as expedited from './rcuExpedited.js'
import * as s390 from './s390.js'
import { splitMigentryInval } from './splitMigentryInval.js'
import { splitNoneExit } from './splitNoneExit.js'
import { splitZapSync } from './splitZapSync.js'
import * as fragments from './tableFragments.js'
import * as tables from './tableMutants.js'
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
  collapseFlushRange,
  retractUffd,
  tableBatchNoInvalidate,
  ptReclaimNonempty,
  ptReclaimHuge,
  lazy.tableFreeNonconcurrent,
  lazy.freedTablesFlag,
  expedited.expWrongQueue,
  reclaim.retractWrongLocks,
  reclaim.arm64RemoteDsb,
  reclaim.batchedUnmapRace,
  s390.gupFolded,
  s390.asceUpgradeIpi,
  s390.s390FlushMm,
  s390.s390AttachCopy,
  s390.s390AttachWindow,
  s390.powerpcGupInvalid,
  s390.s390GupInvalid,
  fragments.rcuheadDouble,
  fragments.lruRcuheadOverlay,
  fragments.listNodeInFragment,
  fragments.ptmmLockUaf,
  fragments.tailBlocker,
  fragments.listDelUnlisted,
  fragments.s390Release,
  fragments.ppcFragRefcount,
  noRecheck,
  missingTlbFlush,
  freeBeforeFlush,
  tableNoGracePeriod,
  tableOneNoSync,
  fragments.tableDeferNoGrace,
  tables.pmdPageNotCounted,
  tables.tableLastLevelFlush,
  tables.tablePendingReused,
  reclaim.batchedAskedOnce,
  reclaim.reclaimNoFlush,
  tables.tablePmdNotReread,
  tables.tableNoPteLock,
  tables.tableIpiForGrace,
  s390.s390NoFlushWait,
  s390.s390PlainClear,
  s390.s390FullNoPurge,
  s390.cspNoPurge,
  s390.rdpNoFix,
  s390.upgradeNoIpi,
  expedited.expReaderIgnored,
  lazy.lazyNoCatchUp,
  lazy.tlbGenPartial,
]

/** By name, or by number as the dossiers count (`K13`). Throws UsageError, with what exists and the nearest match, for a name that is none. */
export const bugById = (id: string): Bug =>
  bugs.find((bug) => bug.number === id || bug.also?.includes(id)) ?? nearest('bug', id, bugs)
