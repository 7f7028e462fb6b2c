/**
 * racewalk's public surface: scenarios and bugs as data, the two engines that run them, tokens, and words for findings.
 */

// ---- scenarios and programs
export {
  defineScenario,
  dontneed,
  gup,
  load,
  madvise,
  mapAnonymous,
  renew,
  roles,
  store,
  storeSmall,
} from './scenario/scenario.js'
export type { Built, Scenario, Setting } from './scenario/scenario.js'
export { scenarioById, scenarios } from './scenario/catalog/index.js'
export { loadScenario } from './scenario/load.js'
export { ADVICE, MAP, MREMAP, PROT } from './program/op.js'
export type { Advice, Op, OpName, Pick, Program, Value } from './program/op.js'
export { programSchema } from './program/checkProgram.js'

// ---- bugs and patches
export { defineBug } from './bug/bug.js'
export type { Bug } from './bug/bug.js'
export { bugs } from './bug/index.js'
export { definePatch } from './bug/patch.js'
export type { Patch, PatchParts } from './bug/patch.js'
export { loadBug, loadPatch } from './boot/module/load.js'
export { MAINLINE } from './subsystem/index.js'
export type { KernelConfig, PartClasses } from './mm/kernel.js'
export type { Step } from './machine/engine/engine.js'

// ---- controlled: chosen schedules, replay
export { explore, exploreAsync, replay } from './explore/explore.js'
export type { ExploreOptions, ExploreResult, FoundFinding, ReplayRecorder, ReplayResult } from './explore/explore.js'
export { exploreSharded } from './explore/shards/shards.js'
export type { ShardedOptions } from './explore/shards/shards.js'
export type { ShardsReport } from './explore/explore.js'
export type { Modules } from './explore/planCodec.js'
export type { Divergence, Side } from './explore/schedule/check.js'
export type { Resumed } from './explore/checkpoint.js'
export type { Wanted } from './explore/runner.js'
export { mergeCoverage } from './explore/insight/coverageData.js'
export type { CoverageData } from './explore/insight/coverageData.js'
export { failureCurve } from './explore/insight/curve.js'
export type { Curve, CurveOptions, CurvePoint } from './explore/insight/curve.js'
export { insightOf } from './explore/insight/insight.js'
export type { Insight, PairCounts, UnseenOrder } from './explore/insight/insight.js'
export type { SearchProgress } from './explore/strategy/search.js'
export { compareTables } from './explore/compare/compareTables.js'
export type { CompareOptions, Variant, Verdict } from './explore/compare/compareTables.js'
export { decodeToken, encodeToken } from './explore/schedule/token.js'
export type { Token } from './explore/schedule/token.js'

// ---- free-running: a thread for each CPU
export { stress } from './scenario/stress.js'
export type { StressOptions } from './scenario/stress.js'
export { freeRun } from './boot/threads/freeRun.js'
export type { FreeRunOptions, FreeRunResult, OperationCounts, Progress } from './boot/threads/freeRun.js'
export { fullMachine, smallMachine } from './boot/config.js'
export type { MachineConfig } from './boot/config.js'

// ---- findings
export type { Finding } from './machine/engine/finding.js'
export { explain } from './report/explain.js'
export type { Explanation } from './report/explain.js'
export { ruleOf } from './report/rules.js'
export type { Rule } from './report/rules.js'
export { whatChanged } from './report/changed.js'
export type { Changed } from './report/changed.js'
export { playerHtml } from './report/playerHtml.js'
export type { PlayedExecution } from './report/playerHtml.js'
export { traceDocument } from './report/traceEvents.js'
export type { TraceDocument } from './report/traceEvents.js'
export { findingText } from './report/text.js'
export type { ReportOptions } from './report/text.js'
export { paletteFor } from './report/palette.js'
export type { FindingDocument, RunDocument, StepDocument } from './report/json.js'
export type { StateDocument } from './report/state/document.js'
export type { Row } from './report/steps.js'

// ---- what is thrown
export { UsageError } from './base/errors.js'
export { SimBug } from './base/assert.js'
