/**
 * Queued spinlock: one word, first come first served, each waiter on a word of its own.
 *
 * Source: kernel/locking/qspinlock.c (v6.12), after Mellor-Crummey and Scott's queue lock. The first waiter claims the
 * pending bit and waits on the lock word; later ones queue up with a node each (LOCK_NODES in machine/cpu/area.ts) and
 * wait there until the one before them hands over.
 *
 * Left out: the bounded look at a pending waiter about to take over (saves cache misses), paravirtual waiting, and the
 * fallback for more nesting than there are nodes. None of them lets two CPUs in or changes what the lock orders. The
 * kernel clears and sets bytes and halves of the word with plain stores; the image has whole words, so these are
 * atomics here, which is stronger than needed and costs nothing on the host.
 */
import { assert } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import { LOCK_NODES } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isNonZero, type Step, type WaitCondition } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'

// ---- the words ----------------------------------------------------------------------------------------------------
//
//   lock + 0   bits 0-7   locked    1: somebody holds it
//              bit  8     pending   a waiter without a node waits for the holder to leave
//              bits 16-17 level     of the last node in the queue
//              bits 18-   CPU + 1   of the last node in the queue; 0: no queue
//   lock + 4   holder, CPU + 1; for assertions and reports, never for locking
//
// Written (tail, pending, locked) below; x is any value, n some tail that is not 0.

const OWNER = 4

const LOCKED = 1
const LOCKED_MASK = 0xff
const PENDING = 1 << 8
const TAIL_MASK = ~0xffff
const LEVEL_SHIFT = 16
const CPU_SHIFT = 18

const NODE_BYTES = 16
const NODES = 4
const NEXT = LOCK_NODES.at.next0
const NODE_LOCKED = LOCK_NODES.at.locked0

const isUnlocked: WaitCondition = (seen) => (seen & LOCKED_MASK) === 0
const isUnclaimed: WaitCondition = (seen) => (seen & (LOCKED_MASK | PENDING)) === 0

// ---- lock ---------------------------------------------------------------------------------------------------------

/** spin_lock(): takes the lock, preemption off. ACQUIRE: nothing of the critical section comes before it. */
export function* spinLock(cpu: Cpu, lock: PhysAddr): Step<void> {
  cpu.locks.lockAcquires(cpu, lock)
  cpu.preemptDisable()
  // (0,0,0) → (0,0,1). Full barrier; the protocol needs the ACQUIRE. Pairs with the RELEASE in queuedSpinUnlock().
  if ((yield* cpu.cmpxchg32(lock, 0, LOCKED)) !== 0) {
    if (spinOwner(lock) === cpu.id) reportRecursion(cpu, lock)
    yield* queuedSpinLockSlowpath(cpu, lock)
  }
  poke32(lock + OWNER, cpu.id + 1)
  cpu.locks.lockAcquired(cpu, lock, false)
}

/** spin_trylock(): takes the lock if nobody holds it or waits for it. */
export function* spinTrylock(cpu: Cpu, lock: PhysAddr): Step<boolean> {
  cpu.preemptDisable()
  if (yield* queuedSpinTrylock(cpu, lock)) {
    poke32(lock + OWNER, cpu.id + 1)
    cpu.locks.lockTried(cpu, lock, false)
    return true
  }
  cpu.preemptEnable()
  return false
}

/** spin_lock_irqsave(). */
export function* spinLockIrqsave(cpu: Cpu, lock: PhysAddr): Step<void> {
  cpu.localIrqSave()
  yield* spinLock(cpu, lock)
}

/**
 * queued_spin_lock(), the lock word alone: no owner, and the caller has preemption off. For locks inside other
 * primitives.
 */
export function* queuedSpinLock(cpu: Cpu, word: PhysAddr): Step<void> {
  if ((yield* cpu.cmpxchg32(word, 0, LOCKED)) !== 0) yield* queuedSpinLockSlowpath(cpu, word)
}

