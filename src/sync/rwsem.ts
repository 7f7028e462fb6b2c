/**
 * Reader-writer semaphore, the class of mmap_lock: many readers or one writer, who may sleep while they wait and while
 * they hold it. First come first served once somebody waits, so that writers do not starve.
 *
 * Source: kernel/locking/rwsem.c (v6.12): the count word and the wait list under a lock of its own.
 *
 * Left out: optimistic spinning, lock stealing and the hand-off timeout that limits it, and waking readers from behind
 * a writer. They change who gets the lock first. Every order of critical sections that they allow also comes about
 * here, when the loser arrives later; so they hide no race. Here the lock is handed over, never just released with
 * waiters.
 *
 * A sleeper passes an RCU quiescent state and takes interrupts (Rcu.sleepUntil).
 */
import { phys, type PhysAddr } from '../base/units.js'
import { LOCK_NODES } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isNonZero, type Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { mightSleep } from './mightSleep.js'
import type { Rcu } from './rcu.js'
import { queuedSpinLock, queuedSpinUnlock } from './spinlock.js'

// ---- the words ----------------------------------------------------------------------------------------------------
//
//   sem + 0    bit  0    writer    a writer holds it
//              bit  1    waiters   the wait list is not empty; changed under the wait lock only
//              bits 8-   readers   that hold it, or are about to find out that they do not
//   sem + 4    writer that holds it, CPU + 1; 0: none
//   sem + 8    first sleeper's LOCK_NODES, 0: none. Guarded by the wait lock, like the nodes' links
//   sem + 12   wait lock (queuedSpinLock), IRQs off
//
// Written (readers, waiters, writer) below. While waiters is set, writer is set under the wait lock only.

const OWNER = 4
/** Where the first sleeper's nodes are, for reports. */
export const RWSEM_FIRST = 8
const WAIT_LOCK = 12

const WRITER = 1
const WAITERS = 2
const READER = 1 << 8

// ---- lock ---------------------------------------------------------------------------------------------------------

/** down_read(). */
export function* downRead(cpu: Cpu, rcu: Rcu, sem: PhysAddr): Step<void> {
  mightSleep(cpu, 'down_read')
  cpu.locks.lockAcquires(cpu, sem)
  // (n,0,0) → (n+1,0,0). ACQUIRE: pairs with the RELEASE in upWrite().
  const count = yield* cpu.atomicAddReturn32(sem, READER)
  if ((count & (WRITER | WAITERS)) !== 0) yield* rwsemDownSlowpath(cpu, rcu, sem, false)
  cpu.locks.lockAcquired(cpu, sem, true)
}

/** down_write(). */
export function* downWrite(cpu: Cpu, rcu: Rcu, sem: PhysAddr): Step<void> {
  mightSleep(cpu, 'down_write')
  cpu.locks.lockAcquires(cpu, sem)
  // (0,0,0) → (0,0,1). ACQUIRE: pairs with the RELEASE in upRead() and upWrite().
  if ((yield* cpu.cmpxchg32(sem, 0, WRITER)) !== 0) yield* rwsemDownSlowpath(cpu, rcu, sem, true)
  poke32(sem + OWNER, cpu.id + 1)
  cpu.locks.lockAcquired(cpu, sem, false)
}

/** down_read_trylock(): takes it to read if no writer holds it and nobody waits. Never sleeps. */
export function* downReadTrylock(cpu: Cpu, sem: PhysAddr): Step<boolean> {
  for (let seen = yield* cpu.readOnce32(sem); (seen & (WRITER | WAITERS)) === 0;) {
    // (n,0,0) → (n+1,0,0)
    const before = yield* cpu.cmpxchg32(sem, seen, (seen + READER) | 0)
    if (before === seen) {
      cpu.locks.lockTried(cpu, sem, true)
      return true
    }
    seen = before
  }
  return false
}

/** down_write_trylock(): takes it to write if nobody holds it or waits. Never sleeps. */
export function* downWriteTrylock(cpu: Cpu, sem: PhysAddr): Step<boolean> {
  // (0,0,0) → (0,0,1)
  if ((yield* cpu.cmpxchg32(sem, 0, WRITER)) !== 0) return false
  poke32(sem + OWNER, cpu.id + 1)
  cpu.locks.lockTried(cpu, sem, false)
  return true
}

