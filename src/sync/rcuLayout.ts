/**
 * RCU's words in the image, and the sequence numbers of grace periods.
 *
 * Source: rcu_state, rcu_data and the rcu_seq functions of kernel/rcu (v6.12), in a flat model: one mask of CPUs
 * instead of the tree of nodes, which exists for machines of more than 64 CPUs.
 */
import { assert } from '../base/assert.js'
import type { PhysAddr } from '../base/units.js'
import type { Layout } from '../machine/image/layout.js'
import {
  atomic,
  guard,
  lockedBy,
  lockWord,
  never,
  ownCpu,
  ownLock,
  privateBut,
  wordAt,
  type Guard,
  type Holder,
} from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

/**
 * Purposes of RCU's interrupts. `qs`: a quiescent state, or a sleeper's callbacks, for which the way out of the
 * interrupt looks. `entrain`: the callback of a barrier.
 */
export const RcuAsk = { qs: 0, entrain: 1 } as const

const gpLocked: Guard = ownLock('the lock of grace periods', 0)
const expLocked: Guard = lockedBy('the mutex of expedited grace periods', (rcu) => rcu + RCU.at.expMutex)
/** CPUs clear their bits once they are interrupted; before, the mask is the starter's. */
const expAwaited: Guard = guard(
  'written with accessors; read under the mutex of expedited grace periods, before the CPUs are asked',
  expLocked.mayRead,
  never,
  expLocked.lockOf,
)
const cpuGpLocked: Guard = lockedBy('the lock of grace periods', (_cpu, places) => places.base('rcu'))
const cpuExpLocked: Guard = lockedBy(
  'the mutex of expedited grace periods',
  (_cpu, places) => places.base('rcu') + RCU.at.expMutex,
)

/**
 * Who ends a grace period looks for CPUs to wake, in the step in which it has found them idle. In threads such a CPU
 * may be back at once, and its words change while they are read: it sees to its callbacks itself then, and whether it
 * is interrupted as well matters nothing.
 */
const idleCpu: Guard = privateBut(
  'private to its CPU; while that is idle, read under the lock of grace periods',
  (holder, cpu) => holder.holds(holder.places.base('rcu')) && isIdle(holder, cpu),
)

const isIdle = (holder: Holder, cpu: number): boolean =>
  holder.concurrent || (wordAt(cpu + RCU_CPU.at.watching) & 1) === 0

/** Of the whole machine. Guarded by `lock`, except that gpSeq and the mask are also read without it. */
export const RCU = struct('rcu', 256, {
  lock: [0, 8, lockWord],
  needed: [8, 4, gpLocked], //    the grace period that somebody waits for and that is furthest away
  starter: [12, 4, gpLocked], //  CPU that started the current one
  starterAsked: [16, 4, gpLocked], // 1: the starter was interrupted for its quiescent state
  gpSeq: [64, 4, gpLocked], //    number * 4 + RUNNING
  qsLow: [72, 4, gpLocked], //    CPUs 0-31 whose quiescent state the current grace period awaits
  qsHigh: [76, 4, gpLocked], //   CPUs 32-63
  barrierBusy: [128, 4, atomic], //  1: a CPU is inside rcuBarrier()
  barrierCount: [136, 4, atomic], // callbacks of the barrier that have not run
  //  expedited grace periods:
  expLock: [144, 8, lockWord], // spinlock
  // the furthest grace period that a CPU has said it will see to (expLock)
  expSeqRequested: [152, 4, ownLock('the lock of requests for expedited grace periods', 144)],
  expSeq: [160, 4, expLocked], //  as gpSeq (expMutex)
  expMutex: [164, 4, lockWord], // 1: a CPU has one made
  expWakeMutex: [168, 4, lockWord], // 1: waiters are being woken
  expLow: [172, 4, expAwaited], //  CPUs 0-31 whose quiescent state it awaits (atomic)
  expHigh: [176, 4, expAwaited], // CPUs 32-63
  expQueues: [192, 32, lockWord], // four wait queues
})

/** Of one CPU. The first line is read by others; the second is the CPU's own, and accessed with its IRQs off. */
export const RCU_CPU = struct('rcuCpu', 192, {
  // odd: RCU waits for this CPU; even: it is idle or asleep (the kernel's dynticks). Writer: itself
  watching: [0, 4, ownCpu],
  section: [4, 4, ownCpu], //   odd inside an outermost rcu_read_lock(), one more at each end. Writer: itself
  sectionAtStart: [8, 4, cpuGpLocked], // its section when the grace period began, 0: none. Guarded by RCU.lock
  wakeAt: [12, 4, idleCpu], //   number that the oldest waiting callback waits for. Writer: itself
  callbacks: [16, 4, idleCpu], // queued and not yet done. Writer: itself
  doneFirst: [64, 4, ownCpu],
  doneLast: [68, 4, ownCpu],
  waitFirst: [72, 4, ownCpu],
  waitLast: [76, 4, ownCpu],
  waitSeq: [80, 4, ownCpu],
  nextReadyFirst: [84, 4, ownCpu],
  nextReadyLast: [88, 4, ownCpu],
  nextReadySeq: [92, 4, ownCpu],
  nextFirst: [96, 4, ownCpu],
  nextLast: [100, 4, ownCpu],
  inCore: [104, 4, ownCpu], //   1: reports and callbacks are being worked on
  askLow: [108, 4, ownCpu], //   CPUs that this one is to interrupt for a quiescent state
  askHigh: [112, 4, ownCpu],
  askLooks: [116, 4, ownCpu], // looks at them so far
  wakeLow: [120, 4, ownCpu], //  sleepers that this one is to interrupt, to run their callbacks
  wakeHigh: [124, 4, ownCpu],
  barrierHead: [128, 8, ownCpu], // rcu_head of a barrier's callback
  scratchMask: [136, 8, ownCpu],
  expDeferred: [144, 4, ownCpu], // 1: an expedited grace period waits for the end of this CPU's operation
  expToWake: [148, 4, ownCpu], //  1: those who waited for expWakeSeq are still to be woken
  expWakeSeq: [152, 4, ownCpu],
  expSectionAtStart: [156, 4, cpuExpLocked], // as sectionAtStart (expMutex)
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

export const HEAD_FUNC = 4

const PENDING = 0xfca1_1000 | 0
const PENDING_MASK = 0xffff_f000 | 0
/** Callbacks that can be registered. */
export const CALLBACKS_MAX = 0x1000

export const pendingFunc = (func: number): number => PENDING | func
export const isPending = (word: number): boolean => (word & PENDING_MASK) === PENDING
export const funcOf = (word: number): number => word & ~PENDING_MASK
