/**
 * Completion: one CPU tells others that something is done.
 *
 * Source: kernel/sched/completion.c (v6.12). Left out: first-come order among several waiters for single complete()
 * calls; which of them wakes is the schedule's choice, so every order the kernel allows comes about.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isNonZero, type Step } from '../machine/engine/engine.js'
import { mightSleep } from './mightSleep.js'
import type { Rcu } from './rcu.js'

// ---- the word -----------------------------------------------------------------------------------------------------
//
//   word + 0   complete() calls that no waiter has used up; COMPLETE_ALL: done for good. Zeroed memory: nothing is done

const COMPLETE_ALL = 0x7fff_ffff

// ---- complete -----------------------------------------------------------------------------------------------------

/** complete(): lets one waiter go, now or when it comes. */
export function* complete(cpu: Cpu, word: PhysAddr): Step<void> {
  // RELEASE: what was done before the word says so. Pairs with the ACQUIRE in waitForCompletion().
  yield* cpu.atomicAddUnless32(word, 1, COMPLETE_ALL)
  cpu.wakeWaiters(word)
}

/** complete_all(): lets all waiters go, now and later. */
export function* completeAll(cpu: Cpu, word: PhysAddr): Step<void> {
  // RELEASE: as in complete().
  yield* cpu.storeRelease32(word, COMPLETE_ALL)
  cpu.wakeWaiters(word)
}

// ---- wait ---------------------------------------------------------------------------------------------------------

/** wait_for_completion(): sleeps until it is done, and uses up one complete(). */
export function* waitForCompletion(cpu: Cpu, rcu: Rcu, word: PhysAddr): Step<void> {
  mightSleep(cpu, 'wait_for_completion')
  for (let seen = yield* cpu.readOnce32(word); seen !== COMPLETE_ALL;) {
    if (seen === 0) seen = yield* rcu.sleepUntil(word, isNonZero, 0)
    else {
      // n → n-1. ACQUIRE: pairs with complete().
      const before = yield* cpu.cmpxchg32(word, seen, seen - 1)
      if (before === seen) return
      seen = before
    }
  }
  // ACQUIRE: the look that saw COMPLETE_ALL before what the caller reads. Pairs with completeAll().
  yield* cpu.smpMb()
}
