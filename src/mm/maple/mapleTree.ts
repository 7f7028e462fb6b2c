/**
 * Maple trees: B-trees of ranges, in which an mm finds its VMAs.
 *
 * Source: lib/maple_tree.c mas_store_prealloc(), mas_wr_bnode(), mas_split(), mas_rebalance(), mas_wr_spanning_store(),
 * mas_replace_node(), mas_topiary_replace() (v6.12). Trees belong to address spaces: MT_FLAGS_ALLOC_RANGE (they know
 * their gaps), MT_FLAGS_LOCK_EXTERN (mmap_lock) and, in kernels with per-VMA locks, MT_FLAGS_USE_RCU.
 *
 * One way of storing stands for upstream's many: the nodes that a store changes are built anew from the leaves upwards,
 * as far as their number changes, and one word, a slot or the root, puts them in the place of the old ones. So a reader
 * finds the tree before the store or after it. Upstream also writes single slots and pivots of live leaves in place;
 * who walks under RCU then finds an entry beside the address, which it finds here, too, when the entry shrinks after
 * the walk: it has to compare in both cases. Absent as well: nodes of other kinds, trees of one entry without a node,
 * bulk building, and the search for a neighbour that makes up for a leaf that is short, where that is not the next one.
 */
import { phys, type PhysAddr } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../../machine/image/guarded.js'
import { ENOMEM, MM } from '../mmStruct.js'
import { BigNode } from './bigNode.js'
import {
  gapAt,
  MAPLE_NODE,
  MIN_ARANGE64_SLOTS,
  MIN_RANGE64_SLOTS,
  mteIsLeaf,
  mteToNode,
  mtMkNode,
  nodesFor,
  slotAt,
} from './mapleNode.js'
import { MapleWalk } from './mapleWalk.js'
import { MaState } from './maState.js'

export class MapleTree extends MapleWalk {
  /** The first and the last node, of one level, that a store replaces. */
  readonly #left = new MaState()
  readonly #right = new MaState()
  readonly #between = new MaState()
  /** What they are to hold, and what the node above them is to hold. */
  #big = new BigNode()
  #above = new BigNode()
  /** First of the replaced nodes, linked by `next`. */
  #replaced = 0

  /** mt_in_rcu(): there are walkers under RCU. */
  protected get mtInRcu(): boolean {
    return this.k.config.perVmaLock
  }

  /** mas_preallocate(): this CPU has the nodes for one store into the tree of `mm`: 0 or -ENOMEM. May sleep. */
  *masPreallocate(mm: PhysAddr): Step<number> {
    return this.hasPlenty || (yield* this.reserve(nodesFor(this.mtHeight(mm)))) === 0 ? 0 : -ENOMEM
  }

  /**
   * mas_store_prealloc(): `entry` over `start` … `end`, in the place of what is there; 0: nothing. Caller: mmap_lock
   * for write, masPreallocate() since the store before.
   */
  *masStorePrealloc(mm: PhysAddr, start: number, end: number, entry: number): Step<void> {
    this.k.mms.mmapAssertWriteLocked(mm)
    this.#replaced = 0
    if (peek32(mm + MM.at.mmMt) === 0) yield* this.masRootExpand(mm, start, end, entry)
    else yield* this.storeInto(mm, start, end, entry)
  }

  /** __mt_destroy(): frees all nodes at once. Caller: the last user of `mm` under mmap_lock for write. */
  *mtDestroy(mm: PhysAddr): Step<void> {
    const root = peek32(mm + MM.at.mmMt)
    if (root === 0) return
    this.#replaced = 0
    this.replaceBelow(root)
    poke32(mm + MM.at.mmMt, 0)
    for (let node = this.#replaced; node !== 0;) {
      const next = peek32(node + MAPLE_NODE.at.next)
      yield* this.mtFreeRcu(node)
      node = next
    }
  }

  // ---- storing ------------------------------------------------------------------------------------------------------

  /** mas_root_expand(). */
  protected *masRootExpand(mm: PhysAddr, start: number, end: number, entry: number): Step<void> {
    if (entry === 0) return
    const big = this.#big
    big.begin(0, true)
    if (start > 0) big.add(start, 0, 0)
    big.add(end, entry, 0)
    big.add(Infinity, 0, 0)
    yield* this.publish(phys(mm + MM.at.mmMt), this.makeNode(mm, 0, 1))
  }

