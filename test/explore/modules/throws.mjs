import { isMainThread } from 'node:worker_threads'
import { defineScenario } from '../../../dist/src/index.js'

// A writer counts up while a reader looks. Always the same executions, and few, end with every number seen once: for these
// the module fails, in whatever thread.
const numbers = [1, 2, 3, 4, 5]

export default defineScenario({
  id: 'throws',
  summary: 'a module that fails in some executions',
  arch: 'x86-64',
  cpus: 2,
  build: () => ({
    boot: [],
    programs: [
      numbers.map((value) => ({ op: 'writeOnce', word: 0, value })),
      numbers.map((_, reg) => ({ op: 'readOnce', word: 0, reg })),
    ],
  }),
  outcome: (reg) => {
    const seen = numbers.map((_, i) => reg(1, i)).join('')
    if (!isMainThread && seen === '12345') throw new Error('it cannot count to five')
    return seen === '12345' ? 'one by one' : `first ${seen[0]}`
  },
  allowed: [0, ...numbers].map((n) => `first ${n}`),
})