/** queued_spin_trylock(). */
export function* queuedSpinTrylock(cpu: Cpu, word: PhysAddr): Step<boolean> {
  if ((yield* cpu.readOnce32(word)) !== 0) return false
  return (yield* cpu.cmpxchg32(word, 0, LOCKED)) === 0
}

/** queued_spin_lock_slowpath(). */
function* queuedSpinLockSlowpath(cpu: Cpu, word: PhysAddr): Step<void> {
  if (((yield* cpu.readOnce32(word)) & ~LOCKED_MASK) === 0) {
    // (0,0,x) → (0,1,x): ours to wait for. (n,x,x) or (0,1,x): others came first, see below.
    const before = yield* cpu.atomicFetchOr32(word, PENDING)
    if ((before & ~LOCKED_MASK) === 0) {
      if ((before & LOCKED_MASK) !== 0) yield* cpu.waitUntil(word, isUnlocked, 0)
      // (x,1,0) → (x,0,1). Nobody else sets locked while pending is set.
      yield* cpu.atomicAdd32(word, LOCKED - PENDING)
      return
    }
    if ((before & PENDING) === 0) {
      // (n,1,x) → (n,0,x): takes back our own mark, for which the head of the queue may be waiting.
      yield* cpu.atomicAnd32(word, ~PENDING)
      cpu.wakeWaiters(word)
    }
  }
  yield* queueUp(cpu, word)
}

/**
 * Part of queued_spin_lock_slowpath(): waits with a node. Nothing here needs IRQs off: an interrupt that locks uses the
 * next level's node.
 */
function* queueUp(cpu: Cpu, word: PhysAddr): Step<void> {
  const depthAt = nodesOf(cpu, cpu.id) + LOCK_NODES.at.depth
  const level = peek32(depthAt)
  assert(level < NODES, 'a CPU waits for at most four spinlocks at once, one a level of interrupt nesting')
  poke32(depthAt, level + 1)
  const node = nodesOf(cpu, cpu.id) + level * NODE_BYTES
  poke32(node + NEXT, 0)
  poke32(node + NODE_LOCKED, 0)
  const tail = ((cpu.id + 1) << CPU_SHIFT) | (level << LEVEL_SHIFT)
  const before = yield* xchgTail(cpu, word, tail)
  if ((before & TAIL_MASK) !== 0) yield* waitForTurn(cpu, node, decodeTail(cpu, before))
  yield* takeAsHead(cpu, word, node, tail)
  poke32(depthAt, level)
}

/**
 * xchg_tail(): (x,y,z) → (tail,y,z). Full barrier: the node's words are initialised before anybody can find the node.
 * Otherwise the next waiter's link, or the hand-over, could be overwritten. Pairs with xchgTail() of the next waiter.
 */
function* xchgTail(cpu: Cpu, word: PhysAddr, tail: number): Step<number> {
  for (let seen = yield* cpu.readOnce32(word); ;) {
    const before = yield* cpu.cmpxchg32(word, seen, (seen & ~TAIL_MASK) | tail)
    if (before === seen) return before
    seen = before
  }
}

/**
 * Part of queued_spin_lock_slowpath(): links the node behind the previous one, and waits until its owner hands over.
 */
function* waitForTurn(cpu: Cpu, node: number, previous: number): Step<void> {
  const link = phys(previous + NEXT)
  yield* cpu.writeOnce32(link, node)
  cpu.wakeWaiters(link)
  // ACQUIRE: the critical sections of those before us. Pairs with the RELEASE in takeAsHead() of the previous waiter.
  yield* cpu.waitUntil(phys(node + NODE_LOCKED), isNonZero, 0)
}

/**
 * Part of queued_spin_lock_slowpath(), head of the queue: waits for holder and pending waiter to leave, takes the lock,
 * makes the next waiter the head.
 */
