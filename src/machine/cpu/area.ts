/**
 * Words of the whole machine, and the area of each CPU. Words that several CPUs write sit on cache lines of their own.
 *
 * A CPU keeps its state in the image and not in JS objects: that makes it visible to reports and oracles from any
 * thread, and restored with the image between controlled runs.
 */
import { joined, struct, type Struct } from '../image/struct.js'
import { atomic, hardware, laboratory, lockWord, ownCpu } from '../image/guard.js'
import type { Layout } from '../image/layout.js'
import { phys, type PhysAddr } from '../../base/units.js'

export const CONTROL = struct('control', 384, {
  stop: [0, 4, laboratory], //      1: finish the operation at hand, then the program
  panic: [4, 4, laboratory], //     CPU + 1 that found a violation; everybody halts
  phase: [64, 4, laboratory], //    free-running: 0 waiting for all threads, 1 running, 2 all programs done
  arrived: [128, 4, laboratory], // free-running: threads that booted
  finished: [192, 4, laboratory], // free-running: programs that ended
  clock: [256, 4, laboratory], //   the observers' clock: ticks at events that oracles order
  sleepers: [320, 4, laboratory], // CPUs asleep in waitUntil()
})

/**
 * What hardware and its engines keep for each CPU. Rooms above put words of their own into those that are free here:
 * sync/cpuState.ts, arch/cpuState.ts, and each architecture that has some.
 */
export const CPU_AREA = struct('cpu', 256, {
  irqDepth: [0, 4, ownCpu], //     local_irq_save nesting; 0: interrupts are taken
  inIrq: [4, 4, ownCpu], //        depth of interrupt handlers
  preemptCount: [8, 4, ownCpu], // spinlocks held and preempt_disable nesting
  opIndex: [20, 4, laboratory], //     index in its program of the operation at hand
  opKind: [24, 4, laboratory], //      what the operation at hand is
  opsDone: [28, 4, laboratory], //     operations finished, wrapping: the sign of progress that the watchdog reads
  prng: [32, 4, laboratory], //        state of this CPU's choices in free runs
  scratch: [36, 4, laboratory, 'pad'],
  ringNext: [40, 4, laboratory], //    next slot of the event ring
  runs: [48, 4, laboratory], //        free-running: times that the program came to its end, wrapping
  ended: [52, 4, laboratory], //       free-running: 1 when only the other CPUs' ends are waited for
  callQueue: [64, 4, atomic], //   head of the call-single queue: address of a csd, or 0. Writers: every CPU
  doorbell: [128, 4, hardware], //   bumped to wake this CPU. Writers: every CPU
  waitingOn: [132, 4, hardware], //  address of the word waited for, 0 when awake. Writer: this CPU
  tlbBusy: [192, 4, hardware], //    1 while a user access goes through the TLB (broadcast flush waits for it)
})

/**
 * Where one CPU stands in the queues of locks (sync/spinlock.ts, sync/rwsem.ts). A spinlock's queue uses one node a
 * level of interrupt nesting; a CPU sleeps in one lock at a time. Other CPUs link themselves behind a node and hand
 * over to it.
 */
export const LOCK_NODES = struct('lockNodes', 128, {
  next0: [0, 4, lockWord], //    next waiter behind this node; writer: that waiter
  locked0: [4, 4, lockWord], //  1: this node is at the head of its queue; writer: the one before it
  depth: [8, 4, lockWord], //    nodes of this CPU in use
  next1: [16, 4, lockWord],
  locked1: [20, 4, lockWord],
  next2: [32, 4, lockWord],
  locked2: [36, 4, lockWord],
  next3: [48, 4, lockWord],
  locked3: [52, 4, lockWord],
  sleepNext: [64, 4, lockWord], //    next sleeper of the same lock
  sleepWrites: [68, 4, lockWord], //  1: waits to write
  sleepGranted: [72, 4, lockWord], // 1: the lock is this CPU's
  sleepOn: [76, 4, lockWord], //      the lock that this CPU sleeps for; for reports
})

export interface CpuRegions {
  readonly control: PhysAddr
  readonly cpus: PhysAddr
  readonly lockNodes: PhysAddr
}

/** `states`: fields that other rooms have in the area of a CPU. */
export function placeCpuRegions(layout: Layout, cpuCount: number, states: readonly Struct[] = []): CpuRegions {
  return {
    control: layout.add('control', CONTROL, 1),
    cpus: layout.add('cpu', joined(CPU_AREA, states), cpuCount),
    lockNodes: layout.add('lockNodes', LOCK_NODES, cpuCount),
  }
}

/** Address of the CPU_AREA of `cpu`. */
export const cpuAreaAt = (regions: CpuRegions, cpu: number): PhysAddr => phys(regions.cpus + cpu * CPU_AREA.size)
