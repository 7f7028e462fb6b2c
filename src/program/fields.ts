/**
 * Fields of operations: a kind of field is the static type of its values, their JSON schema, and a check with its rule
 * in words. A schema library would give the three as well, and costs each simulated CPU's thread 150 ms when it starts.
 */
import { REGISTERS } from './state.js'

/** A fixed number, or what a register of the CPU holds. */
export type Value = number | { readonly reg: number }

/**
 * A fixed number, or one of `count` numbers from `from` in steps of `step`, chosen anew at each execution, or what a
 * register holds plus `plus`.
 */
export type Pick =
  | number
  | { readonly from: number; readonly step: number; readonly count: number }
  | { readonly reg: number; readonly plus?: number }

/** A JSON schema, draft 2020-12. */
export type Schema = Readonly<Record<string, unknown>>

export interface Field<T> {
  readonly schema: Schema
  /** The rule for its values, as an error says it: `is a whole number`. */
  readonly rule: string
  readonly accepts: (value: unknown) => value is T
}

/** A field that an operation may leave out. */
export interface OptionalField<T> extends Field<T> {
  readonly optional: true
}

/** Fields of an operation by name. */
export type Fields = Readonly<Record<string, Field<unknown>>>

type OptionalNames<F> = { [N in keyof F]: F[N] extends OptionalField<unknown> ? N : never }[keyof F]
type ValueOf<F> = F extends Field<infer T> ? T : never

/** The static type of what has the fields `F`. */
export type Values<F> = { [N in Exclude<keyof F, OptionalNames<F>>]: ValueOf<F[N]> } & {
  [N in OptionalNames<F>]?: ValueOf<F[N]>
}

/** A whole number from `least` to `most`. */
export function whole(description: string, least = -Infinity, most = Infinity): Field<number> {
  const bounds = { ...(least > -Infinity ? { minimum: least } : {}), ...(most < Infinity ? { maximum: most } : {}) }
  return {
    schema: { type: 'integer', ...bounds, description },
    rule: `is a whole number${least > -Infinity ? ` from ${least}` : ''}${most < Infinity ? ` to ${most}` : ''}`,
    accepts: (value): value is number => isWhole(value) && value >= least && value <= most,
  }
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value)

/** A number that is given, or in a register. */
export const value = (description: string): Field<Value> => ({
  schema: { anyOf: [{ type: 'integer' }, REGISTER], description },
  rule: `is a whole number, or { reg } of a register from 0 to ${REGISTERS - 1}`,
  accepts: (value): value is Value => isWhole(value) || (isRegister(value) && value.plus === undefined),
})

const REGISTER = {
  type: 'object',
  properties: { reg: { type: 'integer', minimum: 0, maximum: REGISTERS - 1 } },
  required: ['reg'],
  additionalProperties: false,
}

function isRegister(value: unknown): value is { readonly reg: number; readonly plus?: number } {
  if (typeof value !== 'object' || value === null) return false
  const { reg, plus = 0, ...rest } = value as Readonly<Record<string, unknown>>
  return isWhole(reg) && reg >= 0 && reg < REGISTERS && isWhole(plus) && Object.keys(rest).length === 0
}

/** A number that is given, picked at each execution, or in a register. */
export function pick(description: string): Field<Pick> {
  const integer = { type: 'integer' }
  const range = {
    type: 'object',
    properties: { from: integer, step: integer, count: { type: 'integer', minimum: 1 } },
    required: ['from', 'step', 'count'],
    additionalProperties: false,
  }
  return {
    schema: {
      anyOf: [integer, range, { ...REGISTER, properties: { ...REGISTER.properties, plus: integer } }],
      description,
    },
    rule: `is a whole number, { from, step, count } of whole numbers, or { reg, plus } of a register from 0 to ${REGISTERS - 1}`,
    accepts: (value): value is Pick => isWhole(value) || isRange(value) || isRegister(value),
  }
}

function isRange(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { from, step, count } = value as Readonly<Record<string, unknown>>
  return isWhole(from) && isWhole(step) && isWhole(count) && count >= 1
}

/** True, or false as when it is left out. */
export const flag = (description: string): OptionalField<boolean> =>
  optional({
    schema: { type: 'boolean', description },
    rule: 'is true or false',
    accepts: (value) => typeof value === 'boolean',
  })

/** One of `names`. */
export const named = <N extends string>(description: string, names: readonly N[]): Field<N> => ({
  schema: { enum: names, description },
  rule: `is one of ${names.join(', ')}`,
  accepts: (value): value is N => (names as readonly unknown[]).includes(value),
})

export const optional = <T>(field: Field<T>): OptionalField<T> => ({ ...field, optional: true })

export const isOptional = (field: Field<unknown>): boolean => 'optional' in field
