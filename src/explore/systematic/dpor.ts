/**
 * Optimal dynamic partial order reduction searches all executions up to equivalence. Each execution is analysed for
 * races when it has ended. For each race, a sequence that begins with the second event in place of the first is planned
 * at the state before the first. Sleep sets keep explored sequences from being explored again.
 *
 * Source: Abdulla, Aronis, Jonsson, Sagonas, "Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction",
 * JACM 2017 (POPL 2014), algorithm Optimal-DPOR. Beyond it: an access that waits is one event, made when its condition
 * holds, as GenMC treats spin loops; taking an interrupt is an event of a process of its own that depends on all events
 * of its CPU; choices (Cpu.choose) are branched over where they are made.
 *
 * The claim that every schedule was run rests on schedule points: an access that is none must not race. Kernel code
 * makes such accesses (peek, poke) to fields that a guard protects, and with oracles on the guard is checked at each of
 * them (check/guards.ts), so a race that the search could not see is a finding instead. Seven reads are outside of the
 * claim, READ_ONCE() of words that others may change, made by load32 without a point: tlb_flush_pending, the protection
 * of a VMA in a split and when a migration entry goes, VM_LOCKED in reclaim, VM_SHARED (which never changes) in
 * retract, vma->anon_vma in hugepage_vma_revalidate(), and RCU's watchdog of readers. test/guards.test.ts keeps the
 * list. A struct page's fields are guarded more weakly than by a lock: its readers are held to the count not being
 * zero, not to a reference of their own.
 *
 * With a bound of preemptions, an execution is given up once every order of its events needs more (preemptions.ts).
 * That takes away nothing within the bound, but with it go races from which others within the bound would have been
 * planned. So a state below which something was given up explores every action that is not asleep there; where nothing
 * was, the reduction is the optimal one. (Coons, Musuvathi, McKinley, "Bounded Partial-Order Reduction", OOPSLA 2013,
 * have the problem and another answer.) test/explore/preemptions.test.ts compares the result with every schedule.
 *
 * The executions below a state depend on the way to it and on the events that are asleep there, and on nothing else. A
 * search can therefore be of such a part, and threads search parts ahead of their turn (dporParts.ts). Plans of a part
 * for states before its own are handed back.
 */
import { assert } from '../../base/assert.js'
import { lowestBit } from '../../base/bits.js'
import type { ActionMasks, Actions } from '../../machine/engine/actions.js'
import {
  Pruned,
  type ControlledEngine,
  type SchedulePoint,
  type Strategy,
  type Tracer,
} from '../../machine/engine/controlled.js'
import type { WaitCondition } from '../../machine/engine/engine.js'
import { DporTree, plainBranch, plainNode, type Node, type StepNode, type TreeData } from './dporTree.js'
import { effectOf, type Effect } from './effect.js'
import { Preemptions } from './preemptions.js'
import { markOf, withAtMost, type SearchProgress, type SystematicSearch } from '../strategy/search.js'
import { Trace, type Event } from './trace.js'
import type { Branch } from './wakeupTree.js'

/** All executions below a state, but for those that are asleep there. */
export interface DporPart {
  /** The way to the part, which begins with its last step or choice. Empty: all there is. */
  readonly way: readonly Node[]
  /** Steps that follow as they were planned, and beside which others may be planned. */
  readonly chain: number
  /** Rest of an earlier search of the part; null at the beginning. */
  readonly rest: DporRest | null
}

export interface DporRest {
  /** From the last of the way on. */
  readonly nodes: readonly Node[]
  /** Those of them that are not the part's own: up to the last of the chain. */
  readonly outer: number
  /** Branches that are planned beside the first step of the part's own. */
  readonly planned: readonly Branch[]
}

/** A sequence that is to be planned in place of event `first`, before the part. */
export interface DporPlan {
  readonly first: number
  readonly sequence: readonly Effect[]
}

/** The result of a part. */
export interface DporDone {
  /** The chain could not be followed: nothing of this counts. */
  readonly off: boolean
  readonly rest: DporRest
  readonly plans: readonly DporPlan[]
  readonly explored: number
  readonly pruned: number
  readonly beyond: number
}

export class DporSearch implements SystematicSearch, Strategy, Tracer {
  readonly #engine: ControlledEngine
  readonly #trace: Trace
  readonly #preemptions: Preemptions
  readonly #bound: number
  #tree = new DporTree()
  #started = false
  /** Decisions of the execution so far, and choices other than the first among them. */
  #depth = 0
  #choices = 0
  /** Events up to here are the same as in the last execution. */
  #fresh = 0
  /** The bound gave the execution up. */
  #gaveUp = false
  /** From what the event to come, number `at`, can be chosen. */
  #possible: { readonly at: number; readonly actions: ActionMasks } = NOWHERE
  #part: DporPart = { way: [], chain: 0, rest: null }
  /** Events before the part's own states. */
  #outerEvents = 0
  #plans: DporPlan[] = []
  #off = false

