/** Two recorders of steps as one. */
import type { StepRecorder } from '../../machine/engine/controlled.js'

/** A recorder that tells both; null for neither. */
export const both = (a: StepRecorder | null, b: StepRecorder | null): StepRecorder | null =>
  a === null || b === null ? (a ?? b) : new Both(a, b)

class Both implements StepRecorder {
  readonly #a: StepRecorder
  readonly #b: StepRecorder

  constructor(a: StepRecorder, b: StepRecorder) {
    this.#a = a
    this.#b = b
  }

  step(cpu: number, kind: number, addr: number): void {
    this.#a.step(cpu, kind, addr)
    this.#b.step(cpu, kind, addr)
  }

  event(action: number): void {
    this.#a.event(action)
    this.#b.event(action)
  }

  end(): void {
    this.#a.end()
    this.#b.end()
  }
}
