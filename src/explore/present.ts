/**
 * Prepares a finding for its report: the execution runs again in this thread, is shrunk if the options ask for it, and
 * gets its token.
 */
import type { Finding } from '../machine/engine/finding.js'
import { deviationsOf } from './schedule/deviations.js'
import type { Plan } from './runner.js'
import type { Session } from './session/session.js'
import { reducedBy, shrink, type BeforeAfter } from './shrink/shrink.js'
import type { Found } from './tally.js'
import { patchMark } from '../boot/module/origin.js'
import { encodeToken } from './schedule/token.js'

export interface FoundFinding extends Finding {
  readonly token: string
  /** Execution in which it was found, from 1. */
  readonly execution: number
  /** Switches between CPUs in the execution that was found and in the one of the token; null when it was not shrunk. */
  readonly switches: BeforeAfter | null
  /** Operations of the programs and CPUs that have any, before and after shrinking; null when nothing was left out. */
  readonly reduced: { readonly operations: BeforeAfter; readonly cpus: BeforeAfter } | null
}

/** Leaves the machine of `session` as the execution of the token leaves it, so that addresses can be named. */
export function present(
  found: Found,
  { scenario, bug, patch, cpus, seed }: Plan,
  session: Session,
  shrinks: boolean,
): FoundFinding {
  const small = shrinks ? shrink(session, found.finding, found.picks, seed) : null
  const { deviations, finding } = deviationsOf(session, small?.picks ?? found.picks)
  const names = { scenario: scenario.id, bug: bug?.id ?? null, patch: patchMark(patch) }
  const token = encodeToken({ ...names, cpus, deviations, reduction: session.reduction })
  const { execution } = found
  const [switches, reduced] = [small?.switches ?? null, reducedBy(session)]
  return { ...(finding ?? found.finding), token, execution, switches, reduced }
}
