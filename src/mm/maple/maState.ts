/**
 * ma_state: where a walk through a tree has got to. A part has its own and uses it between two schedule points, so
 * nothing of it outlives a step.
 *
 * Source: include/linux/maple_tree.h, lib/maple_tree.c mas_descend() (v6.12). Ranges are from an inclusive start to an
 * exclusive end.
 */
import { peek32, peekF64 } from '../../machine/image/guarded.js'
import { MM } from '../mmStruct.js'
import { gapAt, MAPLE_NODE, mteIsLeaf, mteToNode, pivotAt, slotAt } from './mapleNode.js'

export class MaState {
  node = 0
  leaf = false
  /** Range of the node. */
  min = 0
  max = 0
  /** The slot, and its range. */
  offset = 0
  start = 0
  end = 0

  /**
   * Walks to the slot for `addr`, or with `below` to that of what lies just below it, in the node `depth` levels under
   * the root, or in the leaf if that comes first. Caller: the tree of `mm` is not empty; holds its mmap_lock.
   */
  walk(mm: number, addr: number, below: boolean, depth = Infinity): void {
    this.masStart(mm, addr, below)
    for (let level = 0; !this.leaf && level < depth; level++) this.masDescend(addr, below)
  }

  /** mas_start(): as walk(), in the root. */
  masStart(mm: number, addr: number, below: boolean): void {
    this.min = 0
    this.max = Infinity
    this.enter(peek32(mm + MM.at.mmMt), addr, below)
  }

  /** mas_descend(): goes on in the node that the slot leads to. */
  masDescend(addr: number, below: boolean): void {
    const enode = this.slot
    this.min = this.start
    this.max = this.end
    this.enter(enode, addr, below)
  }

  protected enter(enode: number, addr: number, below: boolean): void {
    this.node = mteToNode(enode)
    this.leaf = mteIsLeaf(enode)
    this.find(addr, below)
  }

  protected find(addr: number, below: boolean): void {
    let [offset, start] = [0, this.min]
    let end = peekF64(pivotAt(this.node, 0))
    while (below ? end < addr : end <= addr) {
      start = end
      end = peekF64(pivotAt(this.node, ++offset))
    }
    this.offset = offset
    this.start = start
    this.end = end
  }

  /** What is in the slot. */
  get slot(): number {
    return peek32(slotAt(this.node, this.offset))
  }

  get gap(): number {
    return peekF64(gapAt(this.node, this.offset))
  }

  /** Goes one slot to the right; false at the end of the node. */
  right(): boolean {
    if (this.end === this.max) return false
    this.offset++
    this.start = this.end
    this.end = peekF64(pivotAt(this.node, this.offset))
    return true
  }

  /** Goes one slot to the left; false at the beginning of the node. */
  left(): boolean {
    if (this.offset === 0) return false
    this.offset--
    this.end = this.start
    this.start = this.offset === 0 ? this.min : peekF64(pivotAt(this.node, this.offset - 1))
    return true
  }

  /** Slots of the node that are in use. */
  get slots(): number {
    return peek32(this.node + MAPLE_NODE.at.end)
  }
}
