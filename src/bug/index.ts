/** Every bug that can be switched on, oldest number first, then the mutants. */
import { nearest } from '../base/names.js'
import type { Bug } from './bug.js'
import * as contents from './contents.js'
import * as fragments from './fragments.js'
import * as gup from './gup.js'
import * as locks from './locks.js'
import * as mremap from './mremap.js'
import * as rcu from './rcu.js'
import * as s390 from './s390.js'
import * as tables from './tables.js'
import * as thp from './thp.js'
import * as tlb from './tlb.js'
import * as vmas from './vmas.js'

export type { Bug } from './bug.js'

export const bugs: readonly Bug[] = [
  thp.pmdpInvalAddr,
  thp.gupCollapsePmd,
  thp.gupCollapseUaf,
  mremap.mremapRetract,
  mremap.mremapTlb,
  gup.dirtyCow,
  gup.forkGupfast,
  gup.gupHeadRecheck,
  thp.dontneedNuma,
  thp.splitMigentryInval,
  gup.tailRef,
  thp.splitZapSync,
  tlb.zapZapTlb,
  thp.splitNoneExit,
  tables.collapseFlushRange,
  tables.retractUffd,
  tables.tableBatchNoInvalidate,
  tables.ptReclaimNonempty,
  tables.ptReclaimHuge,
  tlb.tableFreeNonconcurrent,
  tlb.freedTablesFlag,
  rcu.expWrongQueue,
  tlb.retractWrongLocks,
  tlb.arm64RemoteDsb,
  tlb.batchedUnmapRace,
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
  gup.noRecheck,
  tlb.missingTlbFlush,
  tlb.freeBeforeFlush,
  tables.tableNoGracePeriod,
  tables.tableOneNoSync,
  fragments.tableDeferNoGrace,
  tables.pmdPageNotCounted,
  tables.tableLastLevelFlush,
  tables.tablePendingReused,
  tlb.batchedAskedOnce,
  tlb.reclaimNoFlush,
  tables.tablePmdNotReread,
  tables.tableNoPteLock,
  tables.tableIpiForGrace,
  s390.s390NoFlushWait,
  s390.s390PlainClear,
  s390.s390FullNoPurge,
  s390.cspNoPurge,
  s390.rdpNoFix,
  s390.upgradeNoIpi,
  rcu.expReaderIgnored,
  tlb.lazyNoCatchUp,
  tlb.tlbGenPartial,
  vmas.stackRot,
  vmas.mapleNoGracePeriod,
  vmas.vmaDetachedIgnored,
  vmas.vmaNoWriteLock,
  locks.mmapReadUnlocked,
  locks.mmapWriteUnlocked,
  locks.mmapWriteAsRead,
  locks.anonVmaUnlocked,
  locks.iMmapUnlocked,
  locks.pmdUnlocked,
  locks.pteUnlocked,
  locks.findVmaUnlocked,
  locks.rmapUnlocked,
  locks.pageTableUnlocked,
  locks.folioUnlocked,
  locks.iPagesUnlocked,
  locks.zoneUnlocked,
  locks.slotUnlocked,
  locks.pgtableListUnlocked,
  thp.zapMigrationEntry,
  contents.cowReuseShared,
  contents.cowFilePage,
  contents.dirtyLostZap,
  contents.dirtyLostMprotect,
  contents.dirtyLostMigration,
  contents.dirtyLostSplit,
  contents.dirtyLostCollapse,
  contents.pmdModifyDirty,
]

/**
 * The bug of this name, or of this number in the table of mm/RULES.md (`K13`). Throws UsageError, with the names that
 * exist and the nearest match, for a name that is none.
 */
export const bugById = (id: string): Bug =>
  bugs.find((bug) => bug.number === id || bug.also?.includes(id)) ?? nearest('bug', id, bugs)
