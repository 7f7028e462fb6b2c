/**
 * The controlled engine: all CPUs are coroutines of one thread, and a strategy decides at every schedule point which of
 * them goes on, or on which an interrupt comes in.
 *
 * What can happen next is a set of actions (actions.ts) that the engine keeps up to date. A step that does not switch
 * does not suspend: decide() answers inline and the generators stay on the stack. A CPU that waits is runnable while
 * the word it waits for is as it wants it, so waiting costs no steps, and a deadlock is seen the moment it is complete.
 *
 * Deterministic: the same image, programs and actions give the same execution. No clock, no host order.
 */
import { assert } from '../../base/assert.js'
import { isBarrier } from '../cpu/access.js'
import { peek32 } from '../image/image.js'
import { actionOf, ActionKind, Actions, CONTROLLED_CPUS_MAX, cpuOf, isGoOn, SC_KINDS } from './actions.js'
import type { Engine, Step, WaitCondition } from './engine.js'
import { chooseFrom } from './solo.js'

/**
 * A point at which an action is picked. The engine has one object for all points: it holds until the strategy
 * returns.
 */
export interface SchedulePoint {
  /** The CPU at the point; -1 when it cannot go on. */
  readonly current: number
  /** Access that `current` is about to make, and its address; 0 when `current` is -1. */
  readonly kind: number
  readonly addr: number
  /** What can happen next, `current` going on included. Not empty. */
  readonly actions: Actions
}

/** The policy above the mechanism. One implementation a file in explore/. */
export interface Strategy {
  /** Picks one of the point's actions. */
  pick(point: SchedulePoint): number
  /** A choice that is not the schedule, on CPU `cpu`: 0 … n-1. */
  choose(n: number, cpu: number): number
  /** Hears every step, for a strategy that learns from them. */
  readonly recorder?: StepRecorder
}

/** Hears every step; replay and the step tables of reports use it. */
export interface StepRecorder {
  /** CPU `cpu` is about to make access `kind` to `addr`; called when it really goes on. */
  step(cpu: number, kind: number, addr: number): void
  /** Something comes to a CPU: an action that is taken and lets no CPU go on (actions.ts). */
  event(action: number): void
  /** The run is over. */
  end(): void
}

/**
 * Hears what each step does to others; systematic searches build on it. The step that began last is the one that does
 * it.
 */
export interface Tracer {
  /**
   * CPU `cpu` goes on with access `kind` to `addr`, which is as the accesses before left it; `until`: what it waited
   * for.
   */
  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void
  /** As StepRecorder.event(). */
  event(action: number): void
  wrote(addr: number): void
  /** An interrupt for `cpu` became pending. */
  raised(cpu: number): void
}

/** Looks at a run that is long: whether it gets somewhere. */
export interface Watch {
  /** Called after every `LOOK_EVERY` accesses; true ends the run as a livelock. */
  isStuck(): boolean
}

/** Accesses between two looks of a watch. */
const LOOK_EVERY = 4096

/** What a suspended CPU is about to do. */
export interface PendingAccess {
  /** 0: not known before it goes on (a program or interrupt handler that has not made an access yet). */
  readonly kind: number
  readonly addr: number
  /** What the word must be for the access to be made; null for an access that waits for nothing. */
  readonly until: WaitCondition | null
  readonly operand: number
}

/** Why a run ended. A panic arrives as an exception instead. */
export type RunEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'deadlock'; readonly waiting: readonly { cpu: number; addr: number }[] }
  /** It made as many accesses as it may. */
  | { readonly kind: 'steps'; readonly limit: number }
  /** Its CPUs go on and get nowhere: the watch said so. */
  | { readonly kind: 'livelock' }
  | { readonly kind: 'pruned' }

/** Ends a run in the middle of an access. */
class Stop extends Error {
  readonly end: RunEnd
  constructor(end: RunEnd) {
    super()
    this.end = end
  }
}

/** Thrown by a strategy or tracer: nothing new can come of this execution. */
export class Pruned extends Error {}

