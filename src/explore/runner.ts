/**
 * A runner executes a plan on one machine in its thread. An exploration in one thread has one runner; every shard has
 * one.
 */
import type { Bug } from '../bug/bug.js'
import { patched, type Patch } from '../bug/patch.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Reduction } from '../program/reduction.js'
import type { Scenario } from '../scenario/scenario.js'
import { Check } from './schedule/check.js'
import { Coverage } from './insight/coverage.js'
import { mergeCoverage } from './insight/coverageData.js'
import { DeviationStrategy, type Deviation } from './schedule/deviations.js'
import { searchOf, type StrategyChoice } from './searches.js'
import { isIndexed, isSystematic, type Search, type SystematicSearch } from './strategy/search.js'
import { both } from './session/recorders.js'
import { Session } from './session/session.js'
import { countOutcome, isOver, type Tally } from './tally.js'

/** The findings that end an exploration: those of one oracle, by its name, or those that a function accepts. */
export type Wanted = string | ((finding: Finding) => boolean)

/** Everything that decides what an exploration does. */
export interface Plan extends StrategyChoice {
  readonly scenario: Scenario
  readonly bug: Bug | null
  /** On top of the bug, or of mainline. */
  readonly patch: Patch | null
  readonly cpus: number
  readonly seed: number
  /** Null for any finding. */
  readonly wanted: Wanted | null
  /** Every execution begins with these, and is the strategy's from there. */
  readonly after: readonly Deviation[]
  /** The rest of the scenario's programs; null for all of them. */
  readonly reduction: Reduction | null
  /** Each schedule is run twice and compared. */
  readonly check: boolean
  /** The coverage of each execution is recorded, instead of that of some. */
  readonly insight: boolean
  /** The oracles look; false for measuring what they cost. */
  readonly oracles: boolean
  /** Accesses that one execution may make; null for as many as the programs need. */
  readonly maxSteps: number | null
}

export class Runner {
  readonly session: Session
  readonly #search: Search
  readonly #after: readonly Deviation[]
  readonly #coverage: Coverage
  readonly #check: Check | null
  readonly #isWanted: (finding: Finding) => boolean
  /** Executions before the next one. */
  #index = 0
  /** Of the executions that are run before any other. */
  #measured = 0

  constructor(plan: Plan) {
    const { scenario, bug, patch, cpus, seed, wanted, after, check, insight, oracles, maxSteps } = plan
    this.session = new Session(scenario, patched(bug, patch), cpus, { oracles, maxSteps })
    this.session.reduce(plan.reduction)
    this.#search = searchOf(plan, seed, this.session.engine, cpus)
    this.#coverage = new Coverage(this.session.machine, this.session.bare, insight)
    this.#check = check ? new Check(this.session) : null
    this.#after = after
    this.#isWanted = typeof wanted === 'string' ? ({ oracle }) => oracle === wanted : (wanted ?? ((): boolean => true))
  }

  /** The search, where it is one that learns; null for sampled schedules. */
  get systematic(): SystematicSearch | null {
    return isSystematic(this.#search) ? this.#search : null
  }

  /** Goes on with execution `index` (from 0). A systematic search goes on as it stands: it is only a number then. */
  goTo(index: number): void {
    this.#index = index
    const search = this.#search
    if (!isIndexed(search)) return
    while (this.#measured < search.measured) {
      this.session.execute(search.next())
      search.ended()
      this.#measured++
    }
    search.skipTo(index)
  }

  /** Runs the next execution and adds it to `tally`; false when the exploration is over. */
  runOne(tally: Tally): boolean {
    const { session, systematic } = this
    const strategy = this.#search.next()
    if (strategy === null) {
      tally.complete = (systematic?.complete ?? false) && tally.unfinished === 0
      return false
    }
    const covering = this.#coverage.begin(this.#index, systematic?.mark ?? this.#index, strategy)
    const begun = this.#after.length === 0 ? strategy : new DeviationStrategy(session, this.#after, strategy)
    const execution = session.execute(begun, both(covering, this.#check?.recorder ?? null))
    const counts = this.#search.ended()
    if (execution.pruned === true || !counts) return true
    this.#coverage.ended(session.engine.pickCount)
    this.#index++
    tally.executions++
    tally.steps += session.engine.steps
    tally.operations += session.operationsDone
    if (execution.unfinished === true) tally.unfinished++
    if (execution.outcome !== null) countOutcome(tally.outcomes, execution.outcome, 1)
    if (execution.finding === null && this.#check === null) return true
    if (execution.finding !== null) this.#note(execution.finding, tally)
    tally.divergence = this.#check?.again(execution, this.#index) ?? null
    return !isOver(tally)
  }

  /** Adds what was covered since the last time to `tally`, and how far the search has come. */
  collect(tally: Tally): void {
    tally.coverage = mergeCoverage([tally.coverage, this.#coverage.take()])
    tally.progress = this.systematic?.progress() ?? null
  }

  #note(finding: Finding, tally: Tally): void {
    const found = { execution: this.#index, finding, picks: this.session.engine.picks }
    if (this.#isWanted(finding)) tally.found = found
    else tally.unwanted ??= found
  }
}
