/**
 * The third way of running: generators in worker threads, true concurrency with the windows stretched.
 *
 * At a point the CPU sometimes pauses, for a time drawn from a range of three decades: most windows are a few accesses
 * wide, some are as wide as a whole operation of another CPU. How often it pauses is drawn anew for each operation. The
 * pauses are seeded; what the threads make of them is not.
 */
import { Prng } from '../../base/prng.js'
import type { PhysAddr } from '../../base/units.js'
import { CPU_AREA } from '../cpu/area.js'
import { load32, peek32, words } from '../image/image.js'
import type { Step } from './engine.js'
import { FreeEngine } from './free.js'

/** One point in this many pauses, on average. */
const PAUSE_ODDS = [16, 64, 256, 1024] as const
/** Pause lengths: spins of one atomic load (about 5 ns each). */
const SPINS = [50, 400, 3000] as const
/**
 * One pause in this many sleeps instead, and gives the core away. More would leave an operation on 512 pages seconds
 * long.
 */
const SLEEP_ODDS = 24
const SLEEP_MS = 1

export class PerturbEngine extends FreeEngine {
  readonly #prng: Prng
  readonly #opsDone: number
  readonly #idle: number
  #op = -1
  #odds: number = PAUSE_ODDS[0]
  #pointsLeft = 0

  /** For CPU `cpu`, whose area is at `area`: there it reads that an operation has ended, and spins on a quiet word. */
  constructor(seed: number, cpu: number, area: PhysAddr) {
    super()
    this.#prng = Prng.split(seed, cpu)
    this.#opsDone = area + CPU_AREA.at.opsDone
    this.#idle = area + CPU_AREA.at.scratch
  }

  override decide(_cpu: number, _kind: number, _addr: number): boolean {
    if (peek32(this.#opsDone) !== this.#op) this.#vary()
    return --this.#pointsLeft < 0
  }

  /** Runs a kernel function to its end and pauses wherever it suspends. */
  drive<T>(step: Step<T>): T {
    for (;;) {
      const result = step.next()
      if (result.done === true) return result.value
      this.#pause()
      this.#pointsLeft = this.#prng.below(2 * this.#odds)
    }
  }

  #vary(): void {
    this.#op = peek32(this.#opsDone)
    this.#odds = PAUSE_ODDS[this.#prng.below(PAUSE_ODDS.length)] as number
    this.#pointsLeft = this.#prng.below(2 * this.#odds)
  }

  #pause(): void {
    if (this.#prng.below(SLEEP_ODDS) === 0) {
      Atomics.wait(words, this.#idle >>> 2, load32(this.#idle), SLEEP_MS)
      return
    }
    const spins = SPINS[this.#prng.below(SPINS.length)] as number
    for (let i = 0; i < spins; i++) load32(this.#idle)
  }
}
