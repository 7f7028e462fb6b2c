/**
 * Wait queues: CPUs that sleep until somebody wakes the queue that they are on. Unlike waitUntil() on a word, whoever
 * wakes has to know which queue that is.
 *
 * Source: kernel/sched/wait.c prepare_to_wait_event(), finish_wait(), __wake_up() (v6.12). A CPU has one task here, and
 * that waits on one queue at a time. Left out: exclusive waiters, and the queue's lock (its mask changes in one
 * access).
 */
import { SYNC_CPU_STATE } from './cpuState.js'
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step } from '../machine/engine/engine.js'

// ---- the words ----------------------------------------------------------------------------------------------------
//
//   queue + 0                  64 bits: CPUs that are on the queue
//   SYNC_CPU_STATE.woken       1: somebody has taken the CPU off its queue and woken it

export const WAIT_QUEUE_BYTES = 8

/** Where a CPU that is on a queue sleeps: until this word is not 0. */
export const wokenAt = (cpu: Cpu, of: number): PhysAddr => phys(cpu.areaOf(of) + SYNC_CPU_STATE.at.woken)

// ---- wait ---------------------------------------------------------------------------------------------------------

/**
 * prepare_to_wait_event(): puts this CPU on the queue. The caller then looks at what it waits for, and sleeps unless
 * that holds.
 */
export function* prepareToWaitEvent(cpu: Cpu, queue: PhysAddr): Step<void> {
  yield* cpu.writeOnce32(wokenAt(cpu, cpu.id), 0)
  // Full barrier: on the queue before the look at what is waited for. Otherwise the waker could find the queue empty,
  // and the waiter not see what the waker has done. Pairs with the one in wakeUpAll().
  yield* cpu.atomicFetchOr64(queue, 1n << BigInt(cpu.id))
}

/** finish_wait(): leaves the queue. */
export function* finishWait(cpu: Cpu, queue: PhysAddr): Step<void> {
  yield* cpu.atomicFetchAnd64(queue, ~(1n << BigInt(cpu.id)))
}

// ---- wake ---------------------------------------------------------------------------------------------------------

/** wake_up_all(): every CPU that is on the queue looks again at what it waits for. */
export function* wakeUpAll(cpu: Cpu, queue: PhysAddr): Step<void> {
  // Full barrier: what is waited for, before the look at who waits. Pairs with the one in prepareToWaitEvent().
  const waiters = yield* cpu.xchg64(queue, 0n)
  for (let other = 0; other < cpu.cpuCount; other++) {
    if (((waiters >> BigInt(other)) & 1n) === 0n) continue
    const woken = wokenAt(cpu, other)
    yield* cpu.storeRelease32(woken, 1)
    cpu.wakeWaiters(woken)
  }
}
