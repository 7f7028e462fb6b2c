/**
 * The controlled engine: all CPUs are coroutines of one thread, and a strategy decides at every schedule point which of
 * them goes on, or on which an interrupt comes in.
 *
 * An action is a number: c lets CPU c go on, INTERRUPT + c delivers the pending interrupt of CPU c. A step that does not
 * switch does not suspend: decide() answers inline and the generators stay on the stack. A CPU that waits leaves the
 * runnable set until its word is written, so it costs no steps, and a deadlock is seen the moment it is complete.
 *
 * Deterministic: the same image, programs and actions give the same execution. No clock, no host order.
 */
import { assert } from '../../base/assert.js'
import { Access } from '../cpu/access.js'
import type { Engine, Step } from './engine.js'
import { chooseFrom } from './solo.js'

export const INTERRUPT = 64
/** CPUs that one controlled machine can have: sets of them are 32-bit masks. */
export const CONTROLLED_CPUS_MAX = 30

/** The policy above the mechanism. One implementation a file in explore/. */
export interface Strategy {
  /**
   * Picks an action. `current` is the CPU at the point, or -1 when it cannot go on. `runnable` and `interruptible` are
   * bit masks of CPUs that can go on and of CPUs whose pending interrupt can be delivered; not both empty. `kind` and
   * `addr` are the access that `current` is about to make.
   */
  pick(current: number, runnable: number, interruptible: number, kind: number, addr: number): number
  /** A choice that is not the schedule: 0 … n-1. */
  choose(n: number): number
  /** Hears every step, for a strategy that learns from them. */
  readonly recorder?: StepRecorder
}

/** Hears every step; replay and the step tables of reports use it. */
export interface StepRecorder {
  /** CPU `cpu` is about to make access `kind` to `addr`; called when it really goes on. */
  step(cpu: number, kind: number, addr: number): void
  interrupt(cpu: number): void
  /** The run is over. */
  end(): void
}

/** Why a run ended. A panic arrives as an exception instead. */
export type RunEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'deadlock'; readonly waiting: readonly { cpu: number; addr: number }[] }
  | { readonly kind: 'steps'; readonly limit: number }

class StepLimit extends Error {}

/** A coroutine on a CPU: the program, or an interrupt handler above it. */
interface Frame {
  step: Step<void>
  /** Address of the word waited for, 0 when runnable. */
  blockedOn: number
  /** The access it suspended before, for the recorder; kind 0 for none. */
  kind: number
  addr: number
}

export class ControlledEngine implements Engine {
  readonly threads = false
  readonly #stacks: Frame[][] = []
  readonly #handlers: (() => Step<void>)[]
  #strategy: Strategy
  #recorder: StepRecorder | null = null
  #stepLimit = 20_000

  #runnable = 0
  #pending = 0
  #masked = 0
  #blocked = 0
  /** Coroutines that wait, those below an interrupt handler among them. */
  #waits = 0
  #next = -1
  #current = -1
  #steps = 0
  #running = false

  /** The actions and choices taken, in order, at every place where there was more than one. */
  readonly picks: number[] = []

  /** `handlers[c]` makes the interrupt handler of CPU c. */
  constructor(handlers: (() => Step<void>)[], strategy: Strategy) {
    assert(handlers.length <= CONTROLLED_CPUS_MAX, 'a controlled machine has at most 30 CPUs')
    this.#handlers = handlers
    this.#strategy = strategy
    for (let cpu = 0; cpu < handlers.length; cpu++) this.#stacks.push([])
  }

  set strategy(strategy: Strategy) {
    this.#strategy = strategy
  }

  set recorder(recorder: StepRecorder | null) {
    this.#recorder = recorder
  }

  /** Accesses that one execution may make before it counts as a livelock. */
  set stepLimit(limit: number) {
    this.#stepLimit = limit
  }

  /** The CPU that has the turn, or had it when the run ended. */
  get current(): number {
    return this.#current
  }

  /** Accesses made since run() began. */
  get steps(): number {
    return this.#steps
  }