/** A coroutine on a CPU: the program, or an interrupt handler above it. */
class Activation implements PendingAccess {
  step: Step<void>
  /** What it interrupted; null for a program. */
  readonly below: Activation | null
  kind = 0
  addr = 0
  until: WaitCondition | null = null
  operand = 0

  constructor(step: Step<void>, below: Activation | null) {
    this.step = step
    this.below = below
  }

  /** Another coroutine in place of the one that has ended or been given up. */
  begin(step: Step<void>): this {
    this.step = step
    this.kind = 0
    this.until = null
    return this
  }

  /** Whether its access can be made now. */
  get ready(): boolean {
    return this.until === null || this.until(peek32(this.addr), this.operand)
  }
}

export class ControlledEngine implements Engine {
  readonly threads = false
  /** Kinds of the actions that the machine has. */
  readonly kinds = SC_KINDS
  /** By CPU: the innermost coroutine; null when its program has ended. */
  readonly #tops: (Activation | null)[] = []
  readonly #handlers: (() => Step<void>)[]
  #strategy: Strategy
  #recorder: StepRecorder | null = null
  #tracer: Tracer | null = null
  #watch: Watch | null = null
  #stepLimit = 20_000
  /** Accesses after which the run is looked at: by the watch, or to end it. */
  #lookAt = 0

