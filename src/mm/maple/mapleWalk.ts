/**
 * Looking things up in maple trees.
 *
 * Source: lib/maple_tree.c mas_find(), mas_prev(), mas_walk(), mas_empty_area(), mas_empty_area_rev() (v6.12). Nodes
 * change under mmap_lock for write, so who holds it in some mode sees a tree that stands still, and reads it without
 * schedule points. Walkers under RCU alone (masWalk) may be in nodes that others have taken the place of.
 */
import { phys, type PhysAddr } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peekF64 } from '../../machine/image/guarded.js'
import { MM } from '../mmStruct.js'
import { MAPLE_NODE, mteIsLeaf, mteToNode, pivotAt, slotAt } from './mapleNode.js'
import { MapleNodes } from './mapleNodes.js'
import { MaState } from './maState.js'

export abstract class MapleWalk extends MapleNodes {
  /** Of a search; stores have their own. */
  readonly #mas = new MaState()

  // ---- mmap_lock held, in some mode ---------------------------------------------------------------------------------

  /** mas_find(): the entry at `addr`, or the first behind it; 0: none. */
  masFind(mm: PhysAddr, addr: number): PhysAddr {
    const root = peek32(mm + MM.at.mmMt)
    for (let from = addr; root !== 0;) {
      let enode = root
      let max = Infinity
      for (;;) {
        const node = mteToNode(enode)
        let offset = 0
        let end = peekF64(pivotAt(node, 0))
        while (end <= from) end = peekF64(pivotAt(node, ++offset))
        if (mteIsLeaf(enode)) {
          const entry = peek32(slotAt(node, offset))
          if (entry !== 0) return phys(entry)
          // No two ranges without an entry are neighbours.
          if (end < max) return phys(peek32(slotAt(node, offset + 1)))
          break
        }
        enode = peek32(slotAt(node, offset))
        max = end
      }
      if (max === Infinity) break
      from = max
    }
    return phys(0)
  }

  /** mas_prev(): the entry of what lies just below `addr`, or the last before that; 0: none. */
  masPrev(mm: PhysAddr, addr: number): PhysAddr {
    const mas = this.#mas
    if (peek32(mm + MM.at.mmMt) === 0) return phys(0)
    for (let from = addr; from > 0; from = mas.min) {
      mas.walk(mm, from, true)
      if (mas.slot !== 0) return phys(mas.slot)
      if (mas.left()) return phys(mas.slot)
    }
    return phys(0)
  }

  /** mas_empty_area(): the lowest address from `min` on where `len` bytes below `max` are free; -1: none. */
  masEmptyArea(mm: PhysAddr, min: number, max: number, len: number): number {
    const mas = this.#mas
    if (peek32(mm + MM.at.mmMt) === 0) return max - min >= len ? min : -1
    for (let from = min; max - from >= len; from = mas.max) {
      mas.masStart(mm, from, false)
      while (this.gapRight(mas, from, max, len)) {
        from = Math.max(from, mas.start)
        if (mas.leaf) return from
        mas.masDescend(from, false)
      }
    }
    return -1
  }

  /** mas_empty_area_rev(): the highest address from `min` on where `len` bytes below `max` are free; -1: none. */
  masEmptyAreaRev(mm: PhysAddr, min: number, max: number, len: number): number {
    const mas = this.#mas
    if (peek32(mm + MM.at.mmMt) === 0) return max - min >= len ? max - len : -1
    for (let to = max; to - min >= len; to = mas.min) {
      mas.masStart(mm, to, true)
      while (this.gapLeft(mas, min, to, len)) {
        to = Math.min(to, mas.end)
        if (mas.leaf) return to - len
        mas.masDescend(to, true)
      }
    }
    return -1
  }

  /** Goes right in the node to a slot that has `len` free bytes in `from` … `max`, as far as the node can tell. */
  protected gapRight(mas: MaState, from: number, max: number, len: number): boolean {
    do if (this.room(mas, from, max) >= len) return true
    while (mas.right())
    return false
  }

  /** As gapRight(), to the left. */
  protected gapLeft(mas: MaState, min: number, to: number, len: number): boolean {
    do if (this.room(mas, min, to) >= len) return true
    while (mas.left())
    return false
  }

  protected room(mas: MaState, min: number, max: number): number {
    const within = Math.min(mas.end, max) - Math.max(mas.start, min)
    if (mas.leaf) return mas.slot === 0 ? within : 0
    return Math.min(within, mas.gap)
  }

  // ---- under RCU alone ----------------------------------------------------------------------------------------------

  /**
   * mas_walk(): the entry at `addr`; 0: none. Caller: rcu_read_lock(), and a reference to the mm. The entry may have
   * left the tree meanwhile.
   */
  *masWalk(mm: PhysAddr, addr: number): Step<PhysAddr> {
    for (;;) {
      let enode = yield* this.cpu.loadAcquire32(phys(mm + MM.at.mmMt))
      while (enode !== 0) {
        const node = mteToNode(enode)
        const next = yield* this.mtSlot(node, addr)
        if (yield* this.maDeadNode(node)) break
        if (mteIsLeaf(enode)) return phys(next)
        enode = next
      }
      if (enode === 0) return phys(0)
    }
  }

  /** Part of mtree_range_walk(): what the node has for `addr`. ACQUIRE: before the look whether the node is dead. */
  protected *mtSlot(node: number, addr: number): Step<number> {
    let offset = 0
    while (peekF64(pivotAt(node, offset)) <= addr) offset++
    return yield* this.cpu.loadAcquire32(phys(slotAt(node, offset)))
  }

  /** ma_dead_node(): true when another node has taken its place. Pairs with the RELEASE in MapleTree.replace(). */
  protected *maDeadNode(node: number): Step<boolean> {
    return (yield* this.cpu.readOnce32(phys(node + MAPLE_NODE.at.dead))) !== 0
  }
}
