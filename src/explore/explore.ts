/**
 * The public calls behind `racewalk explore` and `racewalk replay`. Explorations in several threads are in
 * shards/shards.ts.
 */
import { UsageError } from '../base/errors.js'
import type { Bug } from '../bug/bug.js'
import type { KernelChange, Patch } from '../bug/patch.js'
import type { StepRecorder } from '../machine/engine/controlled.js'
import type { Finding } from '../machine/engine/finding.js'
import { CONTROLLED_CPUS_MAX } from '../machine/engine/actions.js'
import type { Reduction } from '../program/reduction.js'
import { checkCpus, type Scenario } from '../scenario/scenario.js'
import type { Divergence } from './schedule/check.js'
import { DeviationStrategy, type Deviation } from './schedule/deviations.js'
import { Checkpoint, type Resumed } from './checkpoint.js'
import { present, type FoundFinding } from './present.js'
import { Runner, type Plan, type Wanted } from './runner.js'
import type { CoverageData } from './insight/coverageData.js'
import type { SearchProgress } from './strategy/search.js'
import { Session } from './session/session.js'
import { checkChoice, type StrategyId } from './searches.js'
import { emptyTally, isOver, type Tally } from './tally.js'
import type { Token } from './schedule/token.js'
import type { Modules } from './planCodec.js'

export type { FoundFinding } from './present.js'

export interface ExploreOptions {
  readonly scenario: Scenario
  readonly bug?: Bug | null
  /** On top of the bug, or of mainline. */
  readonly patch?: Patch | null
  readonly cpus?: number
  readonly seed?: number
  /** How schedules are chosen, 'portfolio' unless given. */
  readonly strategy?: StrategyId
  /** Of `pct`: each execution has this depth, 1 to 100, instead of one that it draws. */
  readonly depth?: number
  /** Of `bounded` and `dpor`: the most preemptions, 0 to 1,000. What has more is not explored. */
  readonly preemptions?: number
  /** Stop after this many executions, those of a resumed exploration among them. */
  readonly executions?: number
  /** Asked every few executions; true ends the exploration. Time limits and Ctrl-C come in through it. */
  readonly stop?: (executions: number) => boolean
  /** The finding that is looked for; any unless given. The first other one is reported if the wanted is not found. */
  readonly wanted?: Wanted
  /** Make what was found smaller: fewer switches between CPUs, operations, CPUs and pages (shrink.ts). */
  readonly shrink?: boolean
  /** Turns that every execution begins with, as a token has them; the strategy goes on from there. */
  readonly after?: readonly Deviation[]
  /** The rest of the scenario's programs, as a token has it; all of them unless given. */
  readonly reduction?: Reduction | null
  /** Run each schedule twice; the first execution that is not the same again ends the exploration. */
  readonly check?: boolean
  /** Directory that keeps the exploration: continued from there, and left there to be continued (checkpoint.ts). */
  readonly resume?: string
  /**
   * Files of a scenario or a bug that is not in the catalogue: for shards, and for `resume` to recognise it.
   */
  readonly modules?: Modules
  /** Record what every execution covers, instead of some (coverage.ts). */
  readonly insight?: boolean
  /** False: nothing is checked but the scenario's ending; for measuring what the oracles cost. */
  readonly oracles?: boolean
  /**
   * Accesses that one execution may make, from 1 on: one that makes more is given up, and the result counts it
   * (`unfinished`). Unless given, the limit grows with the programs: 20,000, or 1,000 for each operation and page.
   */
  readonly maxSteps?: number
}

