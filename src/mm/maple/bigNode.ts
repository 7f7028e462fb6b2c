/**
 * maple_big_node: what nodes of one level are to hold, before it is cut into nodes.
 *
 * Source: lib/maple_tree.c (v6.12). A part has its own and uses it between two schedule points.
 */
import { peek32, peekF64, poke32, pokeF64 } from '../../machine/image/guarded.js'
import { gapAt, MAPLE_ARANGE64_SLOTS, MAPLE_NODE, MAPLE_RANGE64_SLOTS, pivotAt, slotAt } from './mapleNode.js'

/** Two nodes less a slot each, the new entry, what is left of the slots that it cuts, and a neighbour. */
const BIG_NODE_SLOTS = 3 * MAPLE_RANGE64_SLOTS + 3

export class BigNode {
  leaf = true
  /** Where its range begins. */
  min = 0
  /** Slots in use. */
  count = 0
  readonly #slots = new Int32Array(BIG_NODE_SLOTS)
  readonly #pivots = new Float64Array(BIG_NODE_SLOTS)
  readonly #gaps = new Float64Array(BIG_NODE_SLOTS)

  begin(min: number, leaf: boolean): void {
    this.min = min
    this.leaf = leaf
    this.count = 0
  }

  /** Adds a slot up to `end`; `gap`: the largest below it. Neighbours without an entry become one. */
  add(end: number, slot: number, gap: number): void {
    if (this.leaf && slot === 0 && this.count > 0 && this.#slots[this.count - 1] === 0) this.count--
    this.#slots[this.count] = slot
    this.#pivots[this.count] = end
    this.#gaps[this.count] = gap
    this.count++
  }

  /** Adds the slots `from` … `to` - 1 of `node`. */
  addNode(node: number, from: number, to: number): void {
    for (let offset = from; offset < to; offset++)
      this.add(
        peekF64(pivotAt(node, offset)),
        peek32(slotAt(node, offset)),
        this.leaf ? 0 : peekF64(gapAt(node, offset)),
      )
  }

  /** Puts all slots of `node`, whose range begins at `min`, before its own. */
  prependNode(node: number, min: number): void {
    const [own, more] = [this.count, peek32(node + MAPLE_NODE.at.end)]
    for (const words of [this.#slots, this.#pivots, this.#gaps]) words.copyWithin(more, 0, own)
    this.begin(min, this.leaf)
    this.addNode(node, 0, more)
    this.count += own
  }

  /** Nodes that the slots fill. */
  get nodes(): number {
    return Math.ceil(this.count / (this.leaf ? MAPLE_RANGE64_SLOTS : MAPLE_ARANGE64_SLOTS))
  }

  /** Part of mab_mas_cp(): fills `node`, the `part`th of `parts`, with its share. */
  fill(node: number, part: number, parts: number): void {
    const [from, to] = [this.cut(part, parts), this.cut(part + 1, parts)]
    poke32(node + MAPLE_NODE.at.end, to - from)
    for (let i = from; i < to; i++) {
      pokeF64(pivotAt(node, i - from), this.#pivots[i] as number)
      poke32(slotAt(node, i - from), this.#slots[i] as number)
      if (!this.leaf) pokeF64(gapAt(node, i - from), this.#gaps[i] as number)
    }
  }

  /** The end of the `part`th share. */
  endOf(part: number, parts: number): number {
    return this.#pivots[this.cut(part + 1, parts) - 1] as number
  }

  /** Part of mab_mas_cp(): the largest gap in the `part`th share. */
  maxGap(part: number, parts: number): number {
    const [from, to] = [this.cut(part, parts), this.cut(part + 1, parts)]
    let largest = 0
    for (let i = from; i < to; i++) largest = Math.max(largest, this.gapOf(i))
    return largest
  }

  /** The only slot. */
  get onlySlot(): number {
    return this.#slots[0] as number
  }

  protected gapOf(i: number): number {
    if (!this.leaf) return this.#gaps[i] as number
    if (this.#slots[i] !== 0) return 0
    return (this.#pivots[i] as number) - (i === 0 ? this.min : (this.#pivots[i - 1] as number))
  }

  protected cut(part: number, parts: number): number {
    return Math.floor((part * this.count) / parts)
  }
}