/**
 * Both rwsem_down_read_slowpath() and rwsem_down_write_slowpath(): queues up and sleeps until the lock was handed over.
 */
function* rwsemDownSlowpath(cpu: Cpu, rcu: Rcu, sem: PhysAddr, writes: boolean): Step<void> {
  if (rwsemOwner(sem) === cpu.id) reportMisuse(cpu, sem, 'waits for an rwsem that it holds to write')
  const node = nodeOf(cpu, cpu.id)
  const granted = phys(node + LOCK_NODES.at.sleepGranted)
  poke32(node + LOCK_NODES.at.sleepNext, 0)
  poke32(node + LOCK_NODES.at.sleepWrites, writes ? 1 : 0)
  poke32(node + LOCK_NODES.at.sleepOn, sem)
  poke32(granted, 0)
  yield* lockWaiters(cpu, sem)
  const first = peek32(sem + RWSEM_FIRST) === 0
  rwsemAddWaiter(sem, node)
  // (n,x,y) → (n,1,y), or (n,1,y) → (n-1,1,y) for a reader, whose attempt counted.
  yield* cpu.atomicAdd32(sem, (first ? WAITERS : 0) - (writes ? 0 : READER))
  // It may have become free since, or our own attempt may have kept it from a waiter.
  yield* rwsemMarkWake(cpu, sem)
  yield* unlockWaiters(cpu, sem)
  // ACQUIRE: the sections of those who held it. Pairs with the RELEASE in grant().
  yield* rcu.sleepUntil(granted, isNonZero, 0)
}

// ---- unlock -------------------------------------------------------------------------------------------------------

/** up_read(). */
export function* upRead(cpu: Cpu, sem: PhysAddr): Step<void> {
  if (!isReadLocked(sem)) reportMisuse(cpu, sem, 'ends a read of an rwsem that nobody reads')
  cpu.locks.lockReleased(cpu, sem)
  // (n,x,0) → (n-1,x,0). RELEASE: the section's accesses before it. Pairs with downWrite().
  const count = yield* cpu.atomicAddReturn32(sem, -READER)
  if (count === WAITERS) yield* rwsemWake(cpu, sem)
}

/** up_write(). */
export function* upWrite(cpu: Cpu, sem: PhysAddr): Step<void> {
  if (rwsemOwner(sem) !== cpu.id) reportMisuse(cpu, sem, 'ends a write of an rwsem that it does not hold to write')
  cpu.locks.lockReleased(cpu, sem)
  poke32(sem + OWNER, 0)
  // (n,x,1) → (n,x,0). RELEASE: the section's accesses before it. Pairs with downRead() and downWrite().
  const count = yield* cpu.atomicAddReturn32(sem, -WRITER)
  if ((count & WAITERS) !== 0) yield* rwsemWake(cpu, sem)
}

/** downgrade_write(): the writer becomes a reader; no other writer comes in between. */
export function* downgradeWrite(cpu: Cpu, sem: PhysAddr): Step<void> {
  if (rwsemOwner(sem) !== cpu.id) reportMisuse(cpu, sem, 'downgrades an rwsem that it does not hold to write')
  cpu.locks.lockDowngraded(cpu, sem)
  poke32(sem + OWNER, 0)
  // (n,x,1) → (n+1,x,0). RELEASE: the writes before other readers come in. Pairs with downRead().
  const count = yield* cpu.atomicAddReturn32(sem, READER - WRITER)
  if ((count & WAITERS) !== 0) yield* rwsemWake(cpu, sem)
}

/** rwsem_wake(). */
function* rwsemWake(cpu: Cpu, sem: PhysAddr): Step<void> {
  yield* lockWaiters(cpu, sem)
  yield* rwsemMarkWake(cpu, sem)
  yield* unlockWaiters(cpu, sem)
}

// ---- the wait list ------------------------------------------------------------------------------------------------

/**
 * rwsem_mark_wake(): gives the lock to the first sleeper if it is free for that one: a writer alone, or all readers up
 * to the next writer. When it is not, whoever makes it so comes here again: the last reader, the writer, or a reader
 * whose attempt counted. Caller: holds the wait lock.
 */
