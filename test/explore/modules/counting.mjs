import { defineScenario } from '../../../dist/src/index.js'

// A writer counts up while a reader looks. One execution in some thousand ends with every number seen once, which is
// not allowed: a finding that is far from the beginning, and cheap to get to.
const numbers = [1, 2, 3, 4, 5]

export default defineScenario({
  id: 'counting',
  summary: 'a reader that keeps up with a writer, which is rare',
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
    return seen === '12345' ? 'one by one' : `first ${seen[0]}`
  },
  allowed: [0, ...numbers].map((n) => `first ${n}`),
})