  /** `preemptions`: the bound; null for none. */
  constructor(engine: ControlledEngine, cpus: number, preemptions: number | null = null) {
    this.#engine = engine
    this.#trace = new Trace(engine, cpus)
    this.#preemptions = new Preemptions(this.#trace, cpus)
    this.#bound = preemptions ?? Infinity
  }

  /** Executions that turned out to be equivalent to others and were given up. Zero where the reduction is optimal. */
  get pruned(): number {
    return this.#tree.pruned
  }

  get complete(): boolean {
    return this.#isOver && this.#tree.beyond === 0
  }

  get #isOver(): boolean {
    return this.#started && this.#tree.nodes.length === 0
  }

  progress(): SearchProgress {
    return dporProgress(this.#tree, this.#isOver, this.#bound)
  }

  get mark(): number {
    return markOf(this.#tree.nodes.map((node) => (node.kind === 'step' ? node.proc : node.value)))
  }

  // ---- parts --------------------------------------------------------------------------------------------------------

  keep(): TreeData {
    return this.#tree.data(!this.#started)
  }

  goOn(kept: TreeData): void {
    this.#tree.restore(kept)
    this.#started = !kept.begun
    this.#fresh = Math.max(0, this.#tree.steps.length - 1)
  }

  /** From here on, only what is in `part`. */
  begin(part: DporPart): void {
    const { way, chain, rest } = part
    this.#part = part
    this.#plans = []
    this.#off = false
    this.#trace.begin()
    this.#tree = new DporTree()
    this.#tree.push(way)
    this.#outerEvents = this.#tree.steps.length + chain
    this.#fresh = Math.max(0, this.#tree.steps.length - 1)
    this.#started = rest !== null
    if (rest === null) return
    this.#tree.cutTo(base(way))
    this.#tree.push(rest.nodes)
    this.#plannedFirst().splice(0, Infinity, ...rest.planned)
  }

  /** Branches that are planned beside the first step of the part's own; none before that step. */
  #plannedFirst(): Branch[] {
    return this.#off ? [] : this.#tree.plannedAt(this.#outerEvents)
  }

  /** Its result so far. */
  done(): DporDone {
    const { explored, pruned, beyond, nodes } = this.#tree
    const from = base(this.#part.way)
    const outer = Math.max(0, this.#floor() - from)
    const rest = { nodes: nodes.slice(from).map(plainNode), outer, planned: this.#plannedFirst().map(plainBranch) }
    return { off: this.#off, rest, plans: this.#plans, explored, pruned, beyond }
  }

  /** Nodes that are not the part's own. */
  #floor(): number {
    const { way, chain, rest } = this.#part
    if (rest !== null) return base(way) + rest.outer
    if (chain === 0) return way.length
    const last = this.#tree.steps[this.#outerEvents - 1]
    return last === undefined ? this.#tree.nodes.length : this.#tree.nodes.indexOf(last) + 1
  }

  // ---- Search -------------------------------------------------------------------------------------------------------

  next(): Strategy | null {
    if (this.#started && !this.#backtrack()) return null
    this.#trace.begin(this.#started ? this.#fresh : 0)
    this.#started = true
    this.#engine.tracer = this
    this.#preemptions.begin()
    this.#depth = this.#choices = 0
    this.#gaveUp = false
    this.#possible = NOWHERE
    return this
  }

  /** To the last state at which something is planned; false when there is none. */
  #backtrack(): boolean {
    if (this.#off || !this.#tree.backtrack(this.#floor())) return false
    // A choice was made within the last event.
    this.#fresh = Math.max(0, this.#tree.steps.length - 1)
    return true
  }

  ended(): boolean {
    this.#engine.tracer = null
    this.#tree.cutTo(this.#depth)
    this.#tree.explored++
    if (this.#tree.steps.length < this.#outerEvents) this.#off = true
    if (!this.#gaveUp && this.#endExceeds()) this.#giveUp()
    if (this.#gaveUp) this.#tree.markCut()
    else for (const { first, second } of this.#trace.races(this.#fresh)) this.#plan(first, second)
    return !this.#gaveUp
  }

  /** Plans the execution in which `second` comes in place of event `first`, unless it is explored anyway. */
  #plan(first: number, second: Event): void {
    const { events } = this.#trace
    const sequence: Event[] = []
    for (let at = first + 1; at < events.length; at++)
      if (events[at] !== second && this.#trace.independentOf(first, at)) sequence.push(events[at] as Event)
    sequence.push(second)
    if (first >= this.#outerEvents) this.#tree.plan(first, sequence)
    else if (!this.#tree.isAsleep(first, sequence)) this.#plans.push({ first, sequence: sequence.map(effectOf) })
  }

  #exceeds(): boolean {
    return this.#bound !== Infinity && this.#preemptions.exceed(this.#bound - this.#choices)
  }

  #endExceeds(): boolean {
    const { current } = this.#engine
    const ender = current >= 0 && this.#engine.pending(current)?.kind === 0 ? current : -1
    return this.#bound !== Infinity && this.#preemptions.endExceeds(this.#bound - this.#choices, ender)
  }

  #giveUp(): Pruned {
    this.#gaveUp = true
    this.#tree.beyond++
    return new Pruned()
  }

  // ---- Strategy -----------------------------------------------------------------------------------------------------

  pick(point: SchedulePoint): number {
    const { actions } = point
    const unknown = this.#unknown(point)
    if (unknown >= 0) return unknown
    const at = this.#trace.events.length
    const node = this.#tree.steps[at]
    if (node !== undefined && node === this.#tree.nodes[this.#depth]) return this.#feasible(node.proc, actions)
    this.#possible = { at, actions: actions.toMasks() }
    const { sleep, planned } = this.#tree.frontier()
    for (const { event } of planned) if (actions.has(event.proc)) return event.proc
    const action = awake(point, sleep)
    if (action < 0) throw this.#prune()
    return action
  }

  choose(count: number): number {
    let node = this.#tree.nodes[this.#depth++]
    if (node === undefined) this.#tree.push([(node = { kind: 'choice', value: 0, count })])
    assert(node.kind === 'choice', 'the same decisions lead to the same choices')
    if (node.value > 0) this.#choices++
    return node.value
  }

  /** A CPU whose next access is not known yet. Letting it come to it is no event. */
  #unknown({ current, actions }: SchedulePoint): number {
    for (let rest = actions.runnable; rest !== 0; rest &= rest - 1) {
      const cpu = lowestBit(rest)
      if (cpu !== current && this.#engine.pending(cpu)?.kind === 0) return cpu
    }
    return -1
  }

  #feasible(proc: number, actions: Actions): number {
    if (actions.has(proc)) return proc
    throw this.#pruneBehind()
  }

  /** The planned event is not possible at the state at hand; other branches of it may be. */
  #pruneBehind(): Pruned {
    this.#depth++
    return this.#prune()
  }

  #prune(): Pruned {
    this.#tree.pruned++
    return new Pruned()
  }

  // ---- Tracer -------------------------------------------------------------------------------------------------------

  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void {
    const node = this.#enter(cpu)
    this.#trace.step(cpu, kind, addr, until, operand)
    this.#noteEvent(node)
  }

  event(action: number): void {
    const node = this.#enter(action)
    this.#trace.event(action)
    this.#noteEvent(node)
  }

  /** The event is filled in until the next one begins. */
  #noteEvent(node: StepNode): void {
    const { events } = this.#trace
    node.event ??= events[events.length - 1] as Event
  }

  wrote(addr: number): void {
    this.#trace.wrote(addr)
  }

  raised(cpu: number): void {
    this.#trace.raised(cpu)
  }

  /** Process `proc` takes a step: on the known way, or at a new state. */
  #enter(proc: number): StepNode {
    const known = this.#tree.nodes[this.#depth]
    if (known !== undefined) {
      assert(known.kind === 'step', 'the same decisions lead to the same execution')
      if (known.proc !== proc) throw this.#pruneBehind()
      this.#depth++
      return known
    }
    if (this.#exceeds()) throw this.#giveUp()
    const at = this.#trace.events.length
    if (at < this.#outerEvents && this.#tree.plannedAt(at)[0]?.event.proc !== proc) throw this.#prune()
    const node = this.#tree.enter(proc, this.#possible.at === at ? this.#possible.actions : [])
    if (node === null) throw this.#prune()
    this.#depth++
    return node
  }
}

const NOWHERE = { at: -1, actions: [] }

/** Where the last node of the way is among the nodes. */
const base = (way: readonly Node[]): number => Math.max(0, way.length - 1)

/** `over`: nothing is left to explore. */
export function dporProgress(tree: DporTree, over: boolean, bound: number): SearchProgress {
  const { explored, pruned, beyond } = tree
  if (over) {
    const givenUp = pruned === 0 ? '' : `; ${pruned} more were given up as equivalent to others`
    if (beyond === 0) return { bound: null, estimate: 0, note: `every execution up to equivalence${givenUp}` }
    return { bound, estimate: 0, note: `every execution ${withAtMost(bound)}, up to equivalence${givenUp}` }
  }
  const share = explored === 0 ? 0 : tree.share()
  const estimate = share === 0 || share === 1 ? null : Math.ceil(explored / share - explored)
  const what = bound === Infinity ? '' : ` ${withAtMost(bound)}`
  return {
    bound: null,
    estimate,
    note: `${percent(share)} of what is planned so far${what}, and more comes up on the way`,
  }
}

const percent = (share: number): string => `${(100 * share).toPrecision(2)} %`

/** An action that is not asleep, -1 when there is none: the CPU that runs, then the lowest, interrupts last. */
function awake({ current, actions }: SchedulePoint, sleep: readonly Effect[]): number {
  const asleep = (proc: number): boolean => sleep.some((event) => event.proc === proc)
  if (current >= 0 && !asleep(current)) return current
  let action = actions.from(0)
  while (action >= 0 && asleep(action)) action = actions.from(action + 1)
  return action
}