  /** The point at hand, with all actions that can be taken now. */
  readonly #point: { current: number; kind: number; addr: number; readonly actions: Actions } = {
    current: -1,
    kind: 0,
    addr: 0,
    actions: new Actions(),
  }
  readonly #actions = this.#point.actions
  /** As masks of CPUs: an interrupt is pending, interrupts are off, the program or handler waits. */
  #pending = 0
  #masked = 0
  #blocked = 0
  /** Coroutines suspended before an access that waits, those below an interrupt handler among them. */
  #waits = 0
  /** The condition of the access that comes next, until decide() takes it. */
  #until: WaitCondition | null = null
  #operand = 0
  #next = -1
  #current = -1
  #steps = 0
  #running = false

  #picks = new Int32Array(1024)
  #pickCount = 0
  /** By CPU: the activation of its program. */
  readonly #programs: Activation[] = []

  /** `handlers[c]` makes the interrupt handler of CPU c. */
  constructor(handlers: (() => Step<void>)[], strategy: Strategy) {
    assert(handlers.length <= CONTROLLED_CPUS_MAX, 'a controlled machine has at most 30 CPUs')
    this.#handlers = handlers
    this.#strategy = strategy
    for (let cpu = 0; cpu < handlers.length; cpu++) this.#tops.push(null)
  }

  set strategy(strategy: Strategy) {
    this.#strategy = strategy
  }

  set recorder(recorder: StepRecorder | null) {
    this.#recorder = recorder
  }

  set tracer(tracer: Tracer | null) {
    this.#tracer = tracer
  }

  /**
   * What CPU `cpu` is about to do; null when its program has ended. Of a CPU that is suspended, or has just decided
   * to be.
   */
  pending(cpu: number): PendingAccess | null {
    return this.#tops[cpu] ?? null
  }

  /** Interrupt handlers and the program under way on CPU `cpu`: 1 in the program, 0 after it. */
  depth(cpu: number): number {
    let depth = 0
    for (let top = this.#tops[cpu] ?? null; top !== null; top = top.below) depth++
    return depth
  }

  /** CPUs that take no interrupts now. */
  get masked(): number {
    return this.#masked
  }

  /** CPUs that can go on. */
  get runnable(): number {
    return this.#actions.runnable
  }

  set watch(watch: Watch | null) {
    this.#watch = watch
  }

  /** Accesses that one execution may make. It is given up then, which says nothing about it. */
  get stepLimit(): number {
    return this.#stepLimit
  }

  set stepLimit(limit: number) {
    this.#stepLimit = limit
  }

  get cpuCount(): number {
    return this.#tops.length
  }

  /** CPUs whose interrupt can be taken now. */
  get interruptible(): number {
    return this.#pending & ~this.#masked
  }

  /** The CPU that has the turn, or had it when the run ended. */
  get current(): number {
    return this.#current
  }

  get running(): number {
    return this.#running ? this.#current : -1
  }

  /** Accesses made since run() began. */
  get steps(): number {
    return this.#steps
  }

  /** The actions and choices taken, in order, at every place where there was more than one: a copy. */
  get picks(): number[] {
    return Array.from(this.#picks.subarray(0, this.#pickCount))
  }

  /** How many. */
  get pickCount(): number {
    return this.#pickCount
  }

  /**
   * Runs a program on each CPU, none (null) on one that only takes interrupts, to the end of all. Findings are thrown
   * as Panic.
   */
  run(programs: readonly (Step<void> | null)[]): RunEnd {
    this.#reset(programs)
    try {
      return this.#loop()
    } catch (error) {
      if (error instanceof Stop) return error.end
      if (error instanceof Pruned) return { kind: 'pruned' }
      throw error
    } finally {
      this.#running = false
      this.#recorder?.end()
    }
  }

  #reset(programs: readonly (Step<void> | null)[]): void {
    this.#actions.clear()
    this.#pending = this.#masked = this.#blocked = this.#waits = this.#steps = 0
    this.#pickCount = 0
    this.#until = null
    this.#lookAt = Math.min(LOOK_EVERY, this.#stepLimit)
    this.#running = true
    for (let cpu = 0; cpu < this.#tops.length; cpu++) {
      const step = programs[cpu] ?? null
      this.#tops[cpu] = step === null ? null : (this.#programs[cpu] ??= new Activation(step, null)).begin(step)
      if (step !== null) this.#actions.add(actionOf(ActionKind.goOn, cpu))
    }
  }

  #loop(): RunEnd {
    let action = this.#pickAny()
    for (;;) {
      const cpu = cpuOf(action)
      if (!isGoOn(action)) this.#take(action, cpu)
      this.#current = cpu
      this.#next = -1
      const top = this.#tops[cpu] as Activation
      if (top.kind !== 0) this.#resume(cpu, top)
      if (top.step.next().done === true) this.#leave(cpu, top)
      if (this.#next >= 0) {
        action = this.#next
        continue
      }
      if (this.#actions.count === 0)
        return this.#blocked === 0 ? { kind: 'done' } : { kind: 'deadlock', waiting: this.#waiting() }
      action = this.#pickAny()
    }
  }

  // ---- Engine -----------------------------------------------------------------------------------------------------

  decide(cpu: number, kind: number, addr: number): boolean {
    if (!this.#running) return false
    // Under sequential consistency a switch at a barrier is a switch at the access after it.
    if (isBarrier(kind)) return false
    if (this.#until !== null && !this.#canGoOn(cpu, kind, addr)) return true
    if (this.#actions.count !== 1) {
      const point = this.#point
      point.current = cpu
      point.kind = kind
      point.addr = addr
      const action = this.#strategy.pick(point)
      this.#note(action)
      if (action !== cpu) {
        this.#next = action
        this.#suspend(cpu, kind, addr)
        return true
      }
    }
    if (++this.#steps > this.#lookAt) this.#look()
    if (this.#recorder !== null) this.#recorder.step(cpu, kind, addr)
    if (this.#tracer !== null) this.#tracer.step(cpu, kind, addr, this.#until, this.#operand)
    this.#until = null
    return false
  }

  wrote(addr: number): void {
    if (this.#tracer !== null && this.#running) this.#tracer.wrote(addr)
    if (this.#waits === 0) return
    for (let cpu = 0; cpu < this.#tops.length; cpu++) {
      const top = this.#tops[cpu] as Activation | null
      if (top !== null && top.until !== null && top.addr >>> 3 === addr >>> 3) this.#block(cpu, !top.ready)
    }
  }

  awaits(until: WaitCondition, operand: number): void {
    this.#until = until
    this.#operand = operand
  }

  interruptPending(cpu: number, pending: boolean): void {
    if (pending) this.#tracer?.raised(cpu)
    if (pending) this.#pending |= 1 << cpu
    else this.#pending &= ~(1 << cpu)
    this.#offerInterrupt(cpu)
  }

  interruptsEnabled(cpu: number, enabled: boolean): void {
    if (enabled) this.#masked &= ~(1 << cpu)
    else this.#masked |= 1 << cpu
    if (((this.#pending >>> cpu) & 1) === 1) this.#offerInterrupt(cpu)
  }

  choose(cpu: number, n: number, prngAt: number): number {
    if (!this.#running) return chooseFrom(prngAt, n)
    const choice = this.#strategy.choose(n, cpu)
    this.#note(choice)
    return choice
  }

  /** The interrupt of CPU `cpu` can be taken while it is pending and interrupts are on. */
  #offerInterrupt(cpu: number): void {
    const action = actionOf(ActionKind.interrupt, cpu)
    if ((((this.#pending & ~this.#masked) >>> cpu) & 1) === 1) this.#actions.add(action)
    else this.#actions.delete(action)
  }

  #pick(current: number, kind: number, addr: number): number {
    const point = this.#point
    point.current = current
    point.kind = kind
    point.addr = addr
    const action = this.#strategy.pick(point)
    this.#note(action)
    return action
  }

  #note(pick: number): void {
    if (this.#pickCount === this.#picks.length) this.#picks = grown(this.#picks)
    this.#picks[this.#pickCount++] = pick
  }

  // ---- coroutines -------------------------------------------------------------------------------------------------

  #pickAny(): number {
    const action = this.#actions.only()
    return action >= 0 ? action : this.#pick(-1, 0, 0)
  }

  /** Looks at the condition of the access to come; a CPU that has to wait for it is suspended. */
  #canGoOn(cpu: number, kind: number, addr: number): boolean {
    if ((this.#until as WaitCondition)(peek32(addr), this.#operand)) return true
    this.#suspend(cpu, kind, addr)
    this.#block(cpu, true)
    return false
  }

  #suspend(cpu: number, kind: number, addr: number): void {
    const top = this.#tops[cpu] as Activation
    top.kind = kind
    top.addr = addr
    if (this.#until === null) return
    top.until = this.#until
    top.operand = this.#operand
    this.#until = null
    this.#waits++
  }

  #resume(cpu: number, top: Activation): void {
    if (++this.#steps > this.#lookAt) this.#look()
    if (this.#recorder !== null) this.#recorder.step(cpu, top.kind, top.addr)
    if (this.#tracer !== null) this.#tracer.step(cpu, top.kind, top.addr, top.until, top.operand)
    top.kind = 0
    if (top.until === null) return
    top.until = null
    this.#waits--
  }

  /** Ends a run that has made as many accesses as it may, or that gets nowhere. */
  #look(): void {
    if (this.#steps > this.#stepLimit) throw new Stop({ kind: 'steps', limit: this.#stepLimit })
    if (this.#watch?.isStuck() === true) throw new Stop({ kind: 'livelock' })
    this.#lookAt = Math.min(this.#lookAt + LOOK_EVERY, this.#stepLimit)
  }

  /** An event comes to CPU `cpu`: the handler of its interrupt begins. */
  #take(event: number, cpu: number): void {
    this.#recorder?.event(event)
    this.#tracer?.event(event)
    const handler = this.#handlers[cpu] as () => Step<void>
    this.#tops[cpu] = new Activation(handler(), this.#tops[cpu] as Activation | null)
    this.#block(cpu, false)
  }

  #leave(cpu: number, { below }: Activation): void {
    this.#tops[cpu] = below
    if (below === null) this.#actions.delete(actionOf(ActionKind.goOn, cpu))
    else this.#block(cpu, !below.ready)
  }

  #block(cpu: number, blocked: boolean): void {
    const bit = 1 << cpu
    this.#blocked = blocked ? this.#blocked | bit : this.#blocked & ~bit
    const goOn = actionOf(ActionKind.goOn, cpu)
    if (blocked) this.#actions.delete(goOn)
    else this.#actions.add(goOn)
  }

  #waiting(): { cpu: number; addr: number }[] {
    return this.#tops.flatMap((top, cpu) => (top === null || top.until === null ? [] : [{ cpu, addr: top.addr }]))
  }
}

function grown(picks: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * picks.length)
  larger.set(picks)
  return larger
}
