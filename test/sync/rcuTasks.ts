/** Tasks of programs/rcu.js. */
import type { Task } from './machine.js'

export const KINDS = ['rcu', 'nested', 'preempt', 'irqs', 'spinlock'] as const
export const reader = (kinds: readonly string[] = KINDS, rounds = 6): Task => ['reader', { kinds, rounds }]
export const updater = (how: 'call' | 'wait' | 'expedite', rounds = 4): Task => ['updater', { rounds, how }]
