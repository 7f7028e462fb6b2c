/**
 * Exploration with the random strategy, and replay: the public calls behind `racewalk explore` and `racewalk replay`.
 */
import { UsageError } from '../base/errors.js'
import type { Bug } from '../bug/bug.js'
import type { StepRecorder } from '../machine/engine/controlled.js'
import type { Finding } from '../machine/engine/finding.js'
import { CONTROLLED_CPUS_MAX } from '../machine/engine/controlled.js'
import type { Scenario } from '../scenario/scenario.js'
import { RandomStrategy } from './random.js'
import { ReplayStrategy } from './replay.js'
import { Session } from './session.js'
import { encodeToken, type Token } from './token.js'

export interface ExploreOptions {
  readonly scenario: Scenario
  readonly bug?: Bug | null
  readonly cpus?: number
  readonly seed?: number
  /** Stop after this many executions. */
  readonly executions?: number
  /** Asked every few executions; true ends the exploration. Time limits and Ctrl-C come in through it. */
  readonly stop?: (executions: number) => boolean
}

export interface FoundFinding extends Finding {
  readonly token: string
  /** Execution in which it was found, from 1. */
  readonly execution: number
}

export interface ExploreResult {
  readonly executions: number
  readonly steps: number
  readonly finding: FoundFinding | null
  /** Endings seen, with how often. */
  readonly outcomes: ReadonlyMap<string, number>
}

const STOP_EVERY = 32

/** Runs executions until one finds something, or the budget is used up. */
export function explore(options: ExploreOptions): ExploreResult {
  const { scenario, bug = null, seed = 1, executions = Infinity } = options
  const cpus = checkCpus(scenario, options.cpus ?? scenario.cpus)
  const session = new Session(scenario, bug, cpus)
  const outcomes = new Map<string, number>()
  let steps = 0
  let done = 0
  while (done < executions) {
    if (done % STOP_EVERY === 0 && options.stop?.(done) === true) break
    const { finding, outcome } = session.execute(new RandomStrategy(seed, done))
    done++
    steps += session.engine.steps
    if (outcome !== null) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    if (finding === null) continue
    const token = encodeToken({ scenario: scenario.id, bug: bug?.id ?? null, cpus, picks: session.engine.picks })
    return { executions: done, steps, finding: { ...finding, token, execution: done }, outcomes }
  }
  return { executions: done, steps, finding: null, outcomes }
}

export interface ReplayResult {
  readonly finding: Finding | null
  /** True when every recorded pick was possible and used. */
  readonly exact: boolean
  readonly divergedAt: number
  readonly session: Session
}

/** The execution of `token` again; `record` makes the recorder that hears its steps. */
export function replay(
  token: Token,
  scenario: Scenario,
  bug: Bug | null,
  record: (session: Session) => StepRecorder | null = () => null,
): ReplayResult {
  const session = new Session(scenario, bug, checkCpus(scenario, token.cpus))
  const strategy = new ReplayStrategy(token.picks)
  const { finding } = session.execute(strategy, record(session))
  return { finding, exact: strategy.exact, divergedAt: strategy.divergedAt, session }
}

/** Throws UsageError for a number of CPUs that the scenario or the engine cannot have. */
export function checkCpus(scenario: Scenario, cpus: number, most = CONTROLLED_CPUS_MAX): number {
  const least = scenario.cpusMin ?? 2
  if (Number.isInteger(cpus) && cpus >= least && cpus <= most) return cpus
  throw new UsageError(`--cpus ${cpus}`, `${scenario.id} runs on ${least} to ${most} CPUs`, `leave --cpus out for ${scenario.cpus}`)
}
