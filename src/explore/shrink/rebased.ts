/**
 * Rebases a schedule on smaller programs: those of the same scenario with operations left out, or with smaller sizes.
 *
 * A mark names a place at which the schedule leaves the default schedule: the operation of the CPU, the access that is
 * next, and the number of such accesses before it in the operation. Points of tokens (deviations.ts) count places at
 * which another action was possible; marks count accesses, so they stay where they are when a CPU is left out. A mark
 * in an operation that is left out moves to the beginning of the next one.
 */
import { CPU_AREA } from '../../machine/cpu/area.js'
import { ACCESSES } from '../../machine/cpu/access.js'
import { cpuOf } from '../../machine/engine/actions.js'
import type { SchedulePoint, StepRecorder, Strategy } from '../../machine/engine/controlled.js'
import { peek32 } from '../../machine/image/image.js'
import type { ProgramListener } from '../../program/task.js'
import type { Op } from '../../program/op.js'
import { accessHash } from '../schedule/deviations.js'
import { defaultAction } from '../schedule/replay.js'
import type { Session } from '../session/session.js'

/** A place at which the schedule leaves the default one, and the action that it takes there. */
export interface Mark {
  readonly cpu: number
  /** Operations of its program that this CPU had ended. */
  readonly operation: number
  /** The next access or choice in it; null: any. */
  readonly next: string | null
  readonly action: number
}

/** An operation that a program came to, and which of its addresses it took; 0 where there is one. */
export interface OperationRun {
  readonly op: Op
  readonly choice: number
}

const STOPPED = 'stopped'
const CHOICE = 'choice'

/** How far each CPU is. */
class ProgramPosition implements StepRecorder {
  readonly #session: Session
  readonly #area: number
  readonly #whats = new Map<number, number>()
  readonly #operations: number[] = []
  readonly #counts: Map<string | number, number>[] = []

  constructor(session: Session) {
    this.#session = session
    this.#area = session.machine.regions.cpus.cpus
  }

  step(cpu: number, kind: number, addr: number): void {
    this.count(cpu, this.#whatOf(kind, addr))
  }

  event(): void {}

  end(): void {}

  /** Operations of its program that `cpu` has ended. */
  operation(cpu: number): number {
    const done = peek32(this.#area + cpu * CPU_AREA.size + CPU_AREA.at.opsDone)
    return done - (this.#session.bootOperations[cpu] ?? 0)
  }

  access(cpu: number, kind: number, addr: number): string {
    return this.next(cpu, this.#whatOf(kind, addr))
  }

  /** `what` and how often it was done in the operation at hand. */
  next(cpu: number, what: string | number): string {
    return `${what} ${this.#countsOf(cpu).get(what) ?? 0}`
  }

  count(cpu: number, what: string | number, by = 1): void {
    const counts = this.#countsOf(cpu)
    counts.set(what, (counts.get(what) ?? 0) + by)
  }

  #countsOf(cpu: number): Map<string | number, number> {
    const operation = this.operation(cpu)
    if (this.#operations[cpu] !== operation) {
      this.#operations[cpu] = operation
      this.#counts[cpu] = new Map()
    }
    return this.#counts[cpu] as Map<string | number, number>
  }

  #whatOf(kind: number, addr: number): number {
    const key = addr * ACCESSES.length + kind
    let what = this.#whats.get(key)
    if (what === undefined) this.#whats.set(key, (what = accessHash(kind, addr, this.#session.machine.layout)))
    return what
  }
}

/** Notes the marks of another strategy's schedule, and the operations that programs came to, by CPU. */
export class MarkRecorder implements Strategy, ProgramListener {
  readonly marks: Mark[] = []
  readonly runs: OperationRun[][]
  readonly recorder: StepRecorder
  readonly #position: ProgramPosition
  readonly #inner: Strategy
  #last = 0

  constructor(session: Session, inner: Strategy) {
    this.recorder = this.#position = new ProgramPosition(session)
    this.#inner = inner
    this.runs = session.programs.map(() => [])
  }

  pick(point: SchedulePoint): number {
    const { current, kind, addr } = point
    const position = this.#position
    const action = this.#inner.pick(point)
    const cpu = current < 0 ? this.#last : current
    if (action !== defaultAction(point))
      this.#mark(cpu, current < 0 ? position.next(cpu, STOPPED) : position.access(cpu, kind, addr), action)
    if (current < 0) position.count(cpu, STOPPED)
    this.#last = cpuOf(action)
    return action
  }

  choose(n: number, cpu: number): number {
    const action = this.#inner.choose(n, cpu)
    if (action !== 0) this.#mark(cpu, this.#position.next(cpu, CHOICE), action)
    this.#position.count(cpu, CHOICE)
    return action
  }

  began(cpu: number, op: Op): void {
    this.runs[cpu]?.push({ op, choice: 0 })
  }

  /** The choice made last was the program's own: one that is flat does not make it again. */
  chose(cpu: number, choice: number, isAddress: boolean): void {
    if (choice !== 0) this.marks.pop()
    this.#position.count(cpu, CHOICE, -1)
    const runs = this.runs[cpu] as OperationRun[]
    const last = isAddress ? runs.pop() : undefined
    if (last !== undefined) runs.push({ ...last, choice })
  }

  #mark(cpu: number, next: string, action: number): void {
    this.marks.push({ cpu, operation: this.#position.operation(cpu), next, action })
  }
}

/** Takes marks where they come, in whatever order. */
export class Rebased implements Strategy {
  readonly recorder: StepRecorder
  readonly #position: ProgramPosition
  readonly #marks = new Map<string, number[]>()
  #last = 0

  constructor(session: Session, marks: readonly Mark[]) {
    this.recorder = this.#position = new ProgramPosition(session)
    for (const { cpu, operation, next, action } of marks) {
      const key = keyOf(cpu, operation, next)
      this.#marks.set(key, [...(this.#marks.get(key) ?? []), action])
    }
  }

  pick(point: SchedulePoint): number {
    const { current, kind, addr, actions } = point
    const position = this.#position
    const cpu = current < 0 ? this.#last : current
    const next = current < 0 ? position.next(cpu, STOPPED) : position.access(cpu, kind, addr)
    if (current < 0) position.count(cpu, STOPPED)
    const wanted = this.#take(cpu, next) ?? this.#take(cpu, null)
    const action = wanted !== null && actions.has(wanted) ? wanted : defaultAction(point)
    this.#last = cpuOf(action)
    return action
  }

  choose(n: number, cpu: number): number {
    const next = this.#position.next(cpu, CHOICE)
    this.#position.count(cpu, CHOICE)
    const wanted = this.#take(cpu, next) ?? 0
    return wanted < n ? wanted : 0
  }

  #take(cpu: number, next: string | null): number | null {
    return this.#marks.get(keyOf(cpu, this.#position.operation(cpu), next))?.shift() ?? null
  }
}

const keyOf = (cpu: number, operation: number, next: string | null): string => `${cpu} ${operation} ${next ?? ''}`
