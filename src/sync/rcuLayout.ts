/**
 * RCU's words in the image, and the sequence numbers of grace periods.
 *
 * Source: rcu_state, rcu_data and the rcu_seq functions of kernel/rcu (v6.12), in a flat model: one mask of CPUs
 * instead of the tree of nodes, which exists for machines of more than 64 CPUs.
 */
import { assert } from '../base/assert.js'
import type { PhysAddr } from '../base/units.js'
import type { Layout } from '../machine/image/layout.js'
import { struct } from '../machine/image/struct.js'

/** Of the whole machine. Guarded by `lock`, except that gpSeq and the mask are also read without it. */
export const RCU = struct('rcu', 256, {
  lock: [0, 8],
  needed: [8, 4], //    the grace period that somebody waits for and that is furthest away
  starter: [12, 4], //  CPU that started the current one
  starterAsked: [16, 4], // 1: the starter was interrupted for its quiescent state
  gpSeq: [64, 4], //    number * 4 + RUNNING
  qsLow: [72, 4], //    CPUs 0-31 whose quiescent state the current grace period awaits
  qsHigh: [76, 4], //   CPUs 32-63
  barrierBusy: [128, 4], //  1: a CPU is inside rcuBarrier()
  barrierCount: [136, 4], // callbacks of the barrier that have not run
  //  expedited grace periods:
  expLock: [144, 8], // spinlock
  expSeqRequested: [152, 4], // the furthest that somebody has said he will see to (expLock)
  expSeq: [160, 4], //  as gpSeq (expMutex)
  expMutex: [164, 4], // 1: a CPU has one made
  expWakeMutex: [168, 4], // 1: waiters are being woken
  expLow: [172, 4], //  CPUs 0-31 whose quiescent state it awaits (atomic)
  expHigh: [176, 4], // CPUs 32-63
  expQueues: [192, 32], // four wait queues
})

/** Of one CPU. The first line is read by others; the second is the CPU's own, and accessed with its IRQs off. */
export const RCU_CPU = struct('rcuCpu', 192, {
  watching: [0, 4], //  odd: RCU waits for this CPU; even: it is idle or asleep (the kernel's dynticks). Writer: itself
  section: [4, 4], //   odd inside an outermost rcu_read_lock(), one more at each end. Writer: itself
  sectionAtStart: [8, 4], // its section when the grace period began, 0: none. Guarded by RCU.lock
  wakeAt: [12, 4], //   number that the oldest waiting callback waits for. Writer: itself
  callbacks: [16, 4], // queued and not yet done. Writer: itself
  doneFirst: [64, 4],
  doneLast: [68, 4],
  waitFirst: [72, 4],
  waitLast: [76, 4],
  waitSeq: [80, 4],
  nextReadyFirst: [84, 4],
  nextReadyLast: [88, 4],
  nextReadySeq: [92, 4],
  nextFirst: [96, 4],
  nextLast: [100, 4],
  inCore: [104, 4], //   1: reports and callbacks are being worked on
  askLow: [108, 4], //   CPUs that this one is to interrupt for a quiescent state
  askHigh: [112, 4],
  askLooks: [116, 4], // looks at them so far
  wakeLow: [120, 4], //  sleepers that this one is to interrupt, to run their callbacks
  wakeHigh: [124, 4],
  barrierHead: [128, 8], // rcu_head of a barrier's callback
  scratchMask: [136, 8],
  expDeferred: [144, 4], // 1: an expedited grace period waits for the end of this CPU's operation
  expToWake: [148, 4], //  1: those who waited for expWakeSeq are still to be woken
  expWakeSeq: [152, 4],
  expSectionAtStart: [156, 4], // as sectionAtStart (expMutex)
})

/** Places RCU's words; the address is what Rcu is constructed with. They start as zero: idle, nothing queued. */
export function placeRcu(layout: Layout, cpuCount: number): PhysAddr {
  const base = layout.add('rcu', RCU, 1)
  const cpus = layout.add('rcuCpu', RCU_CPU, cpuCount)
  assert(cpus === base + RCU.size, 'the CPUs of RCU follow its common words')
  return base
}

// ---- sequence numbers ---------------------------------------------------------------------------------------------

/** Low bits of gpSeq hold the state: 0 idle, RUNNING. */
export const RUNNING = 1
const STATE_MASK = 3

/** rcu_gp_in_progress(). */
export const rcuGpInProgress = (seq: number): boolean => (seq & STATE_MASK) !== 0

/** rcu_seq_endval(): value of gpSeq when the grace period that runs in `seq` has ended. */
export const rcuSeqEndval = (seq: number): number => ((seq | STATE_MASK) + 1) | 0

/**
 * rcu_seq_snap(): value of gpSeq when a whole grace period has passed since `seq` was read. The end of the next one
 * when none runs, of the one after when one does, since that may have taken quiescent states from before.
 */
export const rcuSeqSnap = (seq: number): number => (seq + 2 * STATE_MASK + 1) & ~STATE_MASK

/** rcu_seq_done(): true when `seq` has come to `target`; both wrap. */
export const rcuSeqDone = (seq: number, target: number): boolean => ((seq - target) | 0) >= 0

// ---- rcu_head -----------------------------------------------------------------------------------------------------
//
//   head + 0   next   next callback of the list
//   head + 4   func   PENDING | number of the callback; 0 when the head is not queued
//
// PENDING is in the top bits, where addresses of an image below 3.9 GiB have none: a head that something else was
// written over while it was pending is noticed before it is obeyed.

export const RCU_HEAD_BYTES = 8
export const HEAD_FUNC = 4

const PENDING = 0xfca1_1000 | 0
const PENDING_MASK = 0xffff_f000 | 0
/** Callbacks that can be registered. */
export const CALLBACKS_MAX = 0x1000

export const pendingFunc = (func: number): number => PENDING | func
export const isPending = (word: number): boolean => (word & PENDING_MASK) === PENDING
export const funcOf = (word: number): number => word & ~PENDING_MASK
