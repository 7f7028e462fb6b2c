/**
 * Makes a finding smaller before it is shown: fewer switches between CPUs, then fewer operations, CPUs and pages, and at the
 * end switches again. Nothing that is left can lose any one of its switches.
 */
import type { Finding } from '../machine/engine/finding.js'
import { extentOf } from '../program/reduction.js'
import { canLoseOperations, fewerOperations } from './fewerOperations.js'
import { fewerSwitches } from './fewerSwitches.js'
import type { Session } from './session.js'

export interface Change {
  readonly before: number
  readonly after: number
}

export interface Shrunk {
  readonly finding: Finding
  readonly picks: readonly number[]
  /** Turns taken over by another CPU. */
  readonly switches: Change
  /** Executions it took. */
  readonly executions: number
}

/** Executions that each step may take. */
const BUDGET = 4000

/**
 * `picks` led to `finding` in `session`. The session's machine is left as the smaller execution left it, with the programs
 * that are left (session.reduction). `seed`: of the schedules that are drawn on the way.
 */
export function shrink(session: Session, finding: Finding, picks: readonly number[], seed = 1): Shrunk {
  const first = fewerSwitches(session, finding, picks, BUDGET)
  if (!canLoseOperations(session, finding)) return first
  const failure = { finding: first.finding, picks: first.picks, switches: first.switches.after }
  const small = fewerOperations(session, failure, seed, BUDGET)
  const last = fewerSwitches(session, small.finding, small.picks, BUDGET)
  const switches = { before: first.switches.before, after: last.switches.after }
  const executions = first.executions + small.executions + last.executions
  return { finding: last.finding, picks: last.picks, switches, executions }
}

/** Operations of the programs and CPUs that have any, before and after; null when nothing was left out. */
export function reducedBy(session: Session): { readonly operations: Change; readonly cpus: Change } | null {
  if (session.reduction === null) return null
  const [before, after] = [extentOf(session.wholePrograms), extentOf(session.programs)]
  return {
    operations: { before: before.operations, after: after.operations },
    cpus: { before: before.cpus, after: after.cpus },
  }
}
