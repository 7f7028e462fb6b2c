/**
 * Runs programs on a CPU. Between operations the CPU is in user mode: it takes interrupts, passes a quiescent state,
 * and ends when it was told to stop.
 */
import { fail } from '../base/assert.js'
import { phys } from '../base/units.js'
import { CONTROL, CPU_AREA } from '../machine/cpu/area.js'
import { isEqual, type Step } from '../machine/engine/engine.js'
import { Panic, type Finding } from '../machine/engine/finding.js'
import { peek32, peekF64, poke32 } from '../machine/image/image.js'
import { EventKind } from '../machine/trace/ring.js'
import type { Kernel } from '../mm/kernel.js'
import { Part } from '../mm/part.js'
import { describeOp } from './describe.js'
import type { Op, Program } from './op.js'
import type { Operation } from './operation.js'
import { OPERATIONS } from './operations/table.js'
import { PROGRAM_CPU, programCpu, wordAt, type ProgramRegions } from './state.js'
import { Task, type ProgramListener } from './task.js'

/** Free-running: the words of CONTROL.phase. */
export const PHASE = { waiting: 0, running: 1, over: 2 } as const

/**
 * An operation whose result is not what the program expects: its scenario, or the real kernel of a recording.
 */
export interface Mismatch {
  readonly cpu: number
  readonly index: number
  readonly op: Op
  readonly expected: number
  readonly found: number
}

const MISMATCHES_MAX = 100
const NOTHING: Program = []

/**
 * The treatment of mismatches: the first one is a finding and ends the run; they are collected; or nothing is expected,
 * since operations that the expectations rest on were left out.
 */
export type Expectations = 'checked' | 'collected' | 'ignored'

export class Interpreter extends Part {
  expectations: Expectations = 'checked'
  /** With expectations collected, the first hundred. */
  readonly mismatches: Mismatch[] = []
  readonly #task: Task

  constructor(k: Kernel, regions: ProgramRegions) {
    super(k)
    this.#task = new Task(k, regions)
  }

  /** Who hears of operations and choices from now on. */
  set listener(listener: ProgramListener | null) {
    this.#task.listener = listener
  }

  /** Runs the program once, then this CPU's RCU callbacks, and leaves the CPU idle. */
  *runOnce(program: Program): Step<void> {
    yield* this.k.rcu.ctKernelEnter()
    yield* this.#runAll(program)
    this.#task.sections.checkClosed()
    yield* this.k.rcu.drain()
    yield* this.k.rcu.ctKernelExit()
  }

  /** Runs a litmus test (isBare): its accesses and nothing else. */
  runBare(program: Program): Step<void> {
    return this.#task.litmus.runBare(program)
  }

  /** Operations of runBare() that ended. */
  get bareEnded(): number {
    return this.#task.litmus.ended
  }

  /**
   * Runs the program again and again until the stop word is set (or once), then serves interrupts until all have ended.
   */
  *runAsThread(program: Program, repeat: boolean): Step<void> {
    const { cpu, k } = this
    yield* cpu.waitUntil(phys(cpu.control + CONTROL.at.phase), isEqual, PHASE.running)
    yield* k.rcu.ctKernelEnter()
    const runs = cpu.area + CPU_AREA.at.runs
    if (program.length > 0)
      do {
        yield* this.#runAll(program)
        this.#task.sections.checkClosed()
        poke32(runs, peek32(runs) + 1)
      } while (repeat && !this.#task.stopped)
    yield* this.#task.releaseAll()
    yield* k.rcu.drain()
    yield* k.rcu.ctKernelExit()
    poke32(cpu.area + CPU_AREA.at.ended, 1)
    const ended = yield* cpu.atomicAddReturn32(phys(cpu.control + CONTROL.at.finished), 1)
    const phase = phys(cpu.control + CONTROL.at.phase)
    if (ended === cpu.cpuCount) {
      yield* cpu.storeRelease32(phase, PHASE.over)
      cpu.wakeWaiters(phase)
    } else yield* cpu.waitUntil(phase, isEqual, PHASE.over)
  }

  *#runAll(program: Program): Step<void> {
    const task = this.#task
    for (let index = 0; index < program.length; index++) {
      const op = program[index] as Op
      if (op.op === 'repeat') {
        for (let i = 0; i < op.times && !task.stopped; i++) yield* this.#runAll(op.body)
        continue
      }
      if (op.op === 'oneOf') {
        yield* this.#runAll(op.of[task.choose(op.of.length, false)] as Program)
        continue
      }
      if (op.op === 'ifEqual') {
        const isEqual = task.litmus.register(op.reg) === task.litmus.value(op.value)
        yield* this.#runAll(isEqual ? op.body : (op.otherwise ?? NOTHING))
        continue
      }
      if (op.op === 'repeatUntil') {
        for (let i = 0; i < op.times && !task.stopped; i++) {
          yield* this.#runAll(op.body)
          if (task.litmus.register(op.reg) === task.litmus.value(op.value)) break
        }
        continue
      }
      yield* this.#runOne(op, index)
      if (task.stopped) return
    }
  }

  *#runOne(op: Op, index: number): Step<void> {
    const { cpu } = this
    const task = this.#task
    const operation = operationOf(op)
    const kind = operation.number
    if (task.listener !== null) task.listener.began(cpu.id, op)
    poke32(cpu.area + CPU_AREA.at.opIndex, index)
    poke32(cpu.area + CPU_AREA.at.opKind, kind)
    if (cpu.ring.on) cpu.ring.record(cpu.tick(), EventKind.op, kind, index, 0)
    this.k.observer.entersKernel(this.cpu)
    const result = yield* operation.run(task, op as never)
    this.k.observer.returnsToUser(this.cpu)
    this.#note(op, index, result)
    task.count(kind)
    const done = cpu.area + CPU_AREA.at.opsDone
    poke32(done, peek32(done) + 1)
    yield* cpu.cpuRelax()
    // Inside an atomic section of the program's own there is no quiescent state.
    if (!task.sections.areAtomic) yield* this.k.rcu.rcuNoteContextSwitch()
  }

  #note(op: Op, index: number, found: number): void {
    const expected = 'expect' in op ? op.expect : undefined
    if (expected === undefined || expected === found || this.expectations === 'ignored') return
    const mismatch = { cpu: this.cpu.id, index, op, expected, found }
    if (this.expectations === 'checked') throw new Panic(unexpected(mismatch))
    if (this.mismatches.length < MISMATCHES_MAX) this.mismatches.push(mismatch)
  }

  /** One operation and nothing around it: its result. */
  execute(op: Op): Step<number> {
    return operationOf(op).run(this.#task, op as never)
  }

  /** Register `reg` of CPU `cpu`. */
  static register(regions: ProgramRegions, cpu: number, reg: number): number {
    return peekF64(programCpu(regions, cpu) + PROGRAM_CPU.at.regs + reg * 8)
  }

  /** Word `word` of a litmus test. */
  static word(regions: ProgramRegions, word: number): number {
    return peek32(wordAt(regions, word))
  }
}

function unexpected({ cpu, index, op, expected, found }: Mismatch): Finding {
  const title = `${op.op} returned ${found}, expected ${expected}`
  const details = [`operation ${index} of CPU ${cpu}: ${describeOp(op)}`]
  return { oracle: 'expect', title, cpu, address: null, details, stack: [] }
}

const operationOf = ({ op }: Op): Operation => OPERATIONS.get(op) ?? fail(`there is no operation '${op}'`)
