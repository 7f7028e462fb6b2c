import { isMainThread } from 'node:worker_threads'
import counting from './counting.mjs'

// The same, but where it would have a finding it fails, in whatever thread. In the main one it does not, to be
// compared.
export default {
  ...counting,
  id: 'throws',
  outcome: (reg) => {
    const ending = counting.outcome(reg)
    if (ending === 'one by one' && !isMainThread) throw new Error('it cannot count to five')
    return ending
  },
}
