/** Readers of RCU, callbacks, and grace periods that a program asks for. */
import { value } from '../fields.js'
import { operation } from '../operation.js'
import { word } from './arguments.js'

const bare = true

export const RCU = {
  synchronizeRcu: operation({
    summary: 'synchronize_rcu().',
    fields: {},
    bare,
    *run({ k }) {
      yield* k.rcu.synchronizeRcu()
      return 0
    },
  }),
  synchronizeRcuExpedited: operation({
    summary: 'synchronize_rcu_expedited().',
    fields: {},
    *run({ k }) {
      yield* k.expedited.synchronizeRcuExpedited()
      return 0
    },
  }),
  rcuReadLock: operation({
    summary: 'rcu_read_lock(): a reader around the operations that follow, to rcuReadUnlock.',
    fields: {},
    bare,
    *run(task) {
      task.k.rcu.rcuReadLock()
      task.sections.open('reading')
      return 0
    },
  }),
  rcuReadUnlock: operation({
    summary: 'rcu_read_unlock().',
    fields: {},
    bare,
    *run(task) {
      task.k.rcu.rcuReadUnlock()
      task.sections.close('reading')
      return 0
    },
  }),
  callRcu: operation({
    summary: 'call_rcu() with the rcu_head of a word: its callback stores `value` there.',
    fields: { word, value: value('Stored value') },
    *run(task, op) {
      return yield* task.callRcu(op.word, task.litmus.value(op.value))
    },
  }),
}
