/**
 * One CPU after the other: from `first` on, each runs until it has ended or waits. An interrupt comes when nobody can go on.
 * An execution in which somebody tries again for ever, for what another CPU should do, becomes fair (fair.ts).
 */
import { lowestBit } from '../../base/bits.js'
import { INTERRUPT, type Strategy } from '../../machine/engine/controlled.js'
import { FAIR_FROM_UNKNOWN, RoundRobin } from './fair.js'

export class SerialStrategy implements Strategy {
  readonly #first: number
  readonly #cpus: number
  readonly #fair = new RoundRobin()
  #at = 0

  constructor(first: number, cpus: number) {
    this.#first = first
    this.#cpus = cpus
  }

  pick(current: number, runnable: number, interruptible: number): number {
    if (++this.#at > FAIR_FROM_UNKNOWN) return this.#fair.pick(current, runnable, interruptible)
    if (current >= 0) return current
    for (let next = 0; next < this.#cpus; next++) {
      const cpu = (this.#first + next) % this.#cpus
      if (((runnable >>> cpu) & 1) === 1) return cpu
    }
    return INTERRUPT + lowestBit(interruptible)
  }

  choose(): number {
    return 0
  }
}
