/** The catalogue: every named race. */
import { nearest } from '../../base/names.js'
import type { Scenario } from '../scenario.js'
import * as gup from './gup.js'
import * as litmus from './litmus.js'
import { mixed } from './mixed.js'
import * as tables from './tables.js'
import { tableTorture } from './tableTorture.js'
import * as thp from './thp.js'
import * as tlb from './tlb.js'

export const scenarios: readonly Scenario[] = [
  gup.gupVsSplit,
  gup.gupVsCollapse,
  gup.gupVsMunmap,
  gup.gupVsMunmapBroadcast,
  gup.gupVsMunmapIpi,
  gup.gupVsMunmapFallback,
  gup.gupVsDontneed,
  gup.gupVsDontneedBroadcast,
  thp.faultVsSplit,
  thp.collapseVsMunmap,
  gup.gupVsFolioSplit,
  gup.forkVsGup,
  tlb.mremapVsTouch,
  tlb.dontneedVsDontneed,
  tlb.protectVsTouch,
  thp.numaVsDontneed,
  thp.scanVsSplit,
  thp.compactionVsGup,
  thp.splitVsDontneed,
  thp.splitVsZap,
  thp.splitVsMigrate,
  gup.forceWriteVsDontneed,
  tables.retractVsRetract,
  tables.retractVsFault,
  tables.retractVsGup,
  tables.retractVsMunmap,
  tables.retractVsExit,
  tables.fragmentVsGup,
  tables.retractVsRetractPowerpc,
  tables.retractVsExitPowerpc,
  tableTorture,
  mixed,
  litmus.messagePassing,
  litmus.messagePassingBroken,
  litmus.storeBuffering,
]

/** Throws UsageError, with what exists and the nearest match, for a name that is none. */
export const scenarioById = (id: string): Scenario => nearest('scenario', id, scenarios)
