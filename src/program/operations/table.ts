/**
 * The operations that there are, by name and by number. A subsystem that stands in a room of its own adds its rows when
 * the registry of subsystems is loaded, in all threads alike, so that numbers are the same everywhere.
 */
import { assert } from '../../base/assert.js'
import { Operation, type Rows } from '../operation.js'
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
const operations = new Map<string, Operation>()

/** Kinds of operations by number, as the image counts them. */
export const OPERATION_NAMES: readonly string[] = names

/** Every operation by its name. */
export const OPERATIONS: ReadonlyMap<string, Operation> = operations

/** Adds rows behind those that there are. */
export function addOperations(rows: Rows): void {
  for (const [name, row] of Object.entries(rows)) {
    assert(!operations.has(name), 'two operations have one name')
    assert(names.length < KINDS_MAX, 'the image has room to count all kinds of operations')
    operations.set(name, new Operation(name, names.length, row))
    names.push(name)
  }
}

addOperations(LEAVES)
addOperations(CONTROL)
