/**
 * The conditions under which VMAs can become one. Pure questions about VMAs in the image; vma.ts acts on the answers.
 *
 * Source: mm/vma.c is_mergeable_vma() … can_vma_merge_right() (v6.18, whose rule about anon_vmas the recordings show: a
 * VMA with pages merges with one that never had any. v6.12 refused that by mistake). Memory policies, names and
 * protection keys are one label, which has to be equal. Left out: userfaultfd contexts, and vm_ops->close but that of
 * SysV segments.
 */
import type { PhysAddr } from '../base/units.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { FILE, SYSV_SEGMENT, VM_DONTEXPAND, VMA } from './mmStruct.js'

/** Flags of special mappings, which are never merged. */
export const VM_SPECIAL = VM_DONTEXPAND

/** vma_merge_struct: a range as it will be, and its neighbours; 0 for no VMA. */
export interface MergeRange {
  readonly prev: PhysAddr
  readonly next: PhysAddr
  /** The VMA that the range is part of now; 0: nothing is mapped there. */
  readonly middle: PhysAddr
  readonly start: number
  readonly end: number
  readonly pgoff: number
  readonly flags: number
  readonly file: PhysAddr
  readonly label: number
  /** Whose anon_vma the range has: the middle VMA, the source of an mremap, or 0 for memory without pages. */
  readonly anonOf: PhysAddr
}

const anonVmaOf = (vma: PhysAddr): number => (vma === 0 ? 0 : peek32(vma + VMA.at.anonVma))
const forkedOf = (vma: PhysAddr): number => (vma === 0 ? 0 : peek32(vma + VMA.at.anonForked))

export function canMergeLeft(range: MergeRange, pageSize: number): boolean {
  const { prev } = range
  if (prev === 0 || peekF64(prev + VMA.at.end) !== range.start) return false
  const pages = (range.start - peekF64(prev + VMA.at.start)) / pageSize
  return isMergeable(range, prev) && peekF64(prev + VMA.at.pgoff) + pages === range.pgoff
}

/** `left`: the range merges with prev too. Both may be compatible with the range and not with each other. */
export function canMergeRight(range: MergeRange, left: boolean, pageSize: number): boolean {
  const { prev, next } = range
  if (next === 0 || peekF64(next + VMA.at.start) !== range.end || !isMergeable(range, next)) return false
  if (peekF64(next + VMA.at.pgoff) !== range.pgoff + (range.end - range.start) / pageSize) return false
  if (left && hasClose(next)) return false
  return !left || anonVmaOf(prev) === 0 || anonVmaOf(next) === 0 || sameAnonVma(prev, next)
}

/** vm_ops->close, which a segment of SysV shared memory has: such a VMA is not removed by a merge. */
export function hasClose(vma: PhysAddr): boolean {
  const file = peek32(vma + VMA.at.file)
  return file !== 0 && peek32(file + FILE.at.zeroed) === SYSV_SEGMENT
}

function isMergeable(range: MergeRange, neighbour: PhysAddr): boolean {
  if (((range.flags | peek32(neighbour + VMA.at.flags)) & VM_SPECIAL) !== 0) return false
  if (peek32(neighbour + VMA.at.flags) !== range.flags || peek32(neighbour + VMA.at.file) !== range.file) return false
  if (peek32(neighbour + VMA.at.label) !== range.label) return false
  return isMergeableAnonVma(range.anonOf, neighbour)
}

/**
 * is_mergeable_anon_vma(). A VMA that inherited pages at fork merges only with its own kind: one more VMA on its
 * anon_vma would be visited by every rmap walk of the parent's pages.
 */
function isMergeableAnonVma(anonOf: PhysAddr, neighbour: PhysAddr): boolean {
  if (anonVmaOf(neighbour) === 0 && anonVmaOf(anonOf) !== 0) return forkedOf(anonOf) === 0
  if (anonVmaOf(neighbour) !== 0 && anonVmaOf(anonOf) === 0) return forkedOf(neighbour) === 0
  return sameAnonVma(anonOf, neighbour)
}

const sameAnonVma = (a: PhysAddr, b: PhysAddr): boolean => anonVmaOf(a) === anonVmaOf(b) && forkedOf(a) === forkedOf(b)
