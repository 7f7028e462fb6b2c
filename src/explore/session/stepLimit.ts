/**
 * The limit of accesses that one execution may make: as many as its programs need and more. It is no rule of the
 * kernel's. An execution that reaches it is given up unfinished, which the result says.
 */
import type { Op, Program } from '../../program/op.js'
import { bodiesOf, timesOf } from '../../program/op.js'
import { sizeOf } from '../../program/reduction.js'

/** What programs of few operations may make. */
const LEAST = 20_000
/** Accesses for each operation, or for each of its pages. */
const EACH = 1000
/** Pages of an operation that count: memory for exploration has few more. */
const PAGES_MOST = 32

/** Accesses that an execution of `programs` may make, unless it is told otherwise. */
export const stepsFor = (programs: readonly Program[], pageSize: number): number =>
  Math.max(LEAST, EACH * programs.reduce((sum, program) => sum + weightOf(program, pageSize), 0))

/** Operations of a run to the end, at most, each as often as it has pages. */
function weightOf(program: Program, pageSize: number): number {
  return program.reduce((sum, op) => sum + timesOf(op) * bodyWeight(op, pageSize), 0)
}

function bodyWeight(op: Op, pageSize: number): number {
  const bodies = bodiesOf(op)
  if (bodies.length === 0) return Math.min(PAGES_MOST, sizeOf(op, pageSize))
  return Math.max(...bodies.map((body) => weightOf(body, pageSize)))
}
