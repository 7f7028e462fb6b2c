/**
 * The tree of a search up to equivalence (dpor.ts). It has the decisions of the execution at hand, and at the state
 * before each of them the actions that were explored, the actions that are asleep and the sequences that are planned.
 * It runs nothing, and is plain data but for its methods.
 */
import { actionsIn, masksWithout, type ActionMasks } from '../../machine/engine/actions.js'
import { dependent, effectOf, unknownEffect, type Effect } from './effect.js'
import { insert, isWeakInitial, type Branch } from './wakeupTree.js'

/** A step that need not be explored: executions that can begin with it were, but for those that the bound took away. */
export interface Sleeper extends Effect {
  /** It took some away. */
  readonly cut: boolean
}

/** A state at which an event was chosen. */
export interface StepNode {
  readonly kind: 'step'
  /** The process that is being explored. */
  proc: number
  /** Its step, as its first execution had it; null before. */
  event: Effect | null
  /** Sequences that are planned after the step, beside the one that is being explored. */
  next: Branch[]
  /** Processes whose step need not be explored here, as the event it would be. */
  readonly sleep: Sleeper[]
  /** Branches that were explored to their end. */
  explored: number
  /** Actions that the state has and that were not explored, where there is a bound. */
  left: ActionMasks
  /** Some execution below was given up because of the bound. */
  cut: boolean
}

/** A choice that is not the schedule: `value` of `count`. */
export interface ChoiceNode {
  readonly kind: 'choice'
  value: number
  readonly count: number
}

export type Node = StepNode | ChoiceNode

/** Where the search stands, between two executions. */
export interface TreeData {
  readonly nodes: readonly Node[]
  /** Sequences that are planned beside the first event. */
  readonly first: readonly Branch[]
  /** Executions that were analysed, those given up as equivalent to others, and those given up because of the bound. */
  readonly explored: number
  readonly pruned: number
  readonly beyond: number
  /** The last node, or all there is, is still to be explored as it stands. */
  readonly begun: boolean
}

export class DporTree {
  readonly nodes: Node[] = []
  /** The step nodes among them, by event. */
  readonly steps: StepNode[] = []
  #first: Branch[] = []
  explored = 0
  pruned = 0
  beyond = 0

  /** Adds nodes that another tree had next. */
  push(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.nodes.push(node)
      if (node.kind === 'step') this.steps.push(node)
    }
  }

  /** Forgets what is behind the first `decisions`. */
  cutTo(decisions: number): void {
    while (this.nodes.length > decisions) if (this.nodes.pop()?.kind === 'step') this.steps.pop()
  }

  /** Processes that are asleep and sequences that are planned at the state after the last event. */
  frontier(): { sleep: Sleeper[]; planned: Branch[] } {
    const last = this.steps[this.steps.length - 1]
    if (last === undefined) return { sleep: [], planned: [] }
    const { event, sleep, next } = last
    return { sleep: event === null ? [] : sleep.filter((other) => !dependent(other, event)), planned: next }
  }

  /** Sequences that are planned beside the event that is being explored at state `at`. */
  plannedAt(at: number): Branch[] {
    return at === 0 ? this.#first : (this.steps[at - 1] as StepNode).next
  }

  /** Process `proc` takes a step at the last state; null when that is asleep. */
  enter(proc: number, actions: ActionMasks): StepNode | null {
    const { sleep } = this.frontier()
    if (sleep.some((event) => event.proc === proc)) return null
    const planned = this.plannedAt(this.steps.length)
    const place = planned.findIndex(({ event }) => event.proc === proc)
    const next = place < 0 ? [] : (planned.splice(place, 1)[0] as Branch).next
    const node: StepNode = {
      kind: 'step',
      proc,
      event: null,
      next,
      sleep,
      explored: 0,
      left: actions,
      cut: false,
    }
    this.push([node])
    return node
  }

  /** Plans an execution that begins with `sequence` in place of event `first`, unless it is explored anyway. */
  plan(first: number, sequence: readonly Effect[]): void {
    if (!this.isAsleep(first, sequence)) insert(this.plannedAt(first), sequence)
  }

  isAsleep(first: number, sequence: readonly Effect[]): boolean {
    return (this.steps[first] as StepNode).sleep.some((event) => isWeakInitial(event, sequence))
  }

  /** The execution at hand is given up because of the bound. */
  markCut(): void {
    for (const node of this.steps) node.cut = true
  }

  /** Goes back to the last state, not before node `floor`, at which something is planned; false when there is none. */
  backtrack(floor = 0): boolean {
    while (this.nodes.length > floor) {
      const node = this.nodes[this.nodes.length - 1] as Node
      if (node.kind === 'choice' ? ++node.value < node.count : this.#nextBranch(node)) return true
      this.cutTo(this.nodes.length - 1)
    }
    return false
  }

  #nextBranch(node: StepNode): boolean {
    if (node.event !== null) node.sleep.push({ ...effectOf(node.event), cut: node.cut })
    node.explored++
    node.left = masksWithout(node.left, node.proc)
    const planned = this.plannedAt(this.steps.length - 1)
    if (planned.length === 0 && (node.cut || node.sleep.some(({ cut }) => cut))) widen(node, planned)
    const branch = planned.shift()
    if (branch === undefined) return false
    node.proc = branch.event.proc
    node.event = null
    node.next = branch.next
    return true
  }

  /** Share of the search that is done, 0 to 1, as far as it is planned: more than the truth, until it is 1. */
  share(): number {
    let [share, part, step] = [0, 1, 0]
    for (const node of this.nodes) {
      const [done, all] =
        node.kind === 'choice'
          ? [node.value, node.count]
          : [node.explored, node.explored + 1 + this.plannedAt(step++).length]
      share += (part * done) / all
      part /= all
    }
    return share
  }

  /** As plain data; `begun` as there. */
  data(begun: boolean): TreeData {
    const { explored, pruned, beyond } = this
    const [nodes, first] = [this.nodes.map(plainNode), this.#first.map(plainBranch)]
    return { nodes, first, explored, pruned, beyond, begun }
  }

  restore({ nodes, first, explored, pruned, beyond }: TreeData): void {
    this.cutTo(0)
    this.push(nodes)
    this.#first = [...first]
    Object.assign(this, { explored, pruned, beyond })
  }
}

/**
 * Races among executions that were given up are not known, below this state or where one that sleeps here was explored
 * in its stead: what they would have planned may be missing. So every other action is explored that the state has.
 */
function widen(node: StepNode, planned: Branch[]): void {
  for (const proc of actionsIn(node.left))
    if (!node.sleep.some((event) => event.proc === proc)) planned.push({ event: unknownEffect(proc), next: [] })
}

export function plainNode(node: Node): Node {
  if (node.kind === 'choice') return { ...node }
  const { event, next, sleep } = node
  return { ...node, event: event && effectOf(event), next: next.map(plainBranch), sleep: [...sleep] }
}

export const plainBranch = ({ event, next }: Branch): Branch => ({
  event: effectOf(event),
  next: next.map(plainBranch),
})
