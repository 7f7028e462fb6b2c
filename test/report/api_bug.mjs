import { MAINLINE, defineBug, explore, scenarioById } from 'racewalk'

class NeverLooksAgain extends MAINLINE.GupFast {
  *pteUnchanged() {
    return true
  }
}

const myPatch = defineBug({
  id: 'never-looks-again',
  number: 'mutant',
  year: null,
  upstream: null,
  summary: 'gup_fast trusts the PTE it read before it took its reference',
  symptom: 'it returns pages that belong to somebody else',
  scenarios: ['gup-vs-dontneed'],
  parts: { GupFast: NeverLooksAgain },
})

const { executions, finding } = explore({ scenario: scenarioById('gup-vs-dontneed'), bug: myPatch, executions: 5000 })
console.log(executions, finding?.title ?? 'nothing found')
