/**
 * Nodes of maple trees in the image.
 *
 * Source: include/linux/maple_tree.h, lib/maple_tree.c (v6.12): maple_leaf_64 with 16 slots, maple_arange_64 with 10
 * slots and the largest gap below each, all leaves at one level. A pointer to a node (maple_enode) says in its low bits
 * whether the node is a leaf, so that a walker knows it before it looks at the node.
 *
 * Departures. A pivot is the exclusive end of its slot's range, as all ends are here, and the last slot has one, too.
 * Parent pointers are absent: every walk begins at the root, where upstream also ascends; what is left of them is
 * `dead`, upstream's parent that points to the node itself. The rcu_head has words of its own instead of those of
 * pivots, since a walker that reads a node and finds it dead afterwards would race with call_rcu() by plain accesses.
 */
import { constant, guard, lockedBy, atomic, ownCpu, wordAt, type Guard } from '../../machine/image/guard.js'
import { struct } from '../../machine/image/struct.js'
import { MAPLE_LOCK, MM } from '../mmStruct.js'

export const MAPLE_RANGE64_SLOTS = 16
export const MAPLE_ARANGE64_SLOTS = 10
/** mt_min_slots: a node with fewer is joined with a neighbour. */
export const MIN_RANGE64_SLOTS = MAPLE_RANGE64_SLOTS / 2 - 2
export const MIN_ARANGE64_SLOTS = MAPLE_ARANGE64_SLOTS / 2 - 1

const mmapLockOf = (node: number): number => wordAt(node + MAPLE_NODE.at.mm) + MM.at.mmapLock

const mmapLocked: Guard = lockedBy('mmap_lock of the mm', mmapLockOf)
const slot: Guard = guard(
  'written before the node is published, and later by accessors under mmap_lock for write; ' +
    'read under mmap_lock, or by accessors under RCU',
  (holder, node) => holder.holds(mmapLockOf(node)),
  (holder, node) => holder.holdsToWrite(mmapLockOf(node)),
  mmapLockOf,
)
const poolLocked: Guard = lockedBy('the lock of the pool of nodes', (_, places) => places.base('tables') + MAPLE_LOCK)
/** The pool links free nodes by it; who has replaced nodes, those. */
const link: Guard = guard(
  'free nodes: the lock of the pool; replaced ones: mmap_lock of the mm',
  (holder, node, index) => poolLocked.mayRead(holder, node, index) || mmapLocked.mayRead(holder, node, index),
  (holder, node, index) => poolLocked.mayWrite(holder, node, index) || mmapLocked.mayWrite(holder, node, index),
  mmapLockOf,
)

export const MAPLE_NODE = struct('mapleNode', 256, {
  dead: [0, 4, atomic], //    1: another node has taken its place (ma_dead_node())
  mm: [4, 4, constant], //    whose tree it is in
  end: [8, 4, constant], //   slots in use
  next: [12, 4, link],
  rcuNext: [16, 4, atomic], // rcu_head
  rcuFunc: [20, 4, atomic],
  slots: [32, 4 * MAPLE_RANGE64_SLOTS, slot], // leaf: entries, 0 for none; otherwise maple_enodes
  pivots: [96, 8 * MAPLE_RANGE64_SLOTS, constant, 'body'], // doubles
  // of nodes that are no leaves (doubles); walkers under RCU do not look at them:
  gaps: [176, 8 * MAPLE_ARANGE64_SLOTS, mmapLocked, 'body'],
})

/** Free nodes that a CPU has at hand, as SLUB's sheaves. */
export const SHEAF_NODES = 44

export const MAPLE_CPU = struct('mapleCpu', 192, {
  count: [0, 4, ownCpu],
  sheaf: [16, 4 * SHEAF_NODES, ownCpu],
})

/** In a maple_enode: the node is a leaf. Nodes are multiples of 64. */
const LEAF = 1

/** mte_is_leaf(). */
export const mteIsLeaf = (enode: number): boolean => (enode & LEAF) !== 0
/** mte_to_node(). */
export const mteToNode = (enode: number): number => enode & ~LEAF
/** mt_mk_node(). */
export const mtMkNode = (node: number, leaf: boolean): number => (leaf ? node | LEAF : node)

export const slotAt = (node: number, offset: number): number => node + MAPLE_NODE.at.slots + 4 * offset
export const pivotAt = (node: number, offset: number): number => node + MAPLE_NODE.at.pivots + 8 * offset
export const gapAt = (node: number, offset: number): number => node + MAPLE_NODE.at.gaps + 8 * offset

/** Levels of a tree with half-filled nodes for as many VMAs as an image can have. */
export const HEIGHT_MAX = 10
/**
 * Nodes that a store into a tree of `height` levels may need: on each level what it cuts into fills three at most, and
 * the tree may grow by one level.
 */
export const nodesFor = (height: number): number => 3 * height + 1

/**
 * Nodes of an image: for twice as many ranges as there are VMAs, in leaves with the least number of slots and the nodes
 * above them, for half as many that wait for a grace period, and for the sheaves of all CPUs and once more.
 */
export const mapleNodesOf = ({ vmas, mms }: { readonly vmas: number; readonly mms: number }, cpus: number): number =>
  Math.ceil(vmas * 0.7) + 2 * mms + (cpus + 1) * SHEAF_NODES
