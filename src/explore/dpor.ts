/**
 * Exhaustive search up to equivalence: optimal dynamic partial order reduction. Each execution is analysed for races when it
 * has ended; for each race, a sequence that begins with the second event in place of the first is planned at the state
 * before the first. Sleep sets keep what was explored from being explored again.
 *
 * Source: Abdulla, Aronis, Jonsson, Sagonas, "Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction", JACM
 * 2017 (POPL 2014), algorithm Optimal-DPOR. Beyond it: an access that waits is one event, made when its condition holds,
 * as GenMC treats spin loops; taking an interrupt is an event of a process of its own that depends on all events of its
 * CPU; choices (Cpu.choose) are branched over where they are made.
 */
import { assert } from '../base/assert.js'
import { lowestBit } from '../base/bits.js'
import { INTERRUPT, Pruned, type ControlledEngine, type Strategy, type Tracer } from '../machine/engine/controlled.js'
import type { WaitCondition } from '../machine/engine/engine.js'
import { possible } from './replay.js'
import type { Search, SearchProgress } from './search.js'
import { dependent, Trace, type Event } from './trace.js'
import { insert, isWeakInitial, type Branch } from './wakeupTree.js'

/** A state at which an event was chosen. */
interface StepNode {
  readonly kind: 'step'
  /** Number of the event that comes next here. */
  readonly at: number
  /** The process that is being explored. */
  proc: number
  /** What is planned after its step; one list, shared with the next node. */
  next: Branch[]
  /** Processes whose step need not be explored here, as the event it would be. */
  readonly sleep: Event[]
  /** What is planned beside it. */
  readonly planned: Branch[]
  /** Branches that were explored to their end. */
  explored: number
}

/** A choice that is not the schedule: `value` of `count`. */
interface ChoiceNode {
  readonly kind: 'choice'
  value: number
  readonly count: number
}

export class DporSearch implements Search, Strategy, Tracer {
  readonly #engine: ControlledEngine
  readonly #trace: Trace
  /** The execution at hand, from its first decision to its last. */
  readonly #nodes: (StepNode | ChoiceNode)[] = []
  /** The step nodes among them, by event. */
  readonly #steps: StepNode[] = []
  /** Decisions of the execution so far. */
  #depth = 0
  /** Events up to here are the same as in the last execution. */
  #fresh = 0
  #started = false
  #pruned = 0
  #explored = 0

  constructor(engine: ControlledEngine, cpus: number) {
    this.#engine = engine
    this.#trace = new Trace(engine, cpus)
  }

  /** Executions that turned out to be equivalent to others and were given up. Zero where the reduction is optimal. */
  get pruned(): number {
    return this.#pruned
  }

  progress(): SearchProgress {
    const share = this.#share()
    if (share === 1) return { bound: null, estimate: 0, note: `every execution up to equivalence${this.#givenUp()}` }
    const estimate = share === 0 ? null : Math.ceil(this.#explored / share - this.#explored)
    return { bound: null, estimate, note: `${percent(share)} of what is planned so far, and more comes up on the way` }
  }

  #givenUp(): string {
    return this.#pruned === 0 ? '' : `; ${this.#pruned} more were given up as equivalent to others`
  }

  /** Share of the search that is done, 0 to 1, as far as it is planned: more than the truth, until it is 1. */
  #share(): number {
    if (this.#started && this.#nodes.length === 0) return 1
    let [share, part] = [0, 1]
    for (const node of this.#nodes) {
      const [done, all] =
        node.kind === 'choice' ? [node.value, node.count] : [node.explored, node.explored + 1 + node.planned.length]
      share += (part * done) / all
      part /= all
    }
    return share
  }

  // ---- Search -------------------------------------------------------------------------------------------------------

