/**
 * The graph of the orders in which locks were taken, for locks that have no class in sync/lockOrder.ts: those of
 * scenarios, and of a user's own kernel code. Each such lock is a class of its own. An edge leads from a lock that was
 * held to one that was taken then, on whatever CPU; a lock of the kernel leads to all that may be taken inside it. A
 * circle is a deadlock of some schedule, whether or not this one comes to it.
 *
 * Source: kernel/locking/lockdep.c (v6.12), check_prevs_add(), check_noncircular(). Left out: readers that do not
 * exclude each other, so that two that read in opposite orders count, as they do for lockdep's ordinary readers.
 *
 * The graph is in the image, shared by all CPUs. Edges are only added, each for what has happened, so that it is exact
 * in threads, too.
 */
import { lowestBit } from '../base/bits.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { cmpxchg32, load32, note, or32, peek32, poke32 } from '../machine/image/image.js'
import { LOCK_ORDER, nestsInside } from '../sync/lockOrder.js'
import { LOCK_CLASSES, LOCK_GRAPH, type Shadow } from './shadow.js'

/** Classes below are those of the kernel. */
export const OWN_FIRST = LOCK_ORDER.length

/** By class of the kernel: the classes that may be taken inside it. */
const INSIDE = LOCK_ORDER.map(({ name: outer }) =>
  LOCK_ORDER.reduce(
    (bits, { name: inner }, at) => (inner !== outer && nestsInside(outer, inner) ? bits | (1 << at) : bits),
    0,
  ),
)

/** A lock that was taken while another one was held. */
export interface LockEdge {
  readonly held: number
  readonly taken: number
  /** The CPU, and the number of its operation; null for an order that is the kernel's. */
  readonly by: { readonly cpu: number; readonly opKind: number } | null
}

export class LockGraph {
  readonly #at: number

  constructor(shadow: Shadow) {
    this.#at = shadow.lockGraph
  }

  /** The class of a lock that the kernel's order does not have; -1 when there is no room for another one. */
  classOf(lock: number): number {
    for (let own = OWN_FIRST; own < LOCK_CLASSES; own++) {
      const at = this.#at + LOCK_GRAPH.at.locks + own * 4
      const known = load32(at)
      if (known === lock) return own
      if (known !== 0) continue
      const before = cmpxchg32(at, 0, lock)
      note(at)
      if (before === 0 || before === lock) return own
    }
    return -1
  }

  /** The address of the lock of class `own`, which is none of the kernel's. */
  lockOf(own: number): number {
    return load32(this.#at + LOCK_GRAPH.at.locks + own * 4)
  }

  /** The circle that is closed when `cpu` takes a lock of class `taken` while it holds `heldClasses`; null for none. */
  take(cpu: Cpu, heldClasses: number, taken: number): readonly LockEdge[] | null {
    for (let rest = heldClasses; rest !== 0; rest &= rest - 1) {
      const held = lowestBit(rest)
      if (held < OWN_FIRST && taken < OWN_FIRST) continue
      if (((this.#after(held) >>> taken) & 1) === 1) continue
      const back = this.#path(taken, held)
      if (back !== null) return [{ held, taken, by: siteOf(cpu) }, ...back]
      this.#add(cpu, held, taken)
    }
    return null
  }

  #add(cpu: Cpu, held: number, taken: number): void {
    poke32(this.#site(held, taken), (cpu.id + 1) | (peek32(cpu.area + CPU_AREA.at.opKind) << 8))
    const at = this.#at + LOCK_GRAPH.at.after + held * 4
    or32(at, 1 << taken)
    note(at)
  }

  /** Classes that were taken while one of class `held` was held. */
  #after(held: number): number {
    return load32(this.#at + LOCK_GRAPH.at.after + held * 4) | (INSIDE[held] ?? 0)
  }

  #site(held: number, taken: number): number {
    return this.#at + LOCK_GRAPH.at.sites + (held * 32 + taken) * 4
  }

  /** The shortest way along edges; null when there is none. */
  #path(from: number, to: number): readonly LockEdge[] | null {
    const cameFrom = new Map([[from, -1]])
    for (const at of cameFrom.keys()) {
      if (at === to) return this.#edges(cameFrom, to)
      for (let rest = this.#after(at); rest !== 0; rest &= rest - 1) {
        const next = lowestBit(rest)
        if (!cameFrom.has(next)) cameFrom.set(next, at)
      }
    }
    return null
  }

  #edges(cameFrom: ReadonlyMap<number, number>, to: number): LockEdge[] {
    const edges: LockEdge[] = []
    for (let taken = to, held = cameFrom.get(to) ?? -1; held >= 0; taken = held, held = cameFrom.get(held) ?? -1) {
      const site = peek32(this.#site(held, taken))
      edges.unshift({ held, taken, by: site === 0 ? null : { cpu: (site & 0xff) - 1, opKind: site >>> 8 } })
    }
    return edges
  }
}

const siteOf = (cpu: Cpu): LockEdge['by'] => ({ cpu: cpu.id, opKind: peek32(cpu.area + CPU_AREA.at.opKind) })
