/** Follows recorded picks; where they end or no longer fit, it stays on the current CPU and says so. */
import { lowestBit } from '../../base/bits.js'
import { INTERRUPT, type Strategy } from '../../machine/engine/controlled.js'

export class ReplayStrategy implements Strategy {
  readonly #picks: readonly number[]
  readonly #onPoint: ((cpu: number) => void) | undefined
  #at = 0
  /** Index of the first pick that was no possible action; -1 when all fitted. */
  divergedAt = -1

  /** `onPoint` hears of each point at which CPU `cpu` might be left. */
  constructor(picks: readonly number[], onPoint?: (cpu: number) => void) {
    this.#picks = picks
    this.#onPoint = onPoint
  }

  /** True when every recorded pick was used and fitted. */
  get exact(): boolean {
    return this.divergedAt < 0 && this.#at === this.#picks.length
  }

  pick(current: number, runnable: number, interruptible: number): number {
    if (current >= 0) this.#onPoint?.(current)
    const wanted = this.#picks[this.#at++]
    if (wanted !== undefined && possible(wanted, runnable, interruptible)) return wanted
    if (this.divergedAt < 0) this.divergedAt = this.#at - 1
    return goOn(current, runnable, interruptible)
  }

  choose(n: number): number {
    const wanted = this.#picks[this.#at++]
    if (wanted !== undefined && wanted >= 0 && wanted < n) return wanted
    if (this.divergedAt < 0) this.divergedAt = this.#at - 1
    return 0
  }
}

/** Whether `action`, a CPU or INTERRUPT + CPU, is one of those that can be taken. */
export function possible(action: number, runnable: number, interruptible: number): boolean {
  const mask = action >= INTERRUPT ? interruptible : runnable
  return ((mask >>> (action % INTERRUPT)) & 1) === 1
}

/** The default action: the CPU that runs, then the lowest that can, then the lowest interrupt. */
export function goOn(current: number, runnable: number, interruptible: number): number {
  if (current >= 0) return current
  return runnable !== 0 ? lowestBit(runnable) : INTERRUPT + lowestBit(interruptible)
}
