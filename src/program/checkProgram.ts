/**
 * Whether plain data is a program: each operation exists, has its fields and no others, and their values are of the
 * kind that the operation's row says. And the same as a JSON schema, for editors and for programs that write programs.
 */
import { closest } from 'fastest-levenshtein'
import { UsageError } from '../base/errors.js'
import { isOptional, type Fields, type Schema } from './fields.js'
import { bodiesOf, type Op, type Program } from './op.js'
import type { Operation } from './operation.js'
import { OPERATION_NAMES, OPERATIONS } from './operations/table.js'

/** Throws UsageError that names operation, field and rule unless `value` is a program; `where` begins what it says. */
export function checkProgram(value: unknown, where: string): asserts value is Program {
  if (!Array.isArray(value)) throw new UsageError(`${where}: a program is a list of operations`)
  for (const op of value) checkOperation(op, where)
}

function checkOperation(value: unknown, where: string): void {
  const op = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>
  const name = String(op['op'])
  const operation = OPERATIONS.get(name)
  if (operation === undefined)
    throw new UsageError(`${where}: there is no operation '${name}'`, `there are: ${OPERATION_NAMES.join(', ')}`)
  checkFields(operation, op, where)
  for (const body of bodiesOf(op as unknown as Op)) checkProgram(body, where)
}

function checkFields({ name, fields }: Operation, op: Readonly<Record<string, unknown>>, where: string): void {
  for (const [id, field] of Object.entries(fields)) {
    const value = op[id]
    if (value === undefined && isOptional(field)) continue
    if (value === undefined) throw new UsageError(`${where}: ${name} has no ${id}`, `${id} ${field.rule}`)
    if (!field.accepts(value))
      throw new UsageError(`${where}: ${name} with ${id} ${said(value)}`, `${id} ${field.rule}`)
  }
  const known = Object.keys(fields)
  const strange = Object.keys(op).find((field) => field !== 'op' && !known.includes(field))
  if (strange === undefined) return
  const rule = known.length === 0 ? 'it has no fields' : `its fields are ${known.join(', ')}`
  const remedy = known.length === 0 ? 'leave it out' : `did you mean ${closest(strange, known)}?`
  throw new UsageError(`${where}: ${name} with a field '${strange}'`, rule, remedy)
}

const said = (value: unknown): string => JSON.stringify(value) ?? String(value)

/** The JSON schema of programs. */
export function programSchema(): Schema {
  const operations = [...OPERATIONS.values()].map(({ name }) => ({ $ref: `#/$defs/${name}` }))
  const definitions = [...OPERATIONS.values()].map((operation) => [operation.name, schemaOf(operation)] as const)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A program of racewalk: what one CPU does',
    $ref: '#/$defs/program',
    $defs: {
      program: { type: 'array', items: { anyOf: operations } },
      ...Object.fromEntries(definitions),
    },
  }
}

function schemaOf({ name, summary, fields }: Operation): Schema {
  return {
    type: 'object',
    description: summary,
    properties: { op: { const: name }, ...schemasOf(fields) },
    required: ['op', ...Object.keys(fields).filter((field) => !isOptional(fields[field] as Fields[string]))],
    additionalProperties: false,
  }
}

const schemasOf = (fields: Fields): Schema =>
  Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema]))
