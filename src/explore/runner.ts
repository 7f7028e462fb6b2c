/**
 * One machine in this thread that runs the executions of a plan. An exploration in one thread has one, and every shard.
 */
import { UsageError } from '../base/errors.js'
import type { Bug } from '../bug/bug.js'
import { patched, type Patch } from '../bug/patch.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Reduction } from '../program/reduction.js'
import type { Scenario } from '../scenario/scenario.js'
import { Check } from './check.js'
import { Coverage, mergeCoverage } from './coverage.js'
import { DeviationStrategy, type Deviation } from './deviations.js'
import { searchOf } from './searches.js'
import { isIndexed, type Search } from './search.js'
import { both, Session } from './session.js'
import type { StrategyId } from './strategies.js'
import { countOutcome, isOver, type Tally } from './tally.js'

/** What is looked for: findings of one oracle, by its name, or those that a function likes. */
export type Wanted = string | ((finding: Finding) => boolean)

/** Everything that decides what an exploration does. */
export interface Plan {
  readonly scenario: Scenario
  readonly bug: Bug | null
  /** On top of the bug, or of mainline. */
  readonly patch: Patch | null
  readonly cpus: number
  readonly seed: number
  readonly strategy: StrategyId
  /** Null for any finding. */
  readonly wanted: Wanted | null
  /** Every execution begins with these, and is the strategy's from there. */
  readonly after: readonly Deviation[]
  /** What is left of the scenario's programs; null for all of them. */
  readonly reduction: Reduction | null
  /** Each schedule is run twice and compared. */
  readonly check: boolean
  /** What each execution covers is recorded, instead of some. */
  readonly insight: boolean
  /** The oracles look; false for measuring what they cost. */
  readonly oracles: boolean
}

export class Runner {
  readonly session: Session
  readonly #search: Search
  readonly #after: readonly Deviation[]
  readonly #coverage: Coverage
  readonly #check: Check | null
  readonly #isWanted: (finding: Finding) => boolean
  readonly #strategy: StrategyId
  /** Executions before the next one. */
  #index = 0
  /** Of the executions that are run before any other. */
  #measured = 0

  constructor(plan: Plan) {
    const { scenario, bug, patch, cpus, seed, strategy, wanted, after, check, insight, oracles } = plan
    this.session = new Session(scenario, patched(bug, patch), cpus, false, oracles)
    this.session.reduce(plan.reduction)
    this.#search = searchOf(strategy, seed, this.session.engine, cpus)
    this.#coverage = new Coverage(this.session.machine, this.session.bare, insight)
    this.#check = check ? new Check(this.session) : null
    this.#strategy = strategy
    this.#after = after
    this.#isWanted = typeof wanted === 'string' ? ({ oracle }) => oracle === wanted : (wanted ?? ((): boolean => true))
  }

  /**
   * Goes on with execution `index` (from 0). Throws UsageError, naming the option that asks for it, when the strategy's
   * executions depend on those before.
   */
  goTo(index: number, option: string): void {
    const search = this.#search
    if (!isIndexed(search))
      throw new UsageError(
        `${option} with --strategy ${this.#strategy}`,
        'what that does next depends on all that it did before, in one thread',
        `leave ${option} out, or take another strategy`,
      )
    while (this.#measured < search.measured) {
      this.session.execute(search.next())
      search.ended()
      this.#measured++
    }
    search.skipTo(index)
    this.#index = index
  }

  /** Runs the next execution and adds it to `tally`; false when the exploration is over. */
  runOne(tally: Tally): boolean {
    const { session } = this
    const strategy = this.#search.next()
    if (strategy === null) {
      tally.complete = this.#search.progress?.().estimate !== null
      return false
    }
    const covering = this.#coverage.begin(this.#index, strategy)
    const begun = this.#after.length === 0 ? strategy : new DeviationStrategy(session, this.#after, strategy)
    const execution = session.execute(begun, both(covering, this.#check?.recorder ?? null))
    this.#search.ended()
    if (execution.pruned === true) return true
    this.#coverage.ended(session.engine.pickCount)
    this.#index++
    tally.executions++
    tally.steps += session.engine.steps
    tally.operations += session.operationsDone
    if (execution.outcome !== null) countOutcome(tally.outcomes, execution.outcome, 1)
    if (execution.finding === null && this.#check === null) return true
    if (execution.finding !== null) this.#note(execution.finding, tally)
    tally.divergence = this.#check?.again(execution, this.#index) ?? null
    return !isOver(tally)
  }

  /** Adds what was covered since the last time to `tally`, and how far the search has come. */
  collect(tally: Tally): void {
    tally.coverage = mergeCoverage([tally.coverage, this.#coverage.take()])
    tally.progress = this.#search.progress?.() ?? null
  }

  #note(finding: Finding, tally: Tally): void {
    const found = { execution: this.#index, finding, picks: this.session.engine.picks }
    if (this.#isWanted(finding)) tally.found = found
    else tally.unwanted ??= found
  }
}
