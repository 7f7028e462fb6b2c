/** The operations that users' modules define (program/defineOp.ts), on their way to the threads of CPUs. */
import { UsageError } from '../../base/errors.js'
import { bodiesOf, type Program } from '../../program/op.js'
import type { Operation } from '../../program/operation.js'
import { OPERATIONS, OWN_OPERATIONS, reserveOwnOperations } from '../../program/operations/table.js'
import { loadKept } from './kept.js'

/** For a thread: all such operations by name, in the order of their numbers, and modules by their paths. */
export interface OwnOperations {
  readonly names: readonly string[]
  readonly kept: readonly string[]
}

/** By operation: the path of the compiled module that defined it, null where that could not be kept. */
const modules = new WeakMap<Operation, string | null>()

/** Runs a module that is kept at `kept`, and remembers which operations it defines. */
export function definingOperations<T>(kept: string | null, run: () => T): T {
  const before = new Map(OPERATIONS)
  const result = run()
  for (const name of OWN_OPERATIONS) {
    const operation = OPERATIONS.get(name)
    if (operation !== undefined && before.get(name) !== operation) modules.set(operation, kept)
  }
  return result
}

/** What a thread needs for `programs`; null for nothing. Throws UsageError for what it cannot have. */
export function ownOperationsIn(programs: readonly Program[]): OwnOperations | null {
  const used = new Set<string>()
  for (const program of programs) collect(program, used)
  if (used.size === 0) return null
  return { names: OWN_OPERATIONS, kept: [...new Set([...used].map(keptOf))] }
}

function collect(program: Program, used: Set<string>): void {
  for (const op of program) {
    if (OWN_OPERATIONS.includes(op.op)) used.add(op.op)
    for (const body of bodiesOf(op)) collect(body, used)
  }
}

function keptOf(name: string): string {
  const kept = modules.get(OPERATIONS.get(name) as Operation) ?? null
  if (kept !== null) return kept
  throw new UsageError(
    `the operation '${name}' is defined in the program that runs it`,
    'threads load operations from a file',
    'define it in the module of the scenario, and load that with loadScenario()',
  )
}

/** In a thread: the same operations under the same numbers. */
export async function loadOwnOperations({ names, kept }: OwnOperations): Promise<void> {
  reserveOwnOperations(names)
  for (const path of kept) await loadKept(path)
}
