import { describe, expect, it } from 'vitest'
import { DporSearch } from '../../dist/src/explore/systematic/dpor.js'
import { explore } from '../../dist/src/explore/explore.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { censusOf, censusOfTasks, randomScenario, TASKS, type Census } from './census.js'
import { EverySchedule } from './everySchedule.js'

/** Every class is explored, none twice, and nothing is given up. */
function expectOptimal(dpor: Census, all: Census): void {
  expect([...dpor.classes.keys()].sort()).toEqual([...all.classes.keys()].sort())
  expect([...dpor.classes.values()].filter((count) => count > 1)).toEqual([])
  expect(dpor.pruned).toBe(0)
}

describe('dpor explores each execution once, up to equivalence', () => {
  // What GenMC reports for the same programs: 2, 3, 2, 6, 63 and 1,108.
  it.each([
    ['message-passing-guarded', 2, 2],
    ['message-passing', 2, 3],
    ['store-buffering', 2, 3],
    ['load-buffering', 2, 3],
    ['two-plus-two-writes', 2, 3],
    ['iriw', 4, 15],
    ['spin-lock', 2, 2],
    ['spin-lock', 3, 6],
    ['spin-lock', 4, 24],
    ['try-lock', 2, 6],
    ['try-lock', 3, 63],
    ['try-lock', 4, 1108],
    ['mcs-lock', 2, 6],
    ['mcs-lock', 3, 66],
    ['queued-spin-lock', 2, 8],
    ['queued-spin-lock', 3, 1200],
  ])('%s on %i CPUs: %i', (name, cpus, executions) => {
    const result = explore({ scenario: scenarioById(name), cpus, strategy: 'dpor' })
    expect([result.executions, result.complete, result.finding]).toEqual([executions, true, null])
  })

  it('finds the one ending that is wrong', () => {
    const result = explore({ scenario: scenarioById('message-passing-reversed'), strategy: 'dpor' })
    expect(result.finding?.oracle).toBe('outcome')
    expect(result.executions).toBeLessThanOrEqual(4)
  })
})

describe('dpor against every schedule there is', () => {
  // Programs of three or four operations on two or three CPUs, drawn from seeds that the titles name.
  it.each(Array.from({ length: 60 }, (_, seed) => seed + 1))('random program %i', (seed) => {
    const scenario = randomScenario(seed)
    const all = censusOf(scenario, (engine) => new EverySchedule(engine))
    expectOptimal(
      censusOf(scenario, (engine) => new DporSearch(engine, scenario.cpus)),
      all,
    )
  })

  it.each(TASKS)('%s', async (_title, tasks) => {
    const all = await censusOfTasks(tasks, (engine) => new EverySchedule(engine))
    const dpor = await censusOfTasks(tasks, (engine) => new DporSearch(engine, tasks.length))
    expect([...dpor.classes.keys()].sort()).toEqual([...all.classes.keys()].sort())
    expect([...dpor.classes.values()].filter((count) => count > 1)).toEqual([])
  })
})
