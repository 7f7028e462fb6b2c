/**
 * One CPU alone: boot, final checks and unit tests. No other CPU runs, so a wait that is not over at once never ends.
 */
import { peek32, poke32 } from '../image/image.js'
import type { Engine } from './engine.js'

export class SoloEngine implements Engine {
  readonly threads = false
  readonly running = -1

  decide(): boolean {
    return false
  }

  wrote(): void {}

  awaits(): void {}

  interruptPending(): void {}

  interruptsEnabled(): void {}

  choose(_cpu: number, n: number, prngAt: number): number {
    return chooseFrom(prngAt, n)
  }
}

/** Draws 0 … n-1 from the xorshift32 state in the image word at `prngAt` (0 counts as a fixed seed). */
export function chooseFrom(prngAt: number, n: number): number {
  let x = peek32(prngAt)
  if (x === 0) x = 0x2545f491
  x ^= x << 13
  x ^= x >>> 17
  x ^= x << 5
  poke32(prngAt, x)
  return (x >>> 0) % n
}
