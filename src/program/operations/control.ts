/** Operations that run other operations: the interpreter does them itself, and they count as none. */
import { optional, value, whole, type Field } from '../fields.js'
import { operation } from '../operation.js'
import type { Program } from '../op.js'
import { reg } from './arguments.js'

const PROGRAM = { $ref: '#/$defs/program' }

/** A field that holds a program. */
const program = (description: string): Field<Program> => ({
  schema: { ...PROGRAM, description },
  rule: 'is a list of operations',
  accepts: (value): value is Program => Array.isArray(value),
})

/** A field that holds several, at least one. */
const programs = (description: string): Field<readonly Program[]> => ({
  schema: { type: 'array', items: PROGRAM, minItems: 1, description },
  rule: 'is a list of programs, at least one',
  accepts: (value): value is readonly Program[] =>
    Array.isArray(value) && value.length > 0 && value.every((one) => Array.isArray(one)),
})

export const CONTROL = {
  repeat: operation({
    summary: 'Runs its body again and again.',
    fields: { times: whole('Runs of the body', 0), body: program('What is repeated') },
  }),
  oneOf: operation({
    summary: 'Runs one of its programs, chosen anew at each execution.',
    fields: { of: programs('What one is chosen of') },
  }),
  ifEqual: operation({
    summary: 'Runs its body if the register has this value, else `otherwise`.',
    fields: {
      reg,
      value: value('Value of the register'),
      body: program('What is run then'),
      otherwise: optional(program('What is run if the register has another value')),
    },
  }),
  repeatUntil: operation({
    summary: 'Runs its body until the register has this value after it, and at most so often.',
    fields: {
      reg,
      value: value('Value of the register that ends it'),
      times: whole('Runs of the body at most', 0),
      body: program('What is repeated'),
    },
  }),
}
