/** An operation of a user's own: a row as those of operations/, from a module of the user's. */
import { UsageError } from '../base/errors.js'
import { flag, named, optional, pick, value, whole, type Fields, type Values } from './fields.js'
import type { Row } from './operation.js'
import type { Op } from './op.js'
import { addOwnOperation, OPERATIONS, OWN_OPERATIONS } from './operations/table.js'

/** The kinds of fields that an operation can have. */
export const field = { flag, named, optional, pick, value, whole }

/** Makes an operation of the fields `F`; those that are all optional may be left out. */
export type MakeOp<F extends Fields> = (
  ...fields: object extends Values<F> ? [fields?: Values<F>] : [fields: Values<F>]
) => Op

/**
 * Adds the operation `name` to those that programs can have; `run` of the row is kernel code. The result makes the
 * operation for a program. Throws UsageError for a name that is none, or that racewalk has already.
 */
export function defineOp<const F extends Fields>(name: string, row: Row<F> & Required<Pick<Row<F>, 'run'>>): MakeOp<F> {
  if (!/^[a-z]\w*$/i.test(name)) throw new UsageError(`defineOp('${name}')`, 'the name of an operation is a word')
  if (OPERATIONS.has(name) && !OWN_OPERATIONS.includes(name))
    throw new UsageError(`defineOp('${name}')`, 'racewalk has an operation of this name', 'choose another one')
  addOwnOperation(name, row)
  return ((fields: object = {}) => ({ op: name, ...fields })) as unknown as MakeOp<F>
}
