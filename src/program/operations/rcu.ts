/** Grace periods that a program asks for. */
import { operation } from '../operation.js'

export const RCU = {
  synchronizeRcu: operation({
    summary: 'synchronize_rcu().',
    fields: {},
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
}
