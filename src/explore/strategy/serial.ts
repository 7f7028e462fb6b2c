/**
 * A serial execution runs one CPU after the other: from `first` on, each CPU runs until it has ended or waits.
 * Interrupts are delivered when no CPU can go on. An execution in which a CPU retries for ever, because another CPU has
 * not run yet, becomes fair (fair.ts).
 */
import { actionOf, ActionKind, FIRST_EVENT } from '../../machine/engine/actions.js'
import type { SchedulePoint } from '../../machine/engine/controlled.js'
import { FairStrategy } from './fair.js'

export class SerialStrategy extends FairStrategy {
  readonly #first: number
  readonly #cpus: number

  constructor(first: number, cpus: number, fairFrom: number) {
    super(fairFrom)
    this.#first = first
    this.#cpus = cpus
  }

  protected override draw({ current, actions }: SchedulePoint): number {
    if (current >= 0) return current
    for (let next = 0; next < this.#cpus; next++) {
      const action = actionOf(ActionKind.goOn, (this.#first + next) % this.#cpus)
      if (actions.has(action)) return action
    }
    return actions.from(FIRST_EVENT)
  }

  choose(): number {
    return 0
  }
}