  protected *storeInto(mm: PhysAddr, start: number, end: number, entry: number): Step<void> {
    this.masStoreBNode(mm, start, end, entry)
    for (let depth = this.mtHeight(mm) - 1; ; depth--) {
      if (this.isShort()) this.masRebalance(mm, depth)
      const [left, right, big] = [this.#left, this.#right, this.#big]
      if (left.node === right.node) this.replace(left.node)
      else this.replaceLevel(mm, depth, left.min, right.max)
      if (left.min === 0 && right.max === Infinity) return yield* this.replaceRoot(mm, depth)
      const { nodes } = big
      if (nodes === 1 && left.node === right.node) return yield* this.masReplaceNode(mm, depth)
      const [min, max] = [left.min, right.max]
      left.walk(mm, min, false, depth - 1)
      right.walk(mm, max, true, depth - 1)
      const above = this.#above
      above.begin(left.min, false)
      above.addNode(left.node, 0, left.offset)
      this.addNodes(mm, above)
      above.addNode(right.node, right.offset + 1, right.slots)
      this.#above = big
      this.#big = above
    }
  }

  /** mas_store_b_node(): what the leaves around `start` … `end` are to hold. */
  protected masStoreBNode(mm: PhysAddr, start: number, end: number, entry: number): void {
    const [left, right, big] = [this.#left, this.#right, this.#big]
    const from = entry === 0 ? this.extendLeft(mm, start) : start
    const to = entry === 0 ? this.extendRight(mm, end) : end
    left.walk(mm, from, false)
    right.walk(mm, to, true)
    big.begin(left.min, true)
    big.addNode(left.node, 0, left.offset)
    if (left.start < from) big.add(from, left.slot, 0)
    big.add(to, entry, 0)
    if (to < right.end) big.add(right.end, right.slot, 0)
    big.addNode(right.node, right.offset + 1, right.slots)
  }

  /** Part of mas_wr_extend_null(): where what is free below `start` begins. */
  protected extendLeft(mm: PhysAddr, start: number): number {
    if (start === 0) return 0
    const mas = this.#left
    mas.walk(mm, start, true)
    return mas.slot === 0 ? mas.start : start
  }

  /** Part of mas_wr_extend_null(): where what is free from `end` on ends. */
  protected extendRight(mm: PhysAddr, end: number): number {
    const mas = this.#right
    mas.walk(mm, end, false)
    return mas.slot === 0 ? mas.end : end
  }

  protected isShort(): boolean {
    const { count, leaf } = this.#big
    if (this.#left.min === 0 && this.#right.max === Infinity) return false
    return count < (leaf ? MIN_RANGE64_SLOTS : MIN_ARANGE64_SLOTS)
  }

  /** mas_rebalance(): the node before the first one, or else behind the last one, is replaced with them. */
  protected masRebalance(mm: PhysAddr, depth: number): void {
    const [left, right, big] = [this.#left, this.#right, this.#big]
    if (left.min > 0) {
      left.walk(mm, left.min, true, depth)
      big.prependNode(left.node, left.min)
    } else {
      right.walk(mm, right.max, false, depth)
      big.addNode(right.node, 0, right.slots)
    }
  }

  /** Makes nodes of what `#big` holds, as slots of `above`. */
  protected addNodes(mm: PhysAddr, above: BigNode): void {
    const big = this.#big
    const { nodes } = big
    for (let part = 0; part < nodes; part++)
      above.add(big.endOf(part, nodes), this.makeNode(mm, part, nodes), big.maxGap(part, nodes))
  }

  /** A node with a share of what `#big` holds, ready to be found. */
  protected makeNode(mm: PhysAddr, part: number, parts: number): number {
    const node = this.masPopNode(mm)
    this.#big.fill(node, part, parts)
    this.k.observer.objectShared(this.cpu, node)
    return mtMkNode(node, this.#big.leaf)
  }

  // ---- putting new nodes into the tree ------------------------------------------------------------------------------

  /** All nodes `depth` levels under the root and those above are replaced: the tree may grow, shrink, become empty. */
  protected *replaceRoot(mm: PhysAddr, depth: number): Step<void> {
    for (let level = depth - 1; level >= 0; level--) this.replaceLevel(mm, level, 0, Infinity)
    let [big, above] = [this.#big, this.#above]
    while (big.nodes > 1) {
      above.begin(0, false)
      this.addNodes(mm, above)
      ;[this.#big, this.#above] = [above, big]
      ;[big, above] = [this.#big, this.#above]
    }
    // A leaf without entries, or a node with one child: none is needed.
    const root = big.count === 1 ? big.onlySlot : this.makeNode(mm, 0, 1)
    yield* this.publish(phys(mm + MM.at.mmMt), root)
    yield* this.freeReplaced()
  }

  /** mas_replace_node(): one node takes the place of another, in the slot of the node above. */
  protected *masReplaceNode(mm: PhysAddr, depth: number): Step<void> {
    const [mas, big] = [this.#left, this.#big]
    const gap = big.maxGap(0, 1)
    const enode = this.makeNode(mm, 0, 1)
    const { min } = mas
    mas.walk(mm, min, false, depth - 1)
    const slot = phys(slotAt(mas.node, mas.offset))
    this.masUpdateGap(mm, min, depth - 1, gap)
    yield* this.publish(slot, enode)
    yield* this.freeReplaced()
  }

  /** mas_update_gap(): the slot for `addr`, `depth` levels under the root, has a gap of `gap` bytes; and so upwards. */
  protected masUpdateGap(mm: PhysAddr, addr: number, depth: number, gap: number): void {
    const mas = this.#left
    for (let [level, largest] = [depth, gap]; level >= 0; level--) {
      mas.walk(mm, addr, false, level)
      if (mas.gap === largest) return
      const before = maMaxGap(mas)
      pokeF64(gapAt(mas.node, mas.offset), largest)
      largest = maMaxGap(mas)
      if (largest === before) return
    }
  }

  /** Part of mas_put_in_tree(): readers under RCU find it (rcu_assign_pointer()); without them it is mmap_lock's. */
  protected *publish(at: PhysAddr, enode: number): Step<void> {
    // RELEASE: the new nodes before the word that leads to them. Pairs with the ACQUIREs in MapleWalk.masWalk().
    if (this.mtInRcu) yield* this.cpu.storeRelease32(at, enode)
    else poke32(at, enode)
  }

  // ---- replaced nodes -----------------------------------------------------------------------------------------------

  /** Notes the nodes of a level between `min` and `max` as replaced. */
  protected replaceLevel(mm: PhysAddr, depth: number, min: number, max: number): void {
    for (let at = min; at < max; at = this.#between.max) {
      this.#between.walk(mm, at, false, depth)
      this.replace(this.#between.node)
    }
  }

  protected replace(node: number): void {
    poke32(node + MAPLE_NODE.at.next, this.#replaced)
    this.#replaced = node
  }

  /** Notes `enode` and all nodes below it as replaced. */
  protected replaceBelow(enode: number): void {
    const node = mteToNode(enode)
    const slots = mteIsLeaf(enode) ? 0 : peek32(node + MAPLE_NODE.at.end)
    for (let offset = 0; offset < slots; offset++) this.replaceBelow(peek32(slotAt(node, offset)))
    this.replace(node)
  }

  /** Part of mas_topiary_replace(): no walk from the root comes to the replaced nodes any more. */
  protected *freeReplaced(): Step<void> {
    for (let node = this.#replaced; node !== 0;) {
      const next = peek32(node + MAPLE_NODE.at.next)
      yield* this.masFree(node)
      node = next
    }
  }

  /** mas_free(): marks the node dead and frees it after a grace period; at once where nobody walks under RCU. */
  protected *masFree(node: number): Step<void> {
    if (!this.mtInRcu) return yield* this.mtFreeRcu(node)
    // RELEASE: the word that leads to the new nodes before the mark: who finds it and begins again finds them.
    // Pairs with MapleWalk.maDeadNode().
    yield* this.cpu.storeRelease32(phys(node + MAPLE_NODE.at.dead), 1)
    yield* this.maFreeRcu(node)
  }

  /** mt_height(). */
  protected mtHeight(mm: PhysAddr): number {
    const root = peek32(mm + MM.at.mmMt)
    if (root === 0) return 0
    let height = 1
    for (let enode = root; !mteIsLeaf(enode); enode = peek32(slotAt(mteToNode(enode), 0))) height++
    return height
  }
}

/** ma_max_gap(). */
function maMaxGap(mas: MaState): number {
  let largest = 0
  for (let offset = 0; offset < mas.slots; offset++) largest = Math.max(largest, peekF64(gapAt(mas.node, offset)))
  return largest
}
