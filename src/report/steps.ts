/**
 * The steps of a replay: which CPU made which access to what, what it changed, and where in the kernel it was.
 *
 * A recorder hears of a step before its access and of the next one after it, and nothing else runs in between; so the
 * word is read at both moments. Only CPUs that are resumed later have no kernel function on the JS stack when their step
 * comes: for these the stack is taken when they are left, at point().
 */
import { CPU_AREA } from '../machine/cpu/area.js'
import { accessName, accessWidth } from '../machine/cpu/access.js'
import { kernelStack } from '../machine/engine/finding.js'
import { peek32, peek64 } from '../machine/image/image.js'
import type { Machine } from '../boot/machine.js'
import type { ReplayRecorder } from '../explore/explore.js'
import { OPS } from '../program/op.js'
import { describeAddress, tableWordAt } from './address.js'
import { describeEntry, hex } from './entry.js'
import type { Names } from './names.js'

/** One access. */
export interface AccessRow {
  readonly kind: 'access'
  readonly cpu: number
  /** Number of the step in the execution, from 1. */
  readonly step: number
  readonly access: string
  /** Byte offset in the image. */
  readonly addr: number
  readonly name: string
  /** The word before and after, in words; both null where the access has no single word. */
  readonly before: string | null
  after: string | null
  /** Kernel functions, innermost first. */
  readonly stack: readonly string[]
}

/** An operation of the program began, or an interrupt came in. */
export interface MarkRow {
  readonly kind: 'operation' | 'interrupt'
  readonly cpu: number
  readonly text: string
}

export type Row = AccessRow | MarkRow

const STACK_KEPT = 4

export class StepTable implements ReplayRecorder {
  readonly rows: Row[] = []
  readonly #machine: Machine
  readonly #names: Names
  /** The access under way: its row, and how to read its word again. */
  #open: { row: AccessRow; read: () => string } | null = null
  /** Kernel functions of CPUs that were left at a point. */
  readonly #leftAt = new Map<number, string[]>()
  readonly #operation: string[]
  #steps = 0

  constructor(machine: Machine, names: Names) {
    this.#machine = machine
    this.#names = names
    this.#operation = Array.from({ length: machine.config.cpus }, () => '')
  }

  /** Accesses recorded. */
  get steps(): number {
    return this.#steps
  }

  point(cpu: number): void {
    this.#close()
    this.#leftAt.set(cpu, this.#kernelFunctions())
  }

  step(cpu: number, kind: number, addr: number): void {
    this.#close()
    this.#noteOperation(cpu)
    const stack = (this.#leftAt.get(cpu) ?? this.#kernelFunctions()).slice(0, STACK_KEPT)
    this.#leftAt.delete(cpu)
    const width = accessWidth(kind)
    const read = width === 0 ? null : this.#reader(addr, width)
    const name = describeAddress(this.#machine, addr)
    const before = read?.() ?? null
    const row: AccessRow = {
      kind: 'access',
      cpu,
      step: ++this.#steps,
      access: accessName(kind),
      addr,
      name,
      before,
      after: before,
      stack,
    }
    this.rows.push(row)
    if (read !== null) this.#open = { row, read }
  }

  interrupt(cpu: number): void {
    this.#close()
    this.rows.push({ kind: 'interrupt', cpu, text: 'interrupt' })
  }

  end(): void {
    this.#close()
  }

  #close(): void {
    if (this.#open === null) return
    this.#open.row.after = this.#open.read()
    this.#open = null
  }

  #reader(addr: number, width: 4 | 8): () => string {
    const table = width === 8 ? tableWordAt(this.#machine, addr) : null
    if (table !== null) return () => describeEntry(peek64(addr), table.level, this.#machine.geo)
    return width === 8 ? () => hex(peek64(addr)) : () => plain(peek32(addr))
  }

  /** Kernel functions on the JS stack, innermost first, without the interpreter of programs that called them. */
  #kernelFunctions(): string[] {
    const frames = (new Error().stack ?? '').split('\n').filter((frame) => !frame.includes('/program/'))
    return kernelStack(frames.join('\n')).map((name) => this.#names(name))
  }

  #noteOperation(cpu: number): void {
    const area = this.#machine.regions.cpus.cpus + cpu * CPU_AREA.size
    const kind = peek32(area + CPU_AREA.at.opKind)
    const now = [kind, peek32(area + CPU_AREA.at.opIndex), peek32(area + CPU_AREA.at.opsDone)].join()
    if (this.#operation[cpu] === '') this.#operation[cpu] = now
    if (this.#operation[cpu] === now) return
    // The counter of operations goes up at the end of one, before the next has begun: not a new operation by itself.
    const [oldKind, oldIndex] = (this.#operation[cpu] as string).split(',')
    this.#operation[cpu] = now
    if (oldKind === String(kind) && oldIndex === now.split(',')[1]) return
    this.rows.push({ kind: 'operation', cpu, text: OPS[kind] ?? 'start' })
  }
}

/** Small counts read best in decimal, addresses and flags do not. */
const plain = (value: number): string => (value > -4096 && value < 4096 ? String(value) : hex(value >>> 0))
