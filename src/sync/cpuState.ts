/** The state that RCU and wait queues keep for each CPU, in words that CPU_AREA leaves free. */
import { atomic, ownCpu } from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

export const SYNC_CPU_STATE = struct('cpu', 256, {
  rcuNesting: [12, 4, ownCpu], // rcu_read_lock nesting
  woken: [148, 4, atomic], //     1: taken off the wait queue it was on (waitQueue.ts). Writers: every CPU
})
