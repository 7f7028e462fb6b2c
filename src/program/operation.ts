/**
 * An operation that a CPU can be told to do is one row: its fields, what it does, and what the laboratory has to know
 * of it. The types of programs, the interpreter's dispatch, reductions and the JSON schema of programs derive from
 * rows.
 */
import { fail } from '../base/assert.js'
import type { Step } from '../machine/engine/engine.js'
import type { Fields, Values } from './fields.js'
import type { Task } from './task.js'

export interface Row<F extends Fields> {
  /** The effect in a sentence. */
  readonly summary: string
  readonly fields: F
  /**
   * Fields that say how much: all of them shrink together, and the least is one page. `pages` is in pages, others are
   * in bytes. Fields that are not named here (addresses, flags, values) say which or what, not how much.
   */
  readonly sizes?: readonly (keyof F & string)[]
  /** True: it waits until another CPU's operation lets it go on. */
  readonly waits?: true
  /** True: it touches words of a litmus test only, so that no kernel needs to run around it. */
  readonly bare?: true
  /**
   * Does it; kernel code. Result: what the system call returns (negative errno), what a load read, or a negative
   * VM_FAULT_ of a touch. The interpreter itself does operations that run other operations (control.ts).
   */
  run?(task: Task, op: Values<F>): Step<number>
}

/** One row of a table of operations. */
export const operation = <const F extends Fields>(row: Row<F>): Row<F> => row

/** A row of any operation. */
export interface AnyRow extends Omit<Row<Fields>, 'sizes' | 'run'> {
  readonly sizes?: readonly string[]
  run?(task: Task, op: never): Step<number>
}

/** Rows by the names of their operations, in the order of their numbers. */
export type Rows = Readonly<Record<string, AnyRow>>

/** The static types of the operations of a table of rows, by name. */
export type OperationsOf<R> = {
  [N in keyof R & string]: R[N] extends { readonly fields: infer F } ? Flat<{ op: N } & Values<F>> : never
}
type Flat<T> = { [K in keyof T]: T[K] }

/** An operation of the table, with its number. */
export class Operation {
  readonly name: string
  /** As the image counts operations. */
  readonly number: number
  readonly summary: string
  readonly fields: Fields
  readonly sizes: readonly string[]
  readonly waits: boolean
  readonly bare: boolean
  readonly run: (task: Task, op: never) => Step<number>

  constructor(name: string, number: number, row: AnyRow) {
    this.name = name
    this.number = number
    this.summary = row.summary
    this.fields = row.fields
    this.sizes = row.sizes ?? []
    this.waits = row.waits === true
    this.bare = row.bare === true
    this.run = row.run ?? (() => fail(`${name} is done by the interpreter`))
  }
}
