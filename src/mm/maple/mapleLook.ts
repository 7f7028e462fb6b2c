/** What a maple tree has, for those who only look: oracles, reports, tests. No accesses of the kernel. */
import { peek32, peekF64 } from '../../machine/image/image.js'
import { MM } from '../mmStruct.js'
import { MAPLE_NODE, mteIsLeaf, mteToNode, pivotAt, slotAt } from './mapleNode.js'

/** The VMAs of `mm`, by address. */
export function vmasOf(mm: number): number[] {
  const root = peek32(mm + MM.at.mmMt)
  return root === 0 ? [] : entriesBelow(root)
}

function entriesBelow(enode: number): number[] {
  const node = mteToNode(enode)
  const slots = Array.from({ length: peek32(node + MAPLE_NODE.at.end) }, (_, i) => peek32(slotAt(node, i)))
  return mteIsLeaf(enode) ? slots.filter((entry) => entry !== 0) : slots.flatMap(entriesBelow)
}

/** The VMA of `mm` that contains `addr`; 0: none. */
export function vmaOf(mm: number, addr: number): number {
  let enode = peek32(mm + MM.at.mmMt)
  while (enode !== 0) {
    const node = mteToNode(enode)
    let offset = 0
    while (peekF64(pivotAt(node, offset)) <= addr) offset++
    const slot = peek32(slotAt(node, offset))
    if (mteIsLeaf(enode)) return slot
    enode = slot
  }
  return 0
}
