/** Accesses to the words of litmus tests, of which the kernel knows nothing, and locks on such words (../litmus.ts). */
import { isEqual, type Step } from '../../machine/engine/engine.js'
import { optional, value as numberOr } from '../fields.js'
import { operation } from '../operation.js'
import type { Op } from '../op.js'
import type { Task } from '../task.js'
import { reg, word } from './arguments.js'

const value = numberOr('Stored value')
const expected = numberOr('Value of the word without which nothing is stored')
const node = { ...word, schema: { ...word.schema, description: 'Word that is the node of this CPU in the queue' } }
const bare = true
const waits = true

/** In a program that is more than a litmus test; a litmus test runs all of its operations in one coroutine. */
function* run(task: Task, op: object): Step<number> {
  return yield* task.litmus.execute(op as Op)
}

export const LITMUS = {
  readOnce: operation({ summary: 'READ_ONCE().', fields: { word, reg }, bare, run }),
  writeOnce: operation({ summary: 'WRITE_ONCE().', fields: { word, value }, bare, run }),
  loadAcquire: operation({ summary: 'smp_load_acquire().', fields: { word, reg }, bare, run }),
  storeRelease: operation({ summary: 'smp_store_release().', fields: { word, value }, bare, run }),
  xchg: operation({ summary: 'xchg().', fields: { word, value, reg }, bare, run }),
  cmpxchg: operation({
    summary: 'cmpxchg(): stores `value` if the word is `expected`; the register gets what was there.',
    fields: { word, expected, value, reg },
    bare,
    run,
  }),
  fetchAdd: operation({
    summary: 'Adds `value`; the register gets what was there before.',
    fields: { word, value: numberOr('Added value'), reg },
    bare,
    run,
  }),
  awaitWord: operation({
    summary: 'Waits, asleep, until the word has this value.',
    fields: { word, value: numberOr('Awaited value') },
    waits,
    bare,
    *run(task, op) {
      return yield* task.sleepUntil(task.word(op.word), isEqual, task.litmus.value(op.value))
    },
  }),
  cmpxchgWhen: operation({
    summary: 'Waits until the word is `expected`, and stores `value` in the same step.',
    fields: { word, expected, value },
    waits,
    bare,
    run,
  }),
  spinLock: operation({
    summary: "Takes the kernel's queued spinlock on a word, 0 when free.",
    fields: { word },
    waits,
    bare,
    run,
  }),
  spinUnlock: operation({ summary: 'Releases the spinlock on a word.', fields: { word }, bare, run }),
  mcsLock: operation({
    summary: 'Takes an MCS lock on a word, 0 when free, with a node in another word.',
    fields: { word, node },
    waits,
    bare,
    run,
  }),
  mcsUnlock: operation({ summary: 'Releases an MCS lock.', fields: { word, node }, bare, run }),
  smpMb: operation({ summary: 'smp_mb().', fields: {}, bare, run }),
  smpRmb: operation({ summary: 'smp_rmb().', fields: {}, bare, run }),
  smpWmb: operation({ summary: 'smp_wmb().', fields: {}, bare, run }),
  setRegister: operation({
    summary: 'Sets the register to `value`, and `plus` if that is given.',
    fields: { reg, value: numberOr('Value'), plus: optional(numberOr('Added value')) },
    bare,
    run,
  }),
  readSeqcountBegin: operation({
    summary: 'read_seqcount_begin() on a word; the register gets the count.',
    fields: { word, reg },
    waits,
    bare,
    run,
  }),
  readSeqcountRetry: operation({
    summary: 'read_seqcount_retry(): the register gets 1 if a writer came in since the count was `start`, else 0.',
    fields: { word, start: numberOr('The count at the beginning'), reg },
    bare,
    run,
  }),
  writeSeqcountBegin: operation({ summary: 'write_seqcount_begin().', fields: { word }, bare, run }),
  writeSeqcountEnd: operation({ summary: 'write_seqcount_end().', fields: { word }, bare, run }),
}
