/** racewalk's public surface: scenarios and bugs as data, the two engines that run them, tokens, and words for findings. */

// ---- scenarios and programs
export { defineScenario, mapAnonymous, store, load, gup, dontneed, renew, roles } from './scenario/scenario.js'
export type { Built, Scenario, Setting } from './scenario/scenario.js'
export { scenarioById, scenarios } from './scenario/catalog/index.js'
export { ADVICE, MAP, MREMAP, PROT } from './program/op.js'
export type { Advice, Op, OpName, Pick, Program } from './program/op.js'

// ---- bugs and patches
export { defineBug } from './bug/bug.js'
export type { Bug } from './bug/bug.js'
export { bugs } from './bug/index.js'
export { MAINLINE } from './boot/parts.js'
export type { KernelConfig, PartClasses } from './mm/kernel.js'
export type { Step } from './machine/engine/engine.js'

// ---- controlled: chosen schedules, replay
export { explore, exploreAsync, replay } from './explore/explore.js'
export type { ExploreOptions, ExploreResult, FoundFinding, ReplayRecorder, ReplayResult } from './explore/explore.js'
export { exploreSharded } from './explore/shards.js'
export type { ShardedOptions } from './explore/shards.js'
export type { ShardsReport } from './explore/explore.js'
export type { Modules } from './explore/travel.js'
export type { Divergence, Side } from './explore/check.js'
export type { Resumed } from './explore/kept.js'
export type { Wanted } from './explore/runner.js'
export { compareTables } from './explore/compareTables.js'
export type { CompareOptions, Variant, Verdict } from './explore/compareTables.js'
export { decodeToken, encodeToken } from './explore/token.js'
export type { Token } from './explore/token.js'

// ---- free-running: a thread for each CPU
export { stress } from './scenario/stress.js'
export type { StressOptions } from './scenario/stress.js'
export { freeRun } from './boot/freeRun.js'
export type { FreeRunOptions, FreeRunResult, OperationCounts, Progress } from './boot/freeRun.js'
export { fullMachine, smallMachine } from './boot/config.js'
export type { MachineConfig } from './boot/config.js'

// ---- findings
export type { Finding } from './machine/engine/finding.js'
export { explain } from './report/explain.js'
export type { Explanation } from './report/explain.js'
export { findingText } from './report/text.js'
export type { ReportOptions } from './report/text.js'
export { paletteFor } from './report/palette.js'
export type { FindingDocument, RunDocument, StepDocument } from './report/json.js'
export type { Row } from './report/steps.js'

// ---- what is thrown
export { UsageError } from './base/errors.js'
export { SimBug } from './base/assert.js'
