/**
 * The parts of a search up to equivalence (dpor.ts). A part is all executions below a planned sequence.
 *
 * A sequence that leads to a leaf of a wakeup tree does not change before its turn, since sequences that are added
 * branch off to its right. The actions to its left are asleep at its turn, and their effects are known once they were
 * explored. Most planned sequences can therefore be explored ahead of their turn, and the others at it.
 */
import { assert } from '../../base/assert.js'
import { actionName } from '../../machine/engine/actions.js'
import type { NamedPart, SearchParts, SearchProgress } from '../strategy/search.js'
import { dporProgress, type DporDone, type DporPart } from './dpor.js'
import { DporTree, plainBranch, type Node, type Sleeper, type StepNode, type TreeData } from './dporTree.js'
import { effectOf } from './effect.js'
import type { Branch } from './wakeupTree.js'

export class DporParts implements SearchParts {
  readonly #tree = new DporTree()
  readonly #bound: number
  /** The last node, or all there is, is to be explored as it stands. */
  #begun = true
  /** The plan after its step cannot be followed: the part is left to a search that explores it as a whole. */
  #wrong = false

  constructor(preemptions: number | null) {
    this.#bound = preemptions ?? Infinity
  }

  get complete(): boolean {
    return this.#isOver && this.#tree.beyond === 0
  }

  get #isOver(): boolean {
    return !this.#begun && this.#tree.nodes.length === 0
  }

  progress(): SearchProgress {
    return dporProgress(this.#tree, this.#isOver, this.#bound)
  }

  keep(): TreeData {
    return this.#tree.data(this.#begun)
  }

  goOn(kept: TreeData): void {
    this.#tree.restore(kept)
    this.#begun = kept.begun
  }

  turn(): NamedPart | null {
    if (!this.#begun) this.#begun = this.#tree.backtrack()
    if (!this.#begun) return null
    const { nodes } = this.#tree
    const last = nodes[nodes.length - 1]
    if (last === undefined || last.kind === 'choice') return this.#part(nodes.slice(0, -1), last ?? null, [])
    return this.#part(nodes.slice(0, -1), last, this.#wrong ? null : chainOf(last.next))
  }

  later(doneOf: (name: string) => object | undefined, goesOn: (part: NamedPart) => boolean): void {
    const { nodes, steps } = this.#tree
    let step = steps.length
    let more = true
    const look = (part: NamedPart): boolean => (more &&= goesOn(part))
    for (let at = nodes.length - 1; at >= 0 && more; at--) {
      const node = nodes[at] as Node
      const before = nodes.slice(0, at)
      if (node.kind === 'step') this.#beside(node, --step, before, doneOf, look)
      else
        for (let value = node.value + 1; value < node.count; value++)
          if (!look(this.#part(before, { ...node, value }, []))) break
    }
  }

  /** Parts that begin with what is planned beside `node`, as long as all that will be asleep by then is known. */
  #beside(
    node: StepNode,
    step: number,
    before: readonly Node[],
    doneOf: (name: string) => object | undefined,
    goesOn: (part: NamedPart) => boolean,
  ): void {
    const sleep: Sleeper[] = [...node.sleep]
    const isLast = before.length === this.#tree.nodes.length - 1
    let done: object | undefined = isLast ? doneOf((this.turn() as NamedPart).name) : undefined
    if (isLast && done === undefined) return
    let event = isLast ? firstEvent(done as DporDone) : node.event
    for (const branch of this.#tree.plannedAt(step)) {
      if (event !== null) sleep.push({ ...effectOf(event), cut: node.cut })
      const begin = { ...node, proc: branch.event.proc, sleep: [...sleep] }
      const part = this.#part(before, begin, chainOf(branch.next))
      if (!goesOn(part)) return
      done = doneOf(part.name)
      if (done === undefined) return
      event = firstEvent(done as DporDone)
    }
  }

  /**
   * The part after `before` and `last`; `chain`: steps that are planned after it, null for all plans there.
   */
  #part(before: readonly Node[], last: Node | null, chain: readonly Branch[] | null): NamedPart {
    const steps = (chain ?? []).map(({ event }) => event)
    const decisions = [...before, ...(last === null ? [] : [last])].map(decisionOf)
    const name = `${decisions.join()}; ${chain === null ? 'all' : steps.map(({ proc }) => proc).join()}`
    const make = (): DporPart => {
      const planned = chain === null ? (last as StepNode).next.map(plainBranch) : nested(steps)
      const end = last === null ? [] : [last.kind === 'choice' ? { ...last } : begun(last, planned)]
      return { way: [...before.map(passed), ...end], chain: steps.length, rest: null }
    }
    return { name, make }
  }

  take({ rest, plans, explored, pruned, beyond }: DporDone): void {
    const tree = this.#tree
    tree.explored += explored
    tree.pruned += pruned
    tree.beyond += beyond
    rest.nodes.slice(0, rest.outer).forEach((node, at) => this.#follow(node, at === 0))
    if (beyond > 0) tree.markCut()
    tree.plannedAt(tree.steps.length).splice(0, Infinity, ...rest.planned)
    tree.push(rest.nodes.slice(rest.outer))
    for (const { first, sequence } of plans) tree.plan(first, sequence)
    this.#begun = this.#wrong = false
  }

  /** The part begins with `node`, or its chain leads through it. */
  #follow(node: Node, isFirst: boolean): void {
    const { nodes, steps } = this.#tree
    if (node.kind === 'choice') {
      if (!isFirst) nodes.push({ ...node })
      return
    }
    const { proc, event, left } = node
    const own = isFirst ? steps[steps.length - 1] : this.#tree.enter(proc, left)
    assert(own !== undefined && own !== null, 'what was planned is not asleep')
    own.event = event
  }

  goingOn({ way, chain }: DporPart, { rest }: DporDone): DporPart {
    return { way, chain, rest }
  }

  joined(a: DporDone, b: DporDone): DporDone {
    const [explored, pruned, beyond] = [a.explored + b.explored, a.pruned + b.pruned, a.beyond + b.beyond]
    return { off: a.off || b.off, rest: b.rest, plans: [...a.plans, ...b.plans], explored, pruned, beyond }
  }

  isDone({ rest: { nodes, outer } }: DporDone): boolean {
    return nodes.length === outer
  }

  isOff({ off }: DporDone): boolean {
    return off
  }

  goWrong(): void {
    this.#wrong = true
  }
}

const decisionOf = (node: Node): string => (node.kind === 'choice' ? `=${node.value}` : actionName(node.proc))

const firstEvent = ({ rest }: DporDone): StepNode['event'] => {
  const [node] = rest.nodes
  return node?.kind === 'step' ? node.event : null
}

/** The first sequence of a wakeup tree. */
function chainOf(branches: readonly Branch[]): Branch[] {
  const chain: Branch[] = []
  for (let [branch] = branches; branch !== undefined; [branch] = branch.next) chain.push(branch)
  return chain
}

function nested(steps: readonly Branch['event'][]): Branch[] {
  let next: Branch[] = []
  for (const event of steps.toReversed()) next = [{ event: effectOf(event), next }]
  return next
}

/** A node that is passed on the way, without what is planned there and what is the business of the whole search. */
const passed = (node: Node): Node => (node.kind === 'choice' ? { ...node } : begun(node, []))

const begun = (node: StepNode, next: Branch[]): StepNode => ({
  ...node,
  event: null,
  next,
  sleep: [...node.sleep],
  explored: 0,
  left: [],
  cut: false,
})
