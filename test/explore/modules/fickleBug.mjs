import { MAINLINE, defineBug } from '../../../dist/src/index.js'

// Keeps state where it must not: in a variable, which restoring the image does not bring back.
let calls = 0

class Fickle extends MAINLINE.GupFast {
  *pteUnchanged(...args) {
    if (++calls % 100 === 0) yield* super.pteUnchanged(...args)
    return yield* super.pteUnchanged(...args)
  }
}

export default defineBug({
  id: 'fickle',
  number: 'mutant',
  year: null,
  upstream: null,
  summary: 'looks at the entries twice every hundredth time',
  symptom: 'an execution is not the same when it is run again',
  scenarios: ['gup-vs-munmap'],
  parts: { GupFast: Fickle },
})
