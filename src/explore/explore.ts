/**
 * Exploration, and replay: the public calls behind `racewalk explore` and `racewalk replay`.
 */
import type { Bug } from '../bug/bug.js'
import { patched, type KernelChange, type Patch } from '../bug/patch.js'
import type { StepRecorder } from '../machine/engine/controlled.js'
import type { Finding } from '../machine/engine/finding.js'
import { CONTROLLED_CPUS_MAX } from '../machine/engine/controlled.js'
import { checkCpus, type Scenario } from '../scenario/scenario.js'
import { ReplayStrategy } from './replay.js'
import { Session } from './session.js'
import { shrink } from './shrink.js'
import { strategyOf, type StrategyId } from './strategies.js'
import { encodeToken, type Token } from './token.js'

export interface ExploreOptions {
  readonly scenario: Scenario
  readonly bug?: Bug | null
  /** On top of the bug, or of mainline. */
  readonly patch?: Patch | null
  readonly cpus?: number
  readonly seed?: number
  /** How schedules are chosen, 'portfolio' unless given. */
  readonly strategy?: StrategyId
  /** Stop after this many executions. */
  readonly executions?: number
  /** Asked every few executions; true ends the exploration. Time limits and Ctrl-C come in through it. */
  readonly stop?: (executions: number) => boolean
  /** What is looked for; any finding unless given. The first other one is reported if nothing wanted turns up. */
  readonly wanted?: (finding: Finding) => boolean
  /** Make what was found smaller: fewer switches between CPUs (shrink.ts). */
  readonly shrink?: boolean
}

export interface FoundFinding extends Finding {
  readonly token: string
  /** Execution in which it was found, from 1. */
  readonly execution: number
  /** Switches between CPUs in the execution that was found and in the one of the token; null when it was not shrunk. */
  readonly switches: { readonly before: number; readonly after: number } | null
}

export interface ExploreResult {
  readonly executions: number
  /** Accesses made, in all executions. */
  readonly steps: number
  /** Operations of programs that ended, in all executions. */
  readonly operations: number
  readonly finding: FoundFinding | null
  /** Endings seen, with how often. */
  readonly outcomes: ReadonlyMap<string, number>
  /** The machine as the last execution left it. Another session in this thread takes the image away from it. */
  readonly session: Session
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
  executions = 0
  readonly #options: ExploreOptions
  readonly #session: Session
  readonly #seed: number
  readonly #cpus: number
  readonly #outcomes = new Map<string, number>()
  #steps = 0
  #operations = 0
  #longest = 0
  #finding: FoundFinding | null = null

  constructor(options: ExploreOptions) {
    const { scenario, bug = null, patch = null, seed = 1 } = options
    this.#options = options
    this.#seed = seed
    this.#cpus = checkCpus(scenario, options.cpus ?? scenario.cpus, CONTROLLED_CPUS_MAX)
    this.#session = new Session(scenario, patched(bug, patch), this.#cpus)
  }

  /** At most `count` executions; false when the exploration is over. */
  runSome(count: number): boolean {
    const { executions = Infinity, stop } = this.#options
    if (stop?.(this.executions) === true) return false
    for (let i = 0; i < count; i++) {
      if (this.executions >= executions) return false
      if (this.#runOne()) return false
    }
    return true
  }

  /** True when it found what is wanted. */
  #runOne(): boolean {
    const session = this.#session
    const { strategy = 'portfolio' } = this.#options
    const { finding, outcome } = session.execute(strategyOf(strategy, this.#seed, this.executions, this.#longest))
    this.executions++
    this.#longest = Math.max(this.#longest, session.engine.picks.length)
    this.#steps += session.engine.steps
    this.#operations += session.operationsDone
    if (outcome !== null) this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
    if (finding === null) return false
    const isWanted = this.#options.wanted?.(finding) ?? true
    if (isWanted || this.#finding === null) this.#finding = this.#withToken(finding)
    return isWanted
  }

  #withToken(finding: Finding): FoundFinding {
    const { scenario, bug } = this.#options
    const { picks } = this.#session.engine
    const small = this.#options.shrink === true ? shrink(this.#session, finding, [...picks]) : null
    const token = encodeToken({
      scenario: scenario.id,
      bug: bug?.id ?? null,
      cpus: this.#cpus,
      picks: small?.picks ?? picks,
    })
    return { ...(small?.finding ?? finding), token, execution: this.executions, switches: small?.switches ?? null }
  }

  result(): ExploreResult {
    const [steps, operations, finding, outcomes, session] = [
      this.#steps,
      this.#operations,
      this.#finding,
      this.#outcomes,
      this.#session,
    ]
    return { executions: this.executions, steps, operations, finding, outcomes, session }
  }
}

/** Hears every step of a replay, and where a CPU comes to a point at which another goes on. */
export interface ReplayRecorder extends StepRecorder {
  /** CPU `cpu` has come to an access; its kernel functions are on the JS stack now, and only now if it is suspended here. */
  point(cpu: number): void
}

export interface ReplayResult {
  readonly finding: Finding | null
  /** True when every recorded pick was possible and used. */
  readonly exact: boolean
  readonly divergedAt: number
  readonly session: Session
}

/** The execution of `token` again, in the kernel that `change` makes of mainline; `record` makes the recorder that hears its steps. */
export function replay(
  token: Token,
  scenario: Scenario,
  change: KernelChange | null,
  record: (session: Session) => ReplayRecorder | null = () => null,
): ReplayResult {
  const session = new Session(scenario, change, checkCpus(scenario, token.cpus, CONTROLLED_CPUS_MAX), true)
  const recorder = record(session)
  const strategy = new ReplayStrategy(token.picks, recorder === null ? undefined : (cpu) => recorder.point(cpu))
  const { finding } = session.execute(strategy, recorder)
  return { finding, exact: strategy.exact, divergedAt: strategy.divergedAt, session }
}
