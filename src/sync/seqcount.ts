/**
 * Sequence counter: readers look, and look again whether a writer came in between.
 *
 * Source: include/linux/seqlock.h (v6.12), the plain seqcount_t. Writers exclude each other by a lock of theirs.
 *
 * Left out: the association with that lock (which tells the kernel whether to disable preemption) and latches. A reader
 * that begins during a write waits; the kernel's spins, which is the same here.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Step, WaitCondition } from '../machine/engine/engine.js'

// ---- the word -----------------------------------------------------------------------------------------------------
//
//   seq + 0   even: nobody writes. Odd: between writeSeqcountBegin() and writeSeqcountEnd(). Wraps.

const isEven: WaitCondition = (seen) => (seen & 1) === 0

// ---- readers ------------------------------------------------------------------------------------------------------

/** read_seqcount_begin(): waits while somebody writes, returns the count for readSeqcountRetry(). */
export function* readSeqcountBegin(cpu: Cpu, seq: PhysAddr): Step<number> {
  // ACQUIRE: this load before the section's loads. Pairs with (B) in writeSeqcountEnd().
  return yield* cpu.waitUntil(seq, isEven, 0)
}

/** raw_read_seqcount(): as readSeqcountBegin() without waiting: the caller looks at bit 0 itself. */
export function* rawReadSeqcount(cpu: Cpu, seq: PhysAddr): Step<number> {
  // ACQUIRE: as above.
  return yield* cpu.loadAcquire32(seq)
}

/** read_seqcount_retry(): true when a writer came in since `start` was read: what was read may be torn. */
export function* readSeqcountRetry(cpu: Cpu, seq: PhysAddr, start: number): Step<boolean> {
  // The section's loads before the second look at the count; otherwise a load could move behind the look and see a
  // write that the look missed. Pairs with (A) in writeSeqcountBegin().
  yield* cpu.smpRmb()
  return (yield* cpu.readOnce32(seq)) !== start
}

// ---- writers ------------------------------------------------------------------------------------------------------

/** write_seqcount_begin(). Caller: holds the lock that excludes other writers. */
export function* writeSeqcountBegin(cpu: Cpu, seq: PhysAddr): Step<void> {
  const count = yield* cpu.plainRead32(seq)
  if ((count & 1) !== 0) reportWriter(cpu, seq, 'begins while another write is under way')
  yield* cpu.writeOnce32(seq, (count + 1) | 0)
  // (A): the odd count before the data; otherwise a reader could see new data under the old count. Pairs with
  // readSeqcountRetry().
  yield* cpu.smpWmb()
}

/** write_seqcount_end(). */
export function* writeSeqcountEnd(cpu: Cpu, seq: PhysAddr): Step<void> {
  // (B): the data before the even count; otherwise a reader could begin with the new count and see old data. Pairs
  // with readSeqcountBegin().
  yield* cpu.smpWmb()
  const count = yield* cpu.plainRead32(seq)
  if ((count & 1) === 0) reportWriter(cpu, seq, 'ends although none is under way')
  yield* cpu.writeOnce32(seq, (count + 1) | 0)
  cpu.wakeWaiters(seq)
}

// ---- assertions ---------------------------------------------------------------------------------------------------

function reportWriter(cpu: Cpu, seq: PhysAddr, what: string): never {
  return cpu.report('lock-misuse', `BUG: a seqcount write of CPU ${cpu.id} ${what}`, seq, [
    'Writers of a sequence counter must exclude each other.',
  ])
}