  /** Runs one program on each CPU to the end of all of them. Findings are thrown as Panic. */
  run(programs: readonly Step<void>[]): RunEnd {
    this.#reset(programs)
    try {
      return this.#loop()
    } catch (error) {
      if (error instanceof StepLimit) return { kind: 'steps', limit: this.#stepLimit }
      throw error
    } finally {
      this.#running = false
      this.#recorder?.end()
    }
  }

  #reset(programs: readonly Step<void>[]): void {
    this.#runnable = this.#pending = this.#masked = this.#blocked = this.#waits = this.#steps = 0
    this.picks.length = 0
    this.#running = true
    for (const stack of this.#stacks) stack.length = 0
    programs.forEach((step, cpu) => {
      const stack = this.#stacks[cpu] as Frame[]
      stack.push({ step, blockedOn: 0, kind: 0, addr: 0 })
      this.#runnable |= 1 << cpu
    })
  }

  #loop(): RunEnd {
    let action = this.#pickAny()
    for (;;) {
      const cpu = action & (INTERRUPT - 1)
      if (action >= INTERRUPT) this.#enterInterrupt(cpu)
      this.#current = cpu
      this.#next = -1
      const stack = this.#stacks[cpu] as Frame[]
      const top = stack[stack.length - 1] as Frame
      if (this.#recorder !== null && top.kind !== 0) this.#recorder.step(cpu, top.kind, top.addr)
      top.kind = 0
      if (top.step.next().done === true) this.#leave(cpu, stack)
      if (this.#next >= 0) {
        action = this.#next
        continue
      }
      if ((this.#runnable | this.#interruptible) === 0)
        return this.#blocked === 0 ? { kind: 'done' } : { kind: 'deadlock', waiting: this.#waiting() }
      action = this.#pickAny()
    }
  }

  // ---- Engine -----------------------------------------------------------------------------------------------------

  decide(cpu: number, kind: number, addr: number): boolean {
    if (!this.#running) return false
    // Under sequential consistency a switch at a barrier is a switch at the access after it.
    if (kind >= Access.smpMb && kind <= Access.smpWmb) return false
    if (++this.#steps > this.#stepLimit) throw new StepLimit()
    const interruptible = this.#pending & ~this.#masked
    if (this.#runnable !== 1 << cpu || interruptible !== 0) {
      const action = this.#strategy.pick(cpu, this.#runnable, interruptible, kind, addr)
      this.picks.push(action)
      if (action !== cpu) {
        this.#next = action
        const stack = this.#stacks[cpu] as Frame[]
        const top = stack[stack.length - 1] as Frame
        top.kind = kind
        top.addr = addr
        return true
      }
    }
    if (this.#recorder !== null) this.#recorder.step(cpu, kind, addr)
    return false
  }

  wrote(addr: number): void {
    if (this.#waits === 0) return
    for (let cpu = 0; cpu < this.#stacks.length; cpu++) {
      const stack = this.#stacks[cpu] as Frame[]
      for (let level = 0; level < stack.length; level++) {
        const frame = stack[level] as Frame
        if (frame.blockedOn === 0 || frame.blockedOn >>> 3 !== addr >>> 3) continue
        frame.blockedOn = 0
        this.#waits--
        if (level === stack.length - 1) this.#unblock(cpu)
      }
    }
  }

  block(cpu: number, addr: number): void {
    const stack = this.#stacks[cpu] as Frame[]
    const top = stack[stack.length - 1] as Frame
    top.blockedOn = addr
    this.#waits++
    this.#runnable &= ~(1 << cpu)
    this.#blocked |= 1 << cpu
  }

  interruptPending(cpu: number, pending: boolean): void {
    if (pending) this.#pending |= 1 << cpu
    else this.#pending &= ~(1 << cpu)
  }

  interruptsEnabled(cpu: number, enabled: boolean): void {
    if (enabled) this.#masked &= ~(1 << cpu)
    else this.#masked |= 1 << cpu
  }

  choose(_cpu: number, n: number, prngAt: number): number {
    if (!this.#running) return chooseFrom(prngAt, n)
    const choice = this.#strategy.choose(n)
    this.picks.push(choice)
    return choice
  }

  // ---- coroutines -------------------------------------------------------------------------------------------------

  get #interruptible(): number {
    return this.#pending & ~this.#masked
  }

  #pickAny(): number {
    const interruptible = this.#interruptible
    const action = single(this.#runnable, interruptible)
    if (action >= 0) return action
    const picked = this.#strategy.pick(-1, this.#runnable, interruptible, 0, 0)
    this.picks.push(picked)
    return picked
  }

  #enterInterrupt(cpu: number): void {
    this.#recorder?.interrupt(cpu)
    const handler = this.#handlers[cpu] as () => Step<void>
    ;(this.#stacks[cpu] as Frame[]).push({ step: handler(), blockedOn: 0, kind: 0, addr: 0 })
    this.#unblock(cpu)
  }

  #leave(cpu: number, stack: Frame[]): void {
    stack.pop()
    const below = stack[stack.length - 1]
    this.#runnable &= ~(1 << cpu)
    if (below === undefined) return
    if (below.blockedOn === 0) this.#unblock(cpu)
    else this.#blocked |= 1 << cpu
  }

  #unblock(cpu: number): void {
    this.#blocked &= ~(1 << cpu)
    this.#runnable |= 1 << cpu
  }

  #waiting(): { cpu: number; addr: number }[] {
    return this.#stacks.flatMap((stack, cpu) => {
      const top = stack[stack.length - 1]
      return top === undefined || top.blockedOn === 0 ? [] : [{ cpu, addr: top.blockedOn }]
    })
  }
}

/** The only action there is, or -1. */
function single(runnable: number, interruptible: number): number {
  if (interruptible === 0 && (runnable & (runnable - 1)) === 0) return 31 - Math.clz32(runnable)
  if (runnable === 0 && (interruptible & (interruptible - 1)) === 0) return INTERRUPT + 31 - Math.clz32(interruptible)
  return -1
}
