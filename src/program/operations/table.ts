/**
 * The operations that there are, by name and by number. A subsystem that stands in a room of its own adds its rows when
 * the registry of subsystems is loaded, in all threads alike, so that numbers are the same everywhere.
 */
import { assert } from '../../base/assert.js'
import { Operation, type AnyRow, type Rows } from '../operation.js'
import { KINDS_MAX } from '../state.js'
import { CONTROL } from './control.js'
import { GUP } from './gup.js'
import { HUGE } from './huge.js'
import { LITMUS } from './litmus.js'
import { LOCKED } from './locked.js'
import { MEMORY } from './memory.js'
import { PROCESS } from './process.js'
import { RCU } from './rcu.js'
import { SYNC } from './sync.js'
import { SHARED } from './shared.js'

/** Operations that are done by themselves, in the order of their numbers: a new one goes behind. */
export const LEAVES = { ...MEMORY, ...GUP, ...HUGE, ...PROCESS, ...RCU, ...LITMUS, ...LOCKED, ...SHARED, ...SYNC }

const names: string[] = []
const ownNames: string[] = []
const operations = new Map<string, Operation>()

/** Kinds of operations by number, as the image counts them. */
export const OPERATION_NAMES: readonly string[] = names

/** Every operation by its name. */
export const OPERATIONS: ReadonlyMap<string, Operation> = operations

/** Those that users' modules defined, in the order of their numbers. */
export const OWN_OPERATIONS: readonly string[] = ownNames

/** Adds rows behind those that there are. */
export function addOperations(rows: Rows): void {
  for (const [name, row] of Object.entries(rows)) {
    assert(!operations.has(name), 'two operations have one name')
    assert(names.length < KINDS_MAX, 'the image has room to count all kinds of operations')
    operations.set(name, new Operation(name, names.length, row))
    names.push(name)
  }
}

/** Adds an operation of a user's module, or puts it in place of what the module defined under its name before. */
export function addOwnOperation(name: string, row: AnyRow): void {
  reserveOwnOperations([name])
  operations.set(name, new Operation(name, names.indexOf(name), row))
}

/** Gives numbers to operations of users' modules that are defined later. */
export function reserveOwnOperations(reserved: readonly string[]): void {
  for (const name of reserved) {
    if (ownNames.includes(name)) continue
    addOperations({ [name]: { summary: 'An operation that is not defined yet.', fields: {} } })
    ownNames.push(name)
  }
}

addOperations(LEAVES)
addOperations(CONTROL)
