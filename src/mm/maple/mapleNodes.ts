/**
 * Where nodes of maple trees come from and go to.
 *
 * Source: lib/maple_tree.c mas_preallocate(), mt_free_rcu(), and mm/slub.c with a sheaf of free nodes for each CPU
 * (v6.18). A store finds its nodes at hand (masPreallocate), so that it cannot fail once it has begun.
 */
import { phys, type PhysAddr } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { fillBytes, peek32, poke32 } from '../../machine/image/guarded.js'
import { spinLock, spinUnlock } from '../../sync/spinlock.js'
import type { Kernel } from '../kernel.js'
import { TABLES } from '../mms.js'
import { ENOMEM, POISON_FREE } from '../mmStruct.js'
import { Part } from '../part.js'
import { HEIGHT_MAX, MAPLE_CPU, MAPLE_NODE, mapleNodesOf, nodesFor, SHEAF_NODES } from './mapleNode.js'

/** Nodes of a sheaf after it was filled, and after it had no room. */
const SHEAF_FILLED = nodesFor(HEIGHT_MAX) + 1

export abstract class MapleNodes extends Part {
  readonly #own: PhysAddr
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#own = phys(k.regions.mapleCpus + k.cpu.id * MAPLE_CPU.size)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.mtFreeRcu(head - MAPLE_NODE.at.rcuNext) })
  }

  /** Boot, one CPU: every CPU has a filled sheaf. */
  format(): void {
    const { mapleCpus } = this.k.regions
    for (let cpu = 0; cpu < this.cpu.cpuCount; cpu++) {
      const sheaf = mapleCpus + cpu * MAPLE_CPU.size
      for (let i = 0; i < SHEAF_FILLED; i++) poke32(sheaf + MAPLE_CPU.at.sheaf + 4 * i, this.newNode())
      poke32(sheaf + MAPLE_CPU.at.count, SHEAF_FILLED)
    }
  }

  /** Part of mas_preallocate(): this CPU has `count` nodes at hand: 0 or -ENOMEM. May sleep. */
  protected *reserve(count: number): Step<number> {
    if (peek32(this.#own + MAPLE_CPU.at.count) >= count) return 0
    yield* this.refill()
    if (peek32(this.#own + MAPLE_CPU.at.count) >= count) return 0
    // Memory is short, and nodes may wait for the end of their grace period.
    yield* this.k.rcu.barrier.rcuBarrier()
    yield* this.refill()
    return peek32(this.#own + MAPLE_CPU.at.count) >= count ? 0 : -ENOMEM
  }

  /** This CPU has nodes for a store into the tallest tree. */
  protected get hasPlenty(): boolean {
    return peek32(this.#own + MAPLE_CPU.at.count) >= nodesFor(HEIGHT_MAX)
  }

  protected *refill(): Step<void> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.mapleLock))
    while (peek32(this.#own + MAPLE_CPU.at.count) < SHEAF_FILLED) {
      const free = peek32(tables + TABLES.at.freeMapleNode)
      if (free !== 0) poke32(tables + TABLES.at.freeMapleNode, peek32(free + MAPLE_NODE.at.next))
      const node = free !== 0 ? free : this.newNode()
      if (node === 0) break
      this.push(node)
    }
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.mapleLock))
  }

  /** A node that nobody has had yet; 0: there is none. The lock of the pool. */
  protected newNode(): number {
    const { tables, mapleNodes } = this.k.regions
    const used = peek32(tables + TABLES.at.mapleNodesUsed)
    if (used === mapleNodesOf(this.k.config, this.cpu.cpuCount)) return 0
    poke32(tables + TABLES.at.mapleNodesUsed, used + 1)
    return mapleNodes + used * MAPLE_NODE.size
  }

  protected push(node: number): void {
    const count = peek32(this.#own + MAPLE_CPU.at.count)
    poke32(this.#own + MAPLE_CPU.at.sheaf + 4 * count, node)
    poke32(this.#own + MAPLE_CPU.at.count, count + 1)
  }

  protected pop(): number {
    const count = peek32(this.#own + MAPLE_CPU.at.count) - 1
    poke32(this.#own + MAPLE_CPU.at.count, count)
    return peek32(this.#own + MAPLE_CPU.at.sheaf + 4 * count)
  }

  /** mas_pop_node(): a node of this CPU's alone, for the tree of `mm`. Caller: has reserved it. */
  protected masPopNode(mm: PhysAddr): number {
    const node = this.pop()
    this.k.observer.objectAllocated(this.cpu, node)
    poke32(node + MAPLE_NODE.at.dead, 0)
    poke32(node + MAPLE_NODE.at.mm, mm)
    poke32(node + MAPLE_NODE.at.rcuFunc, 0)
    return node
  }

  /** ma_free_rcu(): a node that is in the tree no more; walkers under RCU may still be in it. */
  protected *maFreeRcu(node: number): Step<void> {
    yield* this.k.rcu.callRcu(phys(node + MAPLE_NODE.at.rcuNext), this.#freeCallback)
  }

  /** mt_free_rcu(): nobody can be in the node any more. A full sheaf gives some of its nodes back. */
  protected *mtFreeRcu(node: number): Step<void> {
    this.k.observer.objectOwned(this.cpu, node)
    fillBytes(node, POISON_FREE, MAPLE_NODE.size)
    this.k.observer.objectFreed(this.cpu, node)
    if (peek32(this.#own + MAPLE_CPU.at.count) === SHEAF_NODES) yield* this.giveBack()
    this.push(node)
  }

  /** As many nodes stay as a store may have reserved. */
  protected *giveBack(): Step<void> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.mapleLock))
    while (peek32(this.#own + MAPLE_CPU.at.count) > SHEAF_FILLED) {
      const node = this.pop()
      poke32(node + MAPLE_NODE.at.next, peek32(tables + TABLES.at.freeMapleNode))
      poke32(tables + TABLES.at.freeMapleNode, node)
    }
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.mapleLock))
  }
}
