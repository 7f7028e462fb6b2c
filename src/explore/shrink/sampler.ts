/**
 * The sampler of shrinking draws schedules until one fails in the wanted way. It is asked often and briefly. The seed
 * decides all draws.
 */
import { isSameFailure, type Finding } from '../../machine/engine/finding.js'
import type { Budget } from './budget.js'
import { PORTFOLIO } from '../strategy/portfolio.js'
import { SampledSearch } from '../strategy/sampled.js'
import type { Session } from '../session/session.js'

/** Executions that measure what the programs are like: few, since there are few besides. */
const MEASURED = 6

export class Sampler {
  readonly #session: Session
  readonly #wanted: Finding
  readonly #search: SampledSearch
  readonly #budget: Budget
  #left: number

  /** At most `count` executions of the programs that `session` has now. */
  constructor(session: Session, wanted: Finding, seed: number, count: number, budget: Budget) {
    this.#session = session
    this.#wanted = wanted
    this.#search = new SampledSearch(PORTFOLIO, null, seed, session.engine, session.programs.length, MEASURED)
    this.#budget = budget
    this.#left = count
  }

  /** The next wanted finding, whose picks the session's engine has; null when there is none. */
  next(): Finding | null {
    while (this.#left-- > 0 && !this.#budget.isSpent) {
      const { finding } = this.#session.execute(this.#search.next())
      this.#search.ended()
      this.#budget.spend(this.#session.engine.steps)
      if (finding !== null && isSameFailure(finding, this.#wanted)) return finding
    }
    return null
  }
}
