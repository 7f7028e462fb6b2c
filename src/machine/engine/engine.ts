/**
 * The interface between a CPU and the engine that runs it. One implementation for each way of running:
 *
 *   controlled.ts  coroutines of one thread; a strategy decides at every point who goes on
 *   perturb.ts     generators in worker threads, with random pauses at the points
 *   free.ts        plain functions in worker threads; the points are gone, the hardware decides
 *   solo.ts        one CPU alone, for boot and for unit tests
 */

/** A kernel function: suspends where another CPU may go on, returns its result. */
export type Step<T> = Generator<void, T, void>

/** Looks at a waited-for word (signed 32 bits) and an operand of the caller's; true ends the wait. */
export type WaitCondition = (seen: number, operand: number) => boolean

export const isZero: WaitCondition = (seen) => seen === 0
export const isNonZero: WaitCondition = (seen) => seen !== 0
export const isEqual: WaitCondition = (seen, operand) => seen === operand

export interface Engine {
  /**
   * True: CPUs are threads; they poll for interrupts at safe points and sleep on their doorbells.
   * False: the engine delivers interrupts between any two accesses and parks CPUs itself.
   */
  readonly threads: boolean
  /** Where CPUs are coroutines of one thread: the one whose code runs, -1 outside of a run. */
  readonly running: number
  /** At a schedule point, before the access: true when this CPU must suspend so that another may go on. */
  decide(cpu: number, kind: number, addr: number): boolean
  /** After a store to the word at `addr`: CPUs that wait for it may look again. */
  wrote(addr: number): void
  /**
   * The access that comes next, on the CPU that runs, is made when its word fulfils this and not before (controlled
   * only).
   */
  awaits(until: WaitCondition, operand: number): void
  /** An interrupt for `cpu` became pending, or was taken. */
  interruptPending(cpu: number, pending: boolean): void
  /** CPU `cpu` takes interrupts, or no longer does. */
  interruptsEnabled(cpu: number, enabled: boolean): void
  /** A choice that is not the schedule: 0 … n-1. `prngAt` is the address of the CPU's own PRNG word. */
  choose(cpu: number, n: number, prngAt: number): number
}

/** Runs a kernel function to its end, in the generator form or in the stripped one, in which it already ran. */
export function drive<T>(step: Step<T>): T {
  if (!isGenerator(step)) return step
  for (;;) {
    const result = step.next()
    if (result.done === true) return result.value
  }
}

export function isGenerator<T>(step: Step<T> | T): step is Step<T> {
  return typeof step === 'object' && step !== null && typeof (step as Step<T>).next === 'function'
}