function* rwsemMarkWake(cpu: Cpu, sem: PhysAddr): Step<void> {
  const first = peek32(sem + RWSEM_FIRST)
  if (first === 0) return
  if (writes(first)) {
    const rest = nextOf(first)
    // (0,1,0) → (0,x,1)
    const count = yield* cpu.cmpxchg32(sem, WAITERS, WRITER | (rest !== 0 ? WAITERS : 0))
    if (count === WAITERS) yield* grant(cpu, sem, first, rest)
    return
  }
  if (((yield* cpu.readOnce32(sem)) & WRITER) !== 0) return
  let readers = 0
  let end = first
  for (; end !== 0 && !writes(end); end = nextOf(end)) readers++
  // (n,1,0) → (n+readers,x,0). No writer can have come in: waiters is set and the wait lock is ours.
  yield* cpu.atomicAdd32(sem, readers * READER - (end === 0 ? WAITERS : 0))
  yield* grant(cpu, sem, first, end)
}

/** Part of rwsem_mark_wake(): takes the sleepers from `first` up to `end` off the list and lets them go. */
function* grant(cpu: Cpu, sem: PhysAddr, first: number, end: number): Step<void> {
  poke32(sem + RWSEM_FIRST, end)
  for (let node = first; node !== end;) {
    const next = nextOf(node)
    const granted = phys(node + LOCK_NODES.at.sleepGranted)
    // RELEASE: pairs with the ACQUIRE in rwsemDownSlowpath(). The node is its owner's again after it.
    yield* cpu.storeRelease32(granted, 1)
    cpu.wakeWaiters(granted)
    node = next
  }
}

/** Part of rwsem_wake(): takes the wait lock, with IRQs off. */
function* lockWaiters(cpu: Cpu, sem: PhysAddr): Step<void> {
  cpu.localIrqSave()
  cpu.preemptDisable()
  yield* queuedSpinLock(cpu, phys(sem + WAIT_LOCK))
}

/** Part of rwsem_wake(): gives the wait lock back. */
function* unlockWaiters(cpu: Cpu, sem: PhysAddr): Step<void> {
  yield* queuedSpinUnlock(cpu, phys(sem + WAIT_LOCK))
  cpu.preemptEnable()
  yield* cpu.localIrqRestore()
}

/** rwsem_add_waiter(). */
function rwsemAddWaiter(sem: PhysAddr, node: number): void {
  let link = sem + RWSEM_FIRST
  while (peek32(link) !== 0) link = peek32(link) + LOCK_NODES.at.sleepNext
  poke32(link, node)
}

const nodeOf = (cpu: Cpu, of: number): number => cpu.lockNodes + of * LOCK_NODES.size
const nextOf = (node: number): number => peek32(node + LOCK_NODES.at.sleepNext)
const writes = (node: number): boolean => peek32(node + LOCK_NODES.at.sleepWrites) !== 0

// ---- assertions ---------------------------------------------------------------------------------------------------

/** CPU that holds it to write, -1 when none does. */
export function rwsemOwner(sem: PhysAddr): number {
  return peek32(sem + OWNER) - 1
}

export function isWriteLocked(sem: PhysAddr): boolean {
  return (load32(sem) & WRITER) !== 0
}

/** May be true for a moment while a reader finds out that it has to wait. */
export function isReadLocked(sem: PhysAddr): boolean {
  return load32(sem) >= READER
}

/** rwsem_assert_held(): with oracles on, a finding unless this CPU holds it, to read or to write. */
export function rwsemAssertHeld(cpu: Cpu, sem: PhysAddr): void {
  cpu.locks.lockAsserted(cpu, sem, true)
}

/** rwsem_assert_held_write(): with oracles on, a finding unless this CPU holds it to write. */
export function rwsemAssertHeldWrite(cpu: Cpu, sem: PhysAddr): void {
  cpu.locks.lockAsserted(cpu, sem, false)
}

function reportMisuse(cpu: Cpu, sem: PhysAddr, what: string): never {
  const owner = rwsemOwner(sem)
  const holder = owner >= 0 ? `CPU ${owner} holds it to write.` : isReadLocked(sem) ? 'It is read.' : 'Nobody holds it.'
  return cpu.report('lock-misuse', `BUG: CPU ${cpu.id} ${what}`, sem, [holder])
}
