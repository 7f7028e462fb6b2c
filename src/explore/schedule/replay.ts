/**
 * Replays recorded picks. Where they end or name an action that is not possible, the replay follows the default
 * schedule and notes the place.
 */
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'

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

  pick(point: SchedulePoint): number {
    if (point.current >= 0) this.#onPoint?.(point.current)
    const wanted = this.#picks[this.#at++]
    if (wanted !== undefined && point.actions.has(wanted)) return wanted
    if (this.divergedAt < 0) this.divergedAt = this.#at - 1
    return defaultAction(point)
  }

  choose(n: number): number {
    const wanted = this.#picks[this.#at++]
    if (wanted !== undefined && wanted >= 0 && wanted < n) return wanted
    if (this.divergedAt < 0) this.divergedAt = this.#at - 1
    return 0
  }
}

/**
 * The action of the default schedule: the CPU that runs goes on, or the lowest action is taken, CPUs before
 * interrupts.
 */
export const defaultAction = ({ current, actions }: SchedulePoint): number => (current >= 0 ? current : actions.from(0))
