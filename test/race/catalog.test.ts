import { describe, expect, it } from 'vitest'
import { explore } from '../../dist/src/explore/explore.js'
import { scenarios } from '../../dist/src/scenario/catalog/index.js'
import { executions } from '../budget.js'

// Fixed code survives. The budget is a smoke test of each scenario; the long runs are `npm run bench` and the README's.
const SEED = 11
const EXECUTIONS = executions(1000)
/** An execution of these is as long as several of another. */
const LONG = /mixed|torture/

describe(`the catalogue on mainline, controlled (seed ${SEED}, ${EXECUTIONS} executions each)`, () => {
  for (const scenario of scenarios.filter(({ id }) => !['message-passing-reversed', 'gup-fast-miniature'].includes(id)))
    it(`${scenario.id} is clean`, () => {
      const result = explore({
        scenario,
        seed: SEED,
        executions: LONG.test(scenario.id) ? EXECUTIONS / 4 : EXECUTIONS,
      })
      expect(result.finding).toBeNull()
    })
})
