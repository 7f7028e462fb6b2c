/**
 * Programs with operations left out and sizes made smaller, as plain data over the programs that they come from: it
 * fits in a token, and reports can say what is gone.
 *
 * Which operations may go: any. Each is a request that a kernel has to survive in whatever state it is in (a system
 * call, a user's access, a kernel thread at work), so what is left of a program is a program, and what it finds is a
 * finding. What the laboratory itself asks for is in misuses(): a reduced program may do nothing of that kind that the
 * whole one does not do.
 */
import { UsageError } from '../base/errors.js'
import { OPERATIONS } from './operations/table.js'
import { bodiesOf, timesOf, type Op, type Program } from './op.js'

/** One operation that is run, by its place in the program. */
export interface Kept {
  /**
   * Index in the program, then in the body of that operation (that of ifEqual, and `otherwise` behind it), … In oneOf:
   * index of the program, then in it.
   */
  readonly path: readonly number[]
  /** Which of its addresses, where it has several; else 0. */
  readonly choice: number
  /** How much, in pages (the operation's sizes), where that is less than the program says; else 0. */
  readonly size: number
}

/**
 * For each CPU the operations that it runs, in order and each once: no repeat, no oneOf. A CPU without any stays idle.
 */
export type Reduction = readonly (readonly Kept[])[]

/**
 * `programs` as `reduction` leaves them. Throws UsageError where it names operations that they do not have: the
 * scenario is not the one that was reduced.
 */
export function reduced(programs: readonly Program[], reduction: Reduction, pageSize: number): Program[] {
  return programs.map((program, cpu) =>
    (reduction[cpu] ?? []).map(({ path, choice, size }) => {
      const op = opAt(program, path)
      const one = op === null ? null : sized(withAddress(op, choice), size, pageSize)
      if (one === null) throw misfit(cpu, path, op)
      return one
    }),
  )
}

function misfit(cpu: number, path: readonly number[], op: Op | null): UsageError {
  const place = `operation ${path.join('.')} of CPU ${cpu}`
  return new UsageError(
    op === null ? `the token keeps ${place}, and the scenario has none` : `the token shrinks ${place}, a ${op.op}`,
    'a reduced token is of the programs that the scenario had when it was found',
    'find it again with racewalk explore',
  )
}

/** The operation at `path`; null when there is none. */
function opAt(program: Program, path: readonly number[]): Op | null {
  const [index = -1, ...below] = path
  const op = program[index]
  if (op === undefined) return null
  if (op.op === 'oneOf') return opAt(op.of[below[0] ?? -1] ?? [], below.slice(1))
  const bodies = bodiesOf(op)
  if (bodies.length > 0) return opAt(bodies.flat(), below)
  return below.length === 0 ? op : null
}

/** Operations that do something, with their places. */
export function leaves(
  program: Program,
  above: readonly number[] = [],
): (readonly [op: Op, path: readonly number[]])[] {
  return program.flatMap((op, index) => {
    const path = [...above, index]
    if (op.op === 'oneOf') return op.of.flatMap((one, i) => leaves(one, [...path, i]))
    const bodies = bodiesOf(op)
    return bodies.length > 0 ? leaves(bodies.flat(), path) : [[op, path]]
  })
}

/** Operations of a run to the end, at most. */
export function operationsOf(program: Program): number {
  let count = 0
  for (const op of program) {
    const bodies = bodiesOf(op)
    count += bodies.length === 0 ? 1 : timesOf(op) * Math.max(0, ...bodies.map(operationsOf))
  }
  return count
}

/** Operations, and CPUs that have any. */
export function extentOf(programs: readonly Program[]): { readonly operations: number; readonly cpus: number } {
  const counts = programs.map(operationsOf)
  return { operations: counts.reduce((sum, n) => sum + n, 0), cpus: counts.filter((n) => n > 0).length }
}

// ---- addresses and sizes -------------------------------------------------------------------------------------------

function withAddress(op: Op, choice: number): Op {
  if (!('addr' in op) || typeof op.addr === 'number' || 'reg' in op.addr) return op
  return { ...op, addr: op.addr.from + op.addr.step * Math.min(choice, op.addr.count - 1) } as Op
}

/** How much `op` is about, in pages; 1 where it has no size, or one that cannot shrink. */
export function sizeOf(op: Op, pageSize: number): number {
  const sizes = fieldsOf(op, pageSize).map(([, pages]) => pages)
  const [size = 1] = sizes
  return Number.isInteger(size) && sizes.every((other) => other === size) ? size : 1
}

/** `op` about `size` pages; as it is for 0. Null when it has no such size. */
function sized(op: Op, size: number, pageSize: number): Op | null {
  if (size === 0) return op
  if (size > sizeOf(op, pageSize)) return null
  const fields = fieldsOf(op, pageSize).map(([name]) => [name, size * unitOf(name, pageSize)] as const)
  return { ...op, ...(Object.fromEntries(fields) as object) }
}

function fieldsOf(op: Op, pageSize: number): [name: string, pages: number][] {
  const values = op as unknown as Readonly<Record<string, number | undefined>>
  return (OPERATIONS.get(op.op)?.sizes ?? []).map((name) => [name, (values[name] ?? 1) / unitOf(name, pageSize)])
}

const unitOf = (name: string, pageSize: number): number => (name === 'pages' ? 1 : pageSize)

// ---- legality ------------------------------------------------------------------------------------------------------

/**
 * What programs do that the laboratory cannot do for them: go on in no address space, or fork over a child that nobody
 * has taken, which is then lost. Findings of these would be the program's fault.
 */
export function misuses(program: Program): Set<string> {
  const found = new Set<string>()
  const slots = new Set<number>()
  let hasMemory = true
  for (const op of program) {
    if (op.op === 'adopt' || op.op === 'reap') slots.delete(op.slot)
    if (op.op === 'exec' || op.op === 'adopt') hasMemory = true
    else if (!hasMemory) found.add('no memory')
    if (op.op === 'exit') hasMemory = false
    if (op.op === 'fork' && slots.has(op.slot)) found.add(`fork over slot ${op.slot}`)
    if (op.op === 'fork') slots.add(op.slot)
  }
  return found
}