export interface ExploreResult {
  /** In all, those of a resumed exploration among them. */
  readonly executions: number
  /** Accesses made, in all executions. */
  readonly steps: number
  /** Operations of programs that ended, in all executions. */
  readonly operations: number
  readonly finding: FoundFinding | null
  /** Executions that were given up at the limit of accesses (`maxSteps`): what came after it was not checked. */
  readonly unfinished: number
  /** The limit. */
  readonly maxSteps: number
  /** True when there is no schedule that was not explored, up to equivalence; sampling never knows. */
  readonly complete: boolean
  /** How far a systematic search came; null for sampled schedules. */
  readonly progress: SearchProgress | null
  /** The coverage of the executions. */
  readonly coverage: CoverageData
  /** Endings seen, with how often. */
  readonly outcomes: ReadonlyMap<string, number>
  /** With `check`: an execution that was not the same again. */
  readonly divergence: Divergence | null
  /** The exploration that was taken over from the directory of `resume`; null when there was none. */
  readonly resumed: Resumed | null
  /** Why the directory of `resume` does not have the end of this exploration; null when it has. */
  readonly unkept: string | null
  /** Results of shards alone; null in one thread. */
  readonly shards: ShardsReport | null
  /**
   * The machine as the execution that was found left it, or the last one. Another session in this thread takes the
   * image away.
   */
  readonly session: Session
}

/** How the work of shards went. */
export interface ShardsReport {
  readonly count: number
  /** Executions that were made but do not count: one before them was not made when the exploration was stopped. */
  readonly cut: number
  /** Why work was done again: how each thread that was lost ended. */
  readonly redone: readonly string[]
  /** The same work failed twice: where, and how. What is after it does not count. */
  readonly fault: string | null
}

/** Executions between two looks at the stop callback and, asynchronously, at the clock. */
const STOP_EVERY = 32
/** How long an exploration holds on to its thread before timers and signals get their turn. */
const SLICE_MS = 50

/** Runs executions until one finds something, or the budget is used up. */
export function explore(options: ExploreOptions): ExploreResult {
  const exploration = new Exploration(options)
  while (exploration.runSome(STOP_EVERY));
  return exploration.result()
}

/**
 * The same in slices, with a turn of the event loop between them, so that Ctrl-C, timers and progress get through.
 * `onProgress` is called once a slice. Start no other machine in this thread until it is done.
 */
