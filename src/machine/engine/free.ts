/**
 * The engine of free-running CPUs: the hardware decides. Points are stripped from the code (boot/lower/lower.ts), so
 * decide() is never called; interrupts are polled and waits sleep, both in Cpu.
 */
import type { Engine } from './engine.js'
import { chooseFrom } from './solo.js'

export class FreeEngine implements Engine {
  readonly threads = true
  readonly running = -1

  decide(_cpu: number, _kind: number, _addr: number): boolean {
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
