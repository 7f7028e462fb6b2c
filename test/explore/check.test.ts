import { describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { exploredCode, exploredFault } from '../../dist/src/cli/explored.js'
import { explore } from '../../dist/src/explore/explore.js'
import { divergenceDocument, divergenceText } from '../../dist/src/report/divergence.js'
import { scenarioById, scenarios } from '../../dist/src/scenario/catalog/index.js'

describe('the catalogue', () => {
  it.each(scenarios.map(({ id }) => id))('%s is the same again, execution after execution', (id) => {
    const scenario = scenarioById(id)
    const { divergence, executions } = explore({ scenario, check: true, wanted: 'no oracle', executions: 12 })
    expect({ divergence, executions }).toEqual({ divergence: null, executions: 12 })
  })

  it('is the same again with its findings', () => {
    const options = { scenario: scenarioById('gup-vs-split'), bug: bugById('no-recheck'), executions: 2000 }
    const checked = explore({ ...options, check: true })
    expect(checked.divergence).toBeNull()
    expect(checked.finding).toEqual(explore(options).finding)
    expect(checked.executions).toBe(explore(options).executions)
  })
})

describe('a bug that keeps state in a variable', async () => {
  const url = new URL('modules/fickleBug.mjs', import.meta.url).href
  const { default: bug } = (await import(url)) as { default: ReturnType<typeof bugById> }
  const scenario = scenarioById('gup-vs-munmap')
  const result = explore({ scenario, bug, check: true, executions: 5000 })

  it('is caught, in the execution and at the access where it shows', () => {
    expect(result.finding).toBeNull()
    expect(result.divergence).toMatchObject({ execution: result.executions, steps: expect.any(Number) })
    expect(result.divergence?.first).not.toEqual(result.divergence?.second)
  })

  it('is told what it did, and where to look', () => {
    if (result.divergence === null) throw new Error('nothing to tell')
    const text = divergenceText(divergenceDocument(result.divergence, result.session.machine))
    expect(text).toMatch(/execution \d+ is not the same when it is run again: after \d+ accesses\n.*CPU \d/)
    expect(text).toContain('look for variables, clocks and random numbers')
  })

  it('ends the command as a fault', () => {
    expect(exploredCode(result)).toBe(3)
    expect(exploredFault(result)).toContain('is not the same when it is run again')
  })

  it('goes unseen without the check', () => {
    expect(explore({ scenario, bug, executions: 200 }).divergence).toBeNull()
  })
})
