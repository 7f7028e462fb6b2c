/** The catalogue: every named race. */
import { UsageError } from '../../base/errors.js'
import { GP_DELAY_MAX } from '../../boot/config.js'
import { nearest } from '../../base/names.js'
import type { KernelConfig } from '../../mm/kernel.js'
import { pgallocDesign, pgallocDesigns } from '../../isa/designs.js'
import { ARCHITECTURES } from '../../isa/index.js'
import type { Scenario } from '../scenario.js'
import * as contents from './contents.js'
import * as gup from './gup.js'
import * as lazy from './lazy.js'
import * as litmus from './litmus.js'
import { mixed } from './mixed.js'
import * as rcu from './rcu.js'
import * as reclaim from './reclaim.js'
import * as s390 from './s390.js'
import * as tables from './tables.js'
import { tableTorture, tableTortureIpi } from './tableTorture.js'
import * as thp from './thp.js'
import * as tlb from './tlb.js'
import * as vmas from './vmas.js'

/** Those of page tables that share a page: the same with each design. */
export const tableScenarios: readonly Scenario[] = [
  tables.retractVsRetract,
  tables.retractVsFault,
  tables.retractVsGup,
  tables.retractVsMunmap,
  tables.retractVsExit,
  tables.retractVsMremap,
  tables.retractVsFill,
  tables.retractVsAlloc,
  tables.reclaimVsFault,
  tables.retractThenUnmap,
  tables.fragmentVsGup,
  tables.retractThenReuse,
  tableTorture,
]

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
  thp.reclaimVsHugeFault,
  thp.scanVsSplit,
  thp.compactionVsGup,
  thp.splitVsDontneed,
  thp.splitVsZap,
  thp.splitVsMigrate,
  gup.forceWriteVsDontneed,
  reclaim.reclaimVsProtect,
  reclaim.reclaimVsMunmap,
  reclaim.retractVsReclaim,
  reclaim.retractVsUnmapFile,
  ...tableScenarios,
  tables.pmdVsGup,
  tables.scanVsTable,
  tableTortureIpi,
  lazy.lazyVsMunmap,
  lazy.lazyVsRetract,
  lazy.lazyVsDontneed,
  rcu.expeditedVsReader,
  rcu.expeditedVsExpedited,
  s390.gupVsUpgrade,
  s390.upgradeVsTouch,
  s390.upgradeVsKernelRead,
  s390.rdpVsWrite,
  s390.attachVsInvalidate,
  s390.leaveVsPurge,
  s390.exitVsExec,
  vmas.faultVsMunmapRcu,
  vmas.faultVsProtectRcu,
  vmas.faultVsStackGrowth,
  mixed,
  contents.forkVsStore,
  contents.storeVsReclaim,
  litmus.messagePassing,
  litmus.messagePassingBroken,
  litmus.storeBuffering,
  litmus.guardedMessagePassing,
  litmus.loadBuffering,
  litmus.twoPlusTwoWrites,
  litmus.iriw,
  litmus.spinLockLitmus,
  litmus.queuedSpinLockLitmus,
  litmus.mcsLock,
  litmus.tryLock,
  litmus.gupFastMiniature,
]

/**
 * The scenario of this name, or with an architecture or a design of page tables behind an `@`, as in
 * `gup-vs-split@s390` or `retract-vs-gup@powerpc-fragments`. Throws UsageError, with what exists and the nearest match,
 * for a name that is none.
 */
export const scenarioById = (name: string): Scenario => scenarioOf(name, scenarios)

/** The same of one of `known`. */
export function scenarioOf(name: string, known: readonly Scenario[]): Scenario {
  const [plain = '', delay] = name.split(DELAY)
  if (delay !== undefined) return withGpDelay(scenarioOf(plain, known), Number(delay))
  const [id = '', design] = name.split('@')
  const scenario = nearest('scenario', id, known)
  if (design === undefined) return scenario
  const { id: chosen, pgalloc, config } = nearest('architecture or design of page tables', design, machines())
  const { arch } = pgallocDesign(pgalloc)
  if (
    arch.config.flushStyle === 'broadcast' &&
    (scenario.config?.flushStyle === 'ipi' || scenario.config?.tableFree === 'ipi')
  )
    throw new UsageError(`${id} on ${arch.id}`, 'it is about flushes that interrupt, and that architecture has none')
  return { ...scenario, id: `${id}@${chosen}`, arch: arch.id, config: { ...scenario.config, ...config, pgalloc } }
}

const DELAY = '+gp-delay='

/**
 * `scenario` with RCU work put off `percent` of the times (0 … 99) that a CPU could do it. Its name says so: tokens
 * keep it.
 */
export function withGpDelay(scenario: Scenario, percent: number): Scenario {
  if (!Number.isInteger(percent) || percent < 0 || percent > GP_DELAY_MAX)
    throw new UsageError(`--gp-delay ${percent}`, `it is a percentage from 0 to ${GP_DELAY_MAX}`)
  const id = `${scenario.id.split(DELAY)[0]}${DELAY}${percent}`
  return { ...scenario, id, config: { ...scenario.config, gpDelay: percent } }
}

/** A machine that a scenario can be put on, by the name behind the `@`. */
interface NamedMachine {
  readonly id: string
  readonly pgalloc: string
  readonly config?: Partial<KernelConfig>
}

/** An architecture, for the design that its mainline has; one of its variants; a design. */
const machines = (): readonly NamedMachine[] => [
  ...ARCHITECTURES.flatMap(({ id, pgalloc, variants = [] }) => [
    { id, pgalloc },
    ...variants.map((variant) => ({ ...variant, pgalloc })),
  ]),
  ...pgallocDesigns().map(({ id }) => ({ id, pgalloc: id })),
]
