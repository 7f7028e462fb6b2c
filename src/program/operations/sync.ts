/** Sleeping locks, completions, wait queues and RCU on words of the program: the kernel's own (sync/). */
import { phys, type PhysAddr } from '../../base/units.js'
import { isNonZero } from '../../machine/engine/engine.js'
import { complete, completeAll, waitForCompletion } from '../../sync/completion.js'
import { mightSleep } from '../../sync/mightSleep.js'
import { downgradeWrite, downRead, downWrite, upRead, upWrite } from '../../sync/rwsem.js'
import { finishWait, prepareToWaitEvent, wakeUpAll, wokenAt } from '../../sync/waitQueue.js'
import { value } from '../fields.js'
import { operation } from '../operation.js'
import { LITMUS } from '../state.js'
import type { Task } from '../task.js'
import { word } from './arguments.js'

const waits = true

/** The wait queue of a word. */
const queueAt = (task: Task, word: number): PhysAddr => phys(task.word(word) + LITMUS.at.waiters)

export const SYNC = {
  downRead: operation({
    summary: 'down_read() on a word, 0 when free.',
    fields: { word },
    waits,
    *run(task, op) {
      yield* downRead(task.cpu, task.k.rcu, task.word(op.word))
      task.sections.open('sleeping')
      return 0
    },
  }),
  upRead: operation({
    summary: 'up_read().',
    fields: { word },
    *run(task, op) {
      yield* upRead(task.cpu, task.word(op.word))
      task.sections.close('sleeping')
      return 0
    },
  }),
  downWrite: operation({
    summary: 'down_write() on a word, 0 when free.',
    fields: { word },
    waits,
    *run(task, op) {
      yield* downWrite(task.cpu, task.k.rcu, task.word(op.word))
      task.sections.open('sleeping')
      return 0
    },
  }),
  upWrite: operation({
    summary: 'up_write().',
    fields: { word },
    *run(task, op) {
      yield* upWrite(task.cpu, task.word(op.word))
      task.sections.close('sleeping')
      return 0
    },
  }),
  downgradeWrite: operation({
    summary: 'downgrade_write(): the writer becomes a reader.',
    fields: { word },
    *run(task, op) {
      yield* downgradeWrite(task.cpu, task.word(op.word))
      return 0
    },
  }),
  complete: operation({
    summary: 'complete() of the completion in a word, 0 when nothing is done: lets one waiter go.',
    fields: { word },
    *run(task, op) {
      yield* complete(task.cpu, task.word(op.word))
      return 0
    },
  }),
  completeAll: operation({
    summary: 'complete_all().',
    fields: { word },
    *run(task, op) {
      yield* completeAll(task.cpu, task.word(op.word))
      return 0
    },
  }),
  waitForCompletion: operation({
    summary: 'wait_for_completion().',
    fields: { word },
    waits,
    *run(task, op) {
      yield* waitForCompletion(task.cpu, task.k.rcu, task.word(op.word))
      return 0
    },
  }),
  waitEvent: operation({
    summary:
      'wait_event() on the wait queue of word `queue`, until `word` has this value. Who changes it wakes the queue.',
    fields: {
      queue: { ...word, schema: { ...word.schema, description: 'Word whose wait queue it is' } },
      word,
      value: value('Awaited value'),
    },
    waits,
    *run(task, op) {
      const { cpu } = task
      const [queue, wanted] = [queueAt(task, op.queue), task.litmus.value(op.value)]
      mightSleep(cpu, 'wait_event')
      for (;;) {
        yield* prepareToWaitEvent(cpu, queue)
        if ((yield* cpu.readOnce32(task.word(op.word))) === wanted || task.isStopAsked) break
        yield* task.sleepUntil(wokenAt(cpu, cpu.id), isNonZero, 0)
      }
      yield* finishWait(cpu, queue)
      return 0
    },
  }),
  wakeUpAll: operation({
    summary: 'wake_up_all() of the wait queue of a word: all that wait look again.',
    fields: { word },
    *run(task, op) {
      yield* wakeUpAll(task.cpu, queueAt(task, op.word))
      return 0
    },
  }),
}
