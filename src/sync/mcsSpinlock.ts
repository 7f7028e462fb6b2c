/**
 * MCS lock: a queue of waiters, each asleep on a word of its own.
 *
 * Source: kernel/locking/mcs_spinlock.h (v6.12), after Mellor-Crummey and Scott, "Algorithms for Scalable
 * Synchronization on Shared-Memory Multiprocessors", TOCS 1991. The kernel builds its queued spinlock from it
 * (spinlock.ts has that one); here it stands alone, for exhaustive exploration. Addresses of nodes stand for the
 * kernel's pointers.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isNonZero, type Step } from '../machine/engine/engine.js'

/** Words of a node: `next` at + 0, `locked` at + 4. The node is the caller's until mcsSpinUnlock() returns. */
const LOCKED = 4

/** mcs_spin_lock(): takes the lock, whose word holds the address of the last node, with the caller's own `node`. */
export function* mcsSpinLock(cpu: Cpu, lock: PhysAddr, node: PhysAddr): Step<void> {
  const locked = phys(node + LOCKED)
  yield* cpu.writeOnce32(node, 0)
  yield* cpu.writeOnce32(locked, 0)
  // Full barrier: the node's words before others can find it; otherwise their link or hand-over could be overwritten.
  // Pairs with the exchange of the next waiter in mcsSpinLock().
  const previous = yield* cpu.xchg32(lock, node)
  if (previous === 0) return
  yield* cpu.writeOnce32(phys(previous), node)
  cpu.wakeWaiters(phys(previous))
  // ACQUIRE: the sections before ours. Pairs with the RELEASE in mcsSpinUnlock().
  yield* cpu.waitUntil(locked, isNonZero, 0)
}

/** mcs_spin_unlock(). */
export function* mcsSpinUnlock(cpu: Cpu, lock: PhysAddr, node: PhysAddr): Step<void> {
  let next = yield* cpu.readOnce32(node)
  if (next === 0) {
    // RELEASE. Nobody behind us: the lock is free. Fails when somebody has queued up and is about to link.
    if ((yield* cpu.cmpxchg32(lock, node, 0)) === node) return
    next = yield* cpu.waitUntil(node, isNonZero, 0)
  }
  // RELEASE: our section before the next one. Pairs with the ACQUIRE in mcsSpinLock().
  yield* cpu.storeRelease32(phys(next + LOCKED), 1)
  cpu.wakeWaiters(phys(next + LOCKED))
}