function* takeAsHead(cpu: Cpu, word: PhysAddr, node: number, tail: number): Step<void> {
  // ACQUIRE. Pairs with the RELEASE in queuedSpinUnlock().
  const seen = yield* cpu.waitUntil(word, isUnclaimed, 0)
  // Last in the queue: (tail,0,0) → (0,0,1). Fails when somebody queued up meanwhile, or set pending and must queue up.
  if ((seen & TAIL_MASK) === tail && (yield* cpu.cmpxchg32(word, seen, LOCKED)) === seen) return
  // (n,x,0) → (n,x,1). While there is a tail, only the head of the queue sets locked.
  yield* cpu.atomicOr32(word, LOCKED)
  const next = phys((yield* cpu.waitUntil(phys(node + NEXT), isNonZero, 0)) + NODE_LOCKED)
  // RELEASE: pairs with the ACQUIRE in waitForTurn(). Our node is free again after it.
  yield* cpu.storeRelease32(next, 1)
  cpu.wakeWaiters(next)
}

// ---- unlock -------------------------------------------------------------------------------------------------------

/** spin_unlock(). */
export function* spinUnlock(cpu: Cpu, lock: PhysAddr): Step<void> {
  if (peek32(lock + OWNER) !== cpu.id + 1) reportNotHeld(cpu, lock)
  poke32(lock + OWNER, 0)
  cpu.locks.lockReleased(cpu, lock)
  yield* queuedSpinUnlock(cpu, lock)
  cpu.preemptEnable()
}

/** spin_unlock_irqrestore(). */
export function* spinUnlockIrqrestore(cpu: Cpu, lock: PhysAddr): Step<void> {
  yield* spinUnlock(cpu, lock)
  yield* cpu.localIrqRestore()
}

/** queued_spin_unlock(). */
export function* queuedSpinUnlock(cpu: Cpu, word: PhysAddr): Step<void> {
  // (x,y,1) → (x,y,0). RELEASE: the critical section before it; the protocol needs no more. Otherwise the next holder
  // could miss our stores, or we read its. Pairs with spinLock(),
  // queuedSpinLock(), queuedSpinTrylock() and takeAsHead().
  const before = yield* cpu.atomicFetchAnd32(word, ~LOCKED_MASK)
  if (before !== LOCKED) cpu.wakeWaiters(word)
}

// ---- assertions ---------------------------------------------------------------------------------------------------

/** CPU that holds the lock, -1 when nobody does. */
export function spinOwner(lock: PhysAddr): number {
  return peek32(lock + OWNER) - 1
}

export function isSpinLocked(lock: PhysAddr): boolean {
  return (peek32(lock) & LOCKED_MASK) !== 0
}

/** lockdep_assert_held(): with oracles on, a finding unless this CPU holds the lock. */
export function lockdepAssertHeld(cpu: Cpu, lock: PhysAddr): void {
  cpu.locks.lockAsserted(cpu, lock, false)
}

function reportNotHeld(cpu: Cpu, lock: PhysAddr): never {
  const owner = spinOwner(lock)
  return cpu.report('lock-misuse', `BUG: CPU ${cpu.id} unlocks a spinlock that it does not hold`, lock, [
    owner < 0 ? 'Nobody holds it.' : `CPU ${owner} holds it.`,
  ])
}

function reportRecursion(cpu: Cpu, lock: PhysAddr): never {
  return cpu.report('lock-misuse', `BUG: spinlock recursion on CPU ${cpu.id}`, lock, [
    'It waits for a lock that it holds itself, perhaps in an interrupt.',
  ])
}

// ---- nodes --------------------------------------------------------------------------------------------------------

function nodesOf(cpu: Cpu, of: number): number {
  return cpu.lockNodes + of * LOCK_NODES.size
}

/** decode_tail(). */
function decodeTail(cpu: Cpu, word: number): number {
  const owner = (word >>> CPU_SHIFT) - 1
  return nodesOf(cpu, owner) + ((word >>> LEVEL_SHIFT) & (NODES - 1)) * NODE_BYTES
}
