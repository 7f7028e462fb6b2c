/**
 * The third way of running: generators in worker threads, true concurrency with the windows stretched.
 *
 * At a point the CPU sometimes pauses, for a time drawn from a range of three decades: most windows are a few accesses
 * wide, some are as wide as a whole operation of another CPU. The pauses are seeded; what the threads make of them is not.
 */
import { Prng } from '../../base/prng.js'
import { load32, words } from '../image/image.js'
import { FreeEngine } from './free.js'
import type { Step } from './engine.js'

/** One point in this many pauses, on average; drawn anew for each operation by vary(). */
const PAUSE_ODDS = [16, 64, 256, 1024] as const
/** Pause lengths: spins of one atomic load (about 5 ns each), or a sleep that gives the core away. */
const SPINS = [50, 400, 3000] as const
const SLEEP_MS = 1

export class PerturbEngine extends FreeEngine {
  readonly #prng: Prng
  readonly #idle: number
  #odds: number = PAUSE_ODDS[0]

  /** `idleWord` is an address that nobody writes, to spin and sleep on. */
  constructor(seed: number, cpu: number, idleWord: number) {
    super()
    this.#prng = Prng.split(seed, cpu)
    this.#idle = idleWord
  }

  /** Draws how often to pause from here on; called between operations. */
  vary(): void {
    this.#odds = PAUSE_ODDS[this.#prng.below(PAUSE_ODDS.length)] as number
  }

  override decide(_cpu: number, _kind: number, _addr: number): boolean {
    return this.#prng.below(this.#odds) === 0
  }

  /** Runs a kernel function to its end and pauses wherever it suspends. */
  drive<T>(step: Step<T>): T {
    for (;;) {
      const result = step.next()
      if (result.done === true) return result.value
      this.#pause()
    }
  }

  #pause(): void {
    const length = this.#prng.below(SPINS.length + 1)
    const spins = SPINS[length]
    if (spins === undefined) {
      Atomics.wait(words, this.#idle >>> 2, load32(this.#idle), SLEEP_MS)
      return
    }
    for (let i = 0; i < spins; i++) load32(this.#idle)
  }
}