export async function exploreAsync(
  options: ExploreOptions & { readonly onProgress?: (executions: number) => void },
): Promise<ExploreResult> {
  const exploration = new Exploration(options)
  for (;;) {
    const sliceEnd = performance.now() + SLICE_MS
    let more = true
    while (more && performance.now() < sliceEnd) more = exploration.runSome(STOP_EVERY)
    options.onProgress?.(exploration.executions)
    if (!more) return exploration.result()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

class Exploration {
  readonly #options: ExploreOptions
  readonly #plan: Plan
  readonly #runner: Runner
  readonly #checkpoint: Checkpoint | null
  readonly #tally: Tally

  constructor(options: ExploreOptions) {
    this.#options = options
    this.#plan = planOf(options)
    this.#runner = new Runner(this.#plan)
    this.#checkpoint = checkpointFor(options, this.#plan)
    this.#tally = this.#checkpoint?.tally ?? emptyTally()
    if (!this.#checkpoint?.resumed) return
    if (this.#checkpoint.search !== null) this.#runner.systematic?.goOn(this.#checkpoint.search)
    this.#runner.goTo(this.executions)
  }

  get executions(): number {
    return this.#tally.executions
  }

  /** At most `count` executions; false when the exploration is over. */
  runSome(count: number): boolean {
    const { executions = Infinity, stop } = this.#options
    if (isOver(this.#tally) || stop?.(this.executions) === true) return false
    this.#checkpoint?.saveSometimes(() => this.#collected(), this.#search)
    for (let i = 0; i < count; i++) {
      if (this.executions >= executions) return false
      if (!this.#runner.runOne(this.#tally)) return false
    }
    return true
  }

  /** Where a systematic search stands. */
  readonly #search = (): object | null => this.#runner.systematic?.keep() ?? null

  /** The tally, with what the runner knows besides. */
  #collected(): Tally {
    this.#runner.collect(this.#tally)
    return this.#tally
  }

  result(): ExploreResult {
    const [tally, search] = [this.#collected(), this.#search()]
    const unkept = this.#checkpoint?.save(tally, search) ?? null
    const result = resultOf(tally, this.#plan, this.#runner.session, this.#options.shrink === true)
    return { ...result, resumed: this.#checkpoint?.resumed ?? null, unkept }
  }
}

/** Throws UsageError for CPUs that the scenario cannot have, and for what the strategy has not. */
export function planOf(options: ExploreOptions): Plan {
  const { scenario, bug = null, patch = null, seed = 1, strategy = 'portfolio', wanted = null } = options
  const { after = [], reduction = null, check = false, insight = false, oracles = true } = options
  const { depth = null, preemptions = null, maxSteps = null } = options
  checkMaxSteps(maxSteps)
  checkChoice({ strategy, depth, preemptions })
  const cpus = checkCpus(scenario, options.cpus ?? scenario.cpus, CONTROLLED_CPUS_MAX)
  const kernel = { scenario, bug, patch, cpus, reduction }
  return { ...kernel, seed, strategy, depth, preemptions, wanted, after, check, insight, oracles, maxSteps }
}

function checkMaxSteps(maxSteps: number | null): void {
  if (maxSteps === null || (Number.isSafeInteger(maxSteps) && maxSteps > 0)) return
  throw new UsageError(`maxSteps ${maxSteps}`, 'the limit of accesses is a whole number from 1 on', 'leave it out')
}

/** The directory of `resume`; null without. Throws UsageError as Checkpoint does. */
export function checkpointFor({ resume, modules = {} }: ExploreOptions, plan: Plan): Checkpoint | null {
  return resume === undefined ? null : new Checkpoint(resume, plan, Object.values(modules) as string[])
}

/** `session`: a machine of `plan`, which shows what was found. */
export function resultOf(tally: Tally, plan: Plan, session: Session, shrinks: boolean): ExploreResult {
  const found = tally.found ?? tally.unwanted
  return {
    executions: tally.executions,
    steps: tally.steps,
    operations: tally.operations,
    finding: found === null ? null : present(found, plan, session, shrinks),
    unfinished: tally.unfinished,
    maxSteps: session.engine.stepLimit,
    complete: tally.complete && tally.unfinished === 0,
    progress: progressOf(tally),
    coverage: tally.coverage,
    outcomes: tally.outcomes,
    divergence: tally.divergence,
    resumed: null,
    unkept: null,
    shards: null,
    session,
  }
}

/** The knowledge of a search of its schedules, but for those that went on beyond the limit of accesses. */
function progressOf({ progress, unfinished }: Tally): SearchProgress | null {
  if (progress === null || unfinished === 0) return progress
  return { ...progress, bound: null, note: `${progress.note}, as far as the limit of accesses lets them go` }
}

/** Hears every step of a replay, and where a CPU comes to a point at which another goes on. */
export interface ReplayRecorder extends StepRecorder {
  /**
   * CPU `cpu` has come to an access; its kernel functions are on the JS stack now, and only now if it is suspended
   * here.
   */
  point(cpu: number): void
}

export interface ReplayResult {
  readonly finding: Finding | null
  /** True when the execution was given up at the limit of accesses. */
  readonly unfinished: boolean
  /** True when the execution deviated from the default schedule wherever the token says. */
  readonly exact: boolean
  /**
   * Deviations taken, and the first that was not, since its point did not come or its action was not possible there.
   */
  readonly taken: number
  readonly missed: Deviation | null
  readonly session: Session
}

/** Times the usual limit that a replay may go on for. */
const REPLAYED_MORE = 5

/**
 * The execution of `token` again, in the kernel that `change` makes of mainline; `record` makes the recorder that
 * hears its steps.
 */
export function replay(
  token: Token,
  scenario: Scenario,
  change: KernelChange | null,
  record: (session: Session) => ReplayRecorder | null = () => null,
): ReplayResult {
  const session = new Session(scenario, change, checkCpus(scenario, token.cpus, CONTROLLED_CPUS_MAX), { sites: true })
  // Of an exploration that was allowed more.
  session.engine.stepLimit *= REPLAYED_MORE
  session.reduce(token.reduction)
  const recorder = record(session)
  const onPoint = recorder === null ? undefined : (cpu: number): void => recorder.point(cpu)
  const strategy = new DeviationStrategy(session, token.deviations, null, onPoint)
  const { finding, unfinished = false } = session.execute(strategy, recorder)
  const { taken, missed } = strategy
  return { finding, unfinished, exact: missed === null, taken, missed, session }
}
