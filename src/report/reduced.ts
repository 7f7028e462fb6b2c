/** The programs that shrinking left, for reports. */
import type { Session } from '../explore/session/session.js'
import { reducedBy, type BeforeAfter } from '../explore/shrink/shrink.js'
import { leaves, type Kept } from '../program/reduction.js'
import { describeOp } from '../program/describe.js'

/** Of an execution with reduced programs. */
export interface Reduced {
  /** Operations of the programs, at most, and CPUs that have any. */
  readonly operations: BeforeAfter
  readonly cpus: BeforeAfter
  /** By CPU, what is left of its program: `munmap 0x10000 len 0x1000`. */
  readonly programs: readonly (readonly string[])[]
  /** What is in the scenario's programs and was left out. */
  readonly leftOut: readonly { readonly cpu: number; readonly operation: string }[]
}

/** Null when `session` runs the scenario's programs as they are. */
export function reducedOf(session: Session): Reduced | null {
  const { reduction, wholePrograms, programs } = session
  const by = reducedBy(session)
  if (reduction === null || by === null) return null
  const leftOut = wholePrograms.flatMap((program, cpu) => {
    const kept = new Set((reduction[cpu] ?? []).map(placeOf))
    const gone = leaves(program).filter(([, path]) => !kept.has(placeOf({ path })))
    return gone.map(([op]) => ({ cpu, operation: describeOp(op) }))
  })
  return { ...by, programs: programs.map((program) => program.map(describeOp)), leftOut }
}

const placeOf = ({ path }: Pick<Kept, 'path'>): string => path.join('.')

/** `2 of 9 operations on 2 of 3 CPUs, 3 switches of 17`; empty when nothing became smaller. */
export function smallerText(
  reduced: Pick<Reduced, 'operations' | 'cpus'> | null,
  switches: BeforeAfter | null,
): string {
  const parts: string[] = []
  if (reduced !== null) {
    const { operations, cpus } = reduced
    parts.push(`${operations.after} of ${operations.before} operations on ${cpus.after} of ${cpus.before} CPUs`)
  }
  if (switches !== null && switches.after < switches.before)
    parts.push(`${switches.after} ${switches.after === 1 ? 'switch' : 'switches'} of ${switches.before}`)
  return parts.join(', ')
}
