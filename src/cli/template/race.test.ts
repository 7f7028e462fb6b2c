import { expect, race, test } from 'racewalk/vitest'
import scenario from './scenario.js'

const patch = new URL('./patch.ts', import.meta.url)

test('the fixed code survives', () => {
  expect(race(scenario, { executions: 500 })).toSurvive()
})

test('without its second look, gup_fast pins a page that is gone', () => {
  expect(race(scenario, { bug: 'no-recheck' })).toFail('gup-identity')
})

test('the patch gives the second look back', () => {
  expect(race(scenario, { bug: 'no-recheck', patch, executions: 500 })).toSurvive()
})
