/**
 * Shrinks a finding before it is shown: first switches between CPUs are taken out of its schedule, then operations,
 * CPUs and pages out of its programs, and at the end switches again. No single switch of the result can be left out.
 */
import { isSameFailure, type Finding } from '../../machine/engine/finding.js'
import { extentOf } from '../../program/reduction.js'
import { BoundedSearch } from '../systematic/bounded.js'
import { Budget } from './budget.js'
import { canLoseOperations, fewerOperations } from './fewerOperations.js'
import { Sampler } from './sampler.js'
import { fewerSwitches, switchesOf, type Failure } from './fewerSwitches.js'
import type { Session } from '../session/session.js'

export interface BeforeAfter {
  readonly before: number
  readonly after: number
}

export interface Shrunk {
  readonly finding: Finding
  readonly picks: readonly number[]
  /** Turns taken over by another CPU. */
  readonly switches: BeforeAfter
  /** Executions it took. */
  readonly executions: number
}

/** Accesses that shrinking may make: some seconds at most. */
const STEPS = 6_000_000
/** The share of them by which each step has to be done. */
const SHARES = { quick: 0.1, switches: 0.27, operations: 0.43, elsewhere: 0.7, bounded: 0.95 }

/**
 * `picks` led to `finding` in `session`. The session's machine is left as the smaller execution left it, with the
 * programs that are left (session.reduction). `seed`: of the schedules that are drawn on the way.
 */
export function shrink(session: Session, finding: Finding, picks: readonly number[], seed = 1): Shrunk {
  const budget = new Budget(STEPS)
  const before = switchesOf(session, picks)
  const found = { finding, picks, switches: before }
  const losesOperations = canLoseOperations(session, finding)
  const quick = losesOperations ? fewerOperations(session, found, null, budget.until(SHARES.quick)) : found
  const first = fewerSwitches(session, quick, budget.until(SHARES.switches))
  const small = losesOperations ? fewerOperations(session, first, seed, budget.until(SHARES.operations)) : first
  const other = fromElsewhere(session, fewerSwitches(session, small, budget), seed, budget.until(SHARES.elsewhere))
  const fewest = fromFewPreemptions(session, other, SEARCHED, MANY - 1, budget.until(SHARES.bounded))
  const last = fewerSwitches(session, fewest, budget)
  const switches = { before, after: last.switches }
  return { finding: last.finding, picks: last.picks, switches, executions: budget.executions }
}

/** Switches below which nothing is drawn, and from which on more is. */
const FEW = 2
const MANY = 4
/** Executions that are drawn of the programs that are left, and findings among them that are shrunk. */
const DRAWN = { few: 400, many: 5000 }
const DRAWN_SHRUNK = 8

/**
 * Delta debugging ends where no single step leads on, so where it begins matters: other schedules of the same programs
 * that fail in the same way are shrunk as well, and the one with the fewest switches is taken.
 */
function fromElsewhere(session: Session, failure: Failure, seed: number, budget: Budget): Failure {
  const drawn = failure.switches < MANY ? DRAWN.few : DRAWN.many
  const draws = new Sampler(session, failure.finding, seed, drawn, budget)
  let best = failure
  for (let shrunk = 0; shrunk < DRAWN_SHRUNK && best.switches >= FEW; shrunk++) {
    const finding = draws.next()
    if (finding === null) break
    const other = fewerSwitches(session, { finding, picks: session.engine.picks, switches: Infinity }, budget)
    if (other.switches < best.switches) best = other
  }
  return best
}

/** Executions that are searched, where there are many switches. */
const SEARCHED = 3000

/**
 * The one with the fewest switches that fails in the same way, of the first `executions` schedules of the same
 * programs, those with the fewest preemptions first; or `failure`. `enough` switches are not made fewer.
 */
export function fromFewPreemptions(
  session: Session,
  failure: Failure,
  executions: number,
  enough: number,
  budget: Budget,
): Failure {
  const search = new BoundedSearch()
  let best = failure
  for (let run = 0; run < executions && search.bound < best.switches && best.switches > enough; run++) {
    const strategy = budget.isSpent ? null : search.next()
    if (strategy === null) break
    const { finding } = session.execute(strategy)
    search.ended()
    budget.spend(session.engine.steps)
    if (finding === null || !isSameFailure(finding, failure.finding)) continue
    const { picks } = session.engine
    const switches = switchesOf(session, picks)
    if (switches < best.switches) best = { finding, picks, switches }
  }
  return best
}

/** Operations of the programs and CPUs that have any, before and after; null when nothing was left out. */
export function reducedBy(session: Session): { readonly operations: BeforeAfter; readonly cpus: BeforeAfter } | null {
  if (session.reduction === null) return null
  const [before, after] = [extentOf(session.wholePrograms), extentOf(session.programs)]
  return {
    operations: { before: before.operations, after: after.operations },
    cpus: { before: before.cpus, after: after.cpus },
  }
}