  next(): Strategy | null {
    if (this.#started && !this.#backtrack()) return null
    this.#started = true
    this.#engine.tracer = this
    this.#trace.begin()
    this.#depth = 0
    return this
  }

  ended(): void {
    this.#engine.tracer = null
    this.#explored++
    const { events } = this.#trace
    this.#nodes.length = this.#depth
    this.#steps.length = Math.min(this.#steps.length, events.length)
    for (const { first, second } of this.#trace.races(this.#fresh)) this.#plan(first, second)
  }

  /** Plans the execution in which `second` comes in place of event `first`, unless it is explored anyway. */
  #plan(first: number, second: Event): void {
    const { events } = this.#trace
    const sequence: Event[] = []
    for (let at = first + 1; at < events.length; at++)
      if (events[at] !== second && this.#trace.independentOf(first, at)) sequence.push(events[at] as Event)
    sequence.push(second)
    const node = this.#steps[first] as StepNode
    if (node.sleep.some((event) => isWeakInitial(event, sequence))) return
    insert(node.planned, sequence)
  }

  /** Goes back to the last state at which something is planned; false when there is none. */
  #backtrack(): boolean {
    for (;;) {
      const node = this.#nodes.pop()
      if (node === undefined) return false
      if (node.kind === 'choice') {
        if (++node.value >= node.count) continue
        this.#nodes.push(node)
        // The choice was made within the last event.
        this.#fresh = Math.max(0, this.#steps.length - 1)
        return true
      }
      this.#steps.pop()
      const event = this.#trace.events[node.at]
      if (event !== undefined) node.sleep.push(event)
      node.explored++
      const branch = node.planned.shift()
      if (branch === undefined) continue
      node.proc = branch.event.proc
      node.next = branch.next
      this.#nodes.push(node)
      this.#steps.push(node)
      this.#fresh = node.at
      return true
    }
  }

  // ---- Strategy -----------------------------------------------------------------------------------------------------

  pick(current: number, runnable: number, interruptible: number): number {
    const unknown = this.#unknown(current, runnable)
    if (unknown >= 0) return unknown
    const node = this.#steps[this.#trace.events.length]
    if (node !== undefined && node === this.#nodes[this.#depth])
      return this.#feasible(node.proc, runnable, interruptible)
    const { sleep, planned } = this.#state()
    for (const { event } of planned) if (possible(event.proc, runnable, interruptible)) return event.proc
    const action = awake(current, runnable, interruptible, sleep)
    if (action < 0) throw this.#prune()
    return action
  }

  choose(count: number): number {
    const node = this.#nodes[this.#depth++]
    if (node !== undefined) return (node as ChoiceNode).value
    this.#nodes.push({ kind: 'choice', value: 0, count })
    return 0
  }

  /** A CPU whose next access is not known yet. Letting it come to it is no event. */
  #unknown(current: number, runnable: number): number {
    for (let rest = runnable; rest !== 0; rest &= rest - 1) {
      const cpu = lowestBit(rest)
      if (cpu !== current && this.#engine.pending(cpu)?.kind === 0) return cpu
    }
    return -1
  }

  #feasible(proc: number, runnable: number, interruptible: number): number {
    if (possible(proc, runnable, interruptible)) return proc
    throw this.#prune()
  }

  #prune(): Pruned {
    this.#pruned++
    return new Pruned()
  }

  // ---- Tracer -------------------------------------------------------------------------------------------------------

  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void {
    this.#enter(cpu)
    this.#trace.step(cpu, kind, addr, until, operand)
  }

  interrupt(cpu: number): void {
    this.#enter(INTERRUPT + cpu)
    this.#trace.interrupt(cpu)
  }

  wrote(addr: number): void {
    this.#trace.wrote(addr)
  }

  raised(cpu: number): void {
    this.#trace.raised(cpu)
  }

  /** Process `proc` takes a step: on the known way, or at a new state. */
  #enter(proc: number): void {
    const known = this.#nodes[this.#depth]
    if (known !== undefined) {
      assert(known.kind === 'step', 'the same decisions lead to the same execution')
      if (known.proc !== proc) throw this.#prune()
      this.#depth++
      return
    }
    const at = this.#trace.events.length
    const { sleep, planned } = this.#state()
    if (sleep.some((event) => event.proc === proc)) throw this.#prune()
    const place = planned.findIndex(({ event }) => event.proc === proc)
    const next = place < 0 ? [] : (planned.splice(place, 1)[0] as Branch).next
    const node: StepNode = { kind: 'step', at, proc, next, sleep, planned, explored: 0 }
    this.#nodes.push(node)
    this.#steps.push(node)
    this.#depth++
  }

  /** What is asleep and planned at the state after the last event. */
  #state(): { sleep: Event[]; planned: Branch[] } {
    const last = this.#trace.events.length - 1
    if (last < 0) return { sleep: [], planned: [] }
    const [node, event] = [this.#steps[last] as StepNode, this.#trace.events[last] as Event]
    return { sleep: node.sleep.filter((other) => !dependent(other, event)), planned: node.next }
  }
}

const percent = (share: number): string => `${(100 * share).toPrecision(2)} %`

/** An action that is not asleep, -1 when there is none: the CPU that runs, then the lowest, interrupts last. */
function awake(current: number, runnable: number, interruptible: number, sleep: readonly Event[]): number {
  const asleep = (proc: number): boolean => sleep.some((event) => event.proc === proc)
  if (current >= 0 && !asleep(current)) return current
  for (let rest = runnable; rest !== 0; rest &= rest - 1) if (!asleep(lowestBit(rest))) return lowestBit(rest)
  for (let rest = interruptible; rest !== 0; rest &= rest - 1)
    if (!asleep(INTERRUPT + lowestBit(rest))) return INTERRUPT + lowestBit(rest)
  return -1
}
