/**
 * The yardstick of systematic search: every schedule there is, one after the other, without reduction; and the name of
 * the equivalence class that an execution belongs to.
 */
import { isGoOn } from '../../dist/src/machine/engine/actions.js'
import type { ControlledEngine, SchedulePoint, Strategy, Tracer } from '../../dist/src/machine/engine/controlled.js'
import type { WaitCondition } from '../../dist/src/machine/engine/engine.js'
import type { Search } from '../../dist/src/explore/strategy/search.js'
import { Trace } from '../../dist/src/explore/systematic/trace.js'
import { membersOf } from '../machine/points.js'

export class EverySchedule implements Search, Strategy {
  readonly #engine: ControlledEngine
  #path: { value: number; count: number }[] = []
  #at = 0
  #begun = false

  constructor(engine: ControlledEngine) {
    this.#engine = engine
  }

  next(): Strategy | null {
    if (this.#begun) {
      while (
        this.#path.length > 0 &&
        (this.#path.at(-1) as { value: number; count: number }).value + 1 >=
          (this.#path.at(-1) as { count: number }).count
      )
        this.#path.pop()
      const last = this.#path.at(-1)
      if (last === undefined) return null
      last.value++
    }
    this.#begun = true
    this.#at = 0
    return this
  }

  ended(): boolean {
    this.#path.length = this.#at
    return true
  }

  pick({ current, actions }: SchedulePoint): number {
    const members = membersOf(actions)
    // A CPU comes to its first access without anybody noticing: no choice.
    const unbegun = members.find((cpu) => isGoOn(cpu) && cpu !== current && this.#engine.pending(cpu)?.kind === 0)
    return unbegun ?? (members[this.choose(members.length)] as number)
  }

  choose(count: number): number {
    const known = this.#path[this.#at++]
    if (known !== undefined) return known.value
    this.#path.push({ value: 0, count })
    return 0
  }
}

/** Passes on what it hears, and names the class of the execution. */
export class Classes implements Tracer {
  readonly #trace: Trace
  readonly #cpus: number
  readonly #to: Tracer | null
  readonly #engine: ControlledEngine

  constructor(engine: ControlledEngine, cpus: number, to: Tracer | null) {
    this.#trace = new Trace(engine, cpus)
    this.#cpus = cpus
    this.#to = to
    this.#engine = engine
  }

  begin(): void {
    this.#engine.tracer = this
    this.#trace.begin()
  }

  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void {
    this.#to?.step(cpu, kind, addr, until, operand)
    this.#trace.step(cpu, kind, addr, until, operand)
  }

  event(action: number): void {
    this.#to?.event(action)
    this.#trace.event(action)
  }

  wrote(addr: number): void {
    this.#to?.wrote(addr)
    this.#trace.wrote(addr)
  }

  raised(cpu: number): void {
    this.#to?.raised(cpu)
    this.#trace.raised(cpu)
  }

  /** So far. */
  get events(): number {
    return this.#trace.events.length
  }

  /** By CPU: its events, each with how many events of every CPU happen before it. */
  get name(): string {
    this.#trace.races(0)
    const { events } = this.#trace
    const lines = Array.from({ length: this.#cpus }, () => '')
    events.forEach((event, at) => {
      const before = Array.from({ length: this.#cpus }, () => 0)
      for (let other = 0; other < at; other++)
        if (!this.#trace.independentOf(other, at)) {
          const { cpu } = events[other] as { cpu: number }
          before[cpu] = (before[cpu] as number) + 1
        }
      lines[event.cpu] += `${event.proc}:${event.words.join()}(${before.join()}) `
    })
    return lines.join('| ')
  }
}
