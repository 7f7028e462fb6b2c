/**
 * The steps of a replay: which CPU made which access to what, what it changed, and where in the kernel it was.
 *
 * A recorder hears of a step before its access and of the next one after it, and nothing else runs in between; so the
 * word is read at both moments. Only CPUs that are resumed later have no kernel function on the JS stack when their
 * step comes: for these the stack is taken when they are left, at point().
 */
import { CPU_AREA } from '../machine/cpu/area.js'
import { cpuOf, kindName } from '../machine/engine/actions.js'
import { accessName, accessWidth } from '../machine/cpu/access.js'
import { kernelStack } from '../machine/engine/finding.js'
import { peek32, peek64 } from '../machine/image/image.js'
import type { Machine } from '../boot/machine.js'
import type { ReplayRecorder } from '../explore/explore.js'
import type { Program } from '../program/op.js'
import { describeAddress, tableWordAt } from './address.js'
import { describeEntry, hex } from './entry.js'
import type { Names } from './names.js'
import { isBare } from '../program/op.js'
import { describeCurrentOp } from './operation.js'
import { StateRecorder, type History } from './state/recorder.js'

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
  /** Made by an interrupt handler, above the operation. */
  readonly interrupt: boolean
}

/** An operation of the program began, or something came to the CPU, which `text` names: an interrupt. */
export interface MarkRow {
  readonly kind: 'operation' | 'event'
  readonly cpu: number
  readonly text: string
}

export type Row = AccessRow | MarkRow

/** Where a CPU is in the kernel. */
interface Place {
  readonly stack: readonly string[]
  readonly interrupt: boolean
  /** Inside of an operation of the program, not before, between or after. */
  readonly inOperation: boolean
}

export class StepTable implements ReplayRecorder {
  readonly rows: Row[] = []
  readonly #machine: Machine
  readonly #names: Names
  readonly #programs: readonly Program[]
  readonly #state: StateRecorder
  /** The access under way: its row, and how to read its word again. */
  #open: { row: AccessRow; read: (() => string) | null } | null = null
  /** Where CPUs are that were left at a point. */
  readonly #leftAt = new Map<number, Place>()
  /** By CPU, the operation at hand: its kind, index and number. */
  readonly #operation: string[]
  #steps = 0

  /** `programs`: what each CPU runs. */
  constructor(machine: Machine, programs: readonly Program[], names: Names) {
    this.#machine = machine
    this.#programs = programs
    this.#names = names
    this.#state = new StateRecorder(machine, programs)
    this.#operation = Array.from({ length: machine.config.cpus }, () => '')
  }

  /** Accesses recorded. */
  get steps(): number {
    return this.#steps
  }

  /** The state of the machine before the first step, and what each step changed. */
  history(): History {
    return this.#state.history()
  }

  point(cpu: number): void {
    this.#close()
    this.#leftAt.set(cpu, this.#place())
  }

  step(cpu: number, kind: number, addr: number): void {
    this.#close()
    const { stack, interrupt, inOperation } = this.#leftAt.get(cpu) ?? this.#place()
    this.#leftAt.delete(cpu)
    if (inOperation) this.#noteOperation(cpu)
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
      interrupt,
    }
    this.rows.push(row)
    this.#open = { row, read }
  }

  event(action: number): void {
    this.#close()
    this.rows.push({ kind: 'event', cpu: cpuOf(action), text: kindName(action) })
  }

  end(): void {
    this.#close()
  }

  #close(): void {
    if (this.#open === null) return
    const { row, read } = this.#open
    this.#open = null
    row.after = read?.() ?? null
    this.#state.stepped(row.cpu)
  }

  #reader(addr: number, width: 4 | 8): () => string {
    const table = width === 8 ? tableWordAt(this.#machine, addr) : null
    if (table !== null) return () => describeEntry(peek64(addr), table.level, this.#machine.geo)
    return width === 8 ? () => hex(peek64(addr)) : () => plain(peek32(addr))
  }

  /** Kernel functions on the JS stack, without the interpreter of programs, which has called all but interrupts. */
  #place(): Place {
    const frames = (new Error().stack ?? '').split('\n')
    const kernel = frames.filter((frame) => !/\/program\/|\bOperation\.run\b/.test(frame))
    const stack = kernelStack(kernel.join('\n')).map((name) => this.#names(name))
    const inOperation = frames.some((frame) => /\b(?:Operation|Litmus)\.run\b/.test(frame))
    return { stack, interrupt: kernel.length === frames.length, inOperation }
  }

  #noteOperation(cpu: number): void {
    const area = this.#machine.regions.cpus.cpus + cpu * CPU_AREA.size
    const { opKind, opIndex, opsDone } = CPU_AREA.at
    // A litmus test is one entry.
    const isOne = isBare(this.#programs[cpu] ?? [])
    const now = isOne ? 'all' : [opKind, opIndex, opsDone].map((field) => peek32(area + field)).join()
    if (this.#operation[cpu] === now) return
    this.#operation[cpu] = now
    this.rows.push({ kind: 'operation', cpu, text: describeCurrentOp(this.#machine, this.#programs[cpu] ?? [], cpu) })
  }
}

/** Small counts read best in decimal, addresses and flags do not. */
const plain = (value: number): string => (value > -4096 && value < 4096 ? String(value) : hex(value >>> 0))
