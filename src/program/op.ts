/**
 * The operations of a CPU, as plain data. A program can be sent to a worker, written to a file,
 * replayed and shrunk. Addresses are bytes, multiples of the page size unless a load or store says otherwise.
 *
 * Each operation is a row of operations/; what is here derives from the rows.
 */
import { OPERATION_NAMES, OPERATIONS, type LEAVES } from './operations/table.js'
import type { Value } from './fields.js'
import type { OperationsOf } from './operation.js'

export { ADVICE, MAP, MREMAP, PROT, type Advice } from './flags.js'
export type { Pick, Value } from './fields.js'

/** Operations that run programs; their rows are in operations/control.ts. */
interface ControlTypes {
  repeat: { op: 'repeat'; times: number; body: Program }
  oneOf: { op: 'oneOf'; of: readonly Program[] }
  ifEqual: { op: 'ifEqual'; reg: number; value: Value; body: Program; otherwise?: Program }
  repeatUntil: { op: 'repeatUntil'; reg: number; value: Value; times: number; body: Program }
}

/**
 * The operations by name. A subsystem in a room of its own declares the types of its operations into this interface.
 */
export interface OperationTypes extends OperationsOf<typeof LEAVES>, ControlTypes {}

export type OpName = keyof OperationTypes & string
export type Op = OperationTypes[OpName]
export type Program = readonly Op[]

/** Kinds of operations by number, as the image counts them. */
export const OPS = OPERATION_NAMES as readonly OpName[]

/** True for a litmus test: it touches words only, so that no kernel needs to run around it. */
export const isBare = (program: Program): boolean =>
  program.every((op) => {
    const bodies = bodiesOf(op)
    return op.op !== 'oneOf' && bodies.length > 0 ? bodies.every(isBare) : OPERATIONS.get(op.op)?.bare === true
  })

/** Programs that `op` runs, in order. */
export function bodiesOf(op: Op): readonly Program[] {
  if (op.op === 'oneOf') return op.of
  if (op.op === 'ifEqual') return op.otherwise === undefined ? [op.body] : [op.body, op.otherwise]
  return op.op === 'repeat' || op.op === 'repeatUntil' ? [op.body] : []
}

/** How often `op` runs its body, at most. */
export const timesOf = (op: Op): number => (op.op === 'repeat' || op.op === 'repeatUntil' ? op.times : 1)
