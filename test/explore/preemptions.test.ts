import { describe, expect, it } from 'vitest'
import { BoundedSearch } from '../../dist/src/explore/systematic/bounded.js'
import { DporSearch } from '../../dist/src/explore/systematic/dpor.js'
import { censusOf, censusOfTasks, randomScenario, TASKS, type Census } from './census.js'
import { EverySchedule } from './everySchedule.js'

/** Of every schedule there is: the classes that have one with at most `bound` preemptions. */
const within = ({ preemptions }: Census, bound: number): string[] =>
  [...preemptions].flatMap(([name, least]) => (least <= bound ? [name] : [])).sort()

function expectExactly(found: Census, all: Census, bound: number): void {
  expect([...found.classes.keys()].sort()).toEqual(within(all, bound))
  expect([...found.classes.values()].filter((count) => count > 1)).toEqual([])
}

const BOUNDS = [0, 1, 2, 3]

describe('dpor with a bound runs one execution of each class that has one with so few preemptions, and no other', () => {
  // Programs drawn from seeds that the titles name, as in dpor.test.ts.
  it.each(Array.from({ length: 60 }, (_, seed) => seed + 1))('random program %i', (seed) => {
    const scenario = randomScenario(seed)
    const all = censusOf(scenario, (engine) => new EverySchedule(engine))
    for (const bound of BOUNDS)
      expectExactly(
        censusOf(scenario, (engine) => new DporSearch(engine, scenario.cpus, bound)),
        all,
        bound,
      )
  })

  it.each(TASKS)('%s', async (_title, tasks) => {
    const all = await censusOfTasks(tasks, (engine) => new EverySchedule(engine))
    for (const bound of BOUNDS)
      expectExactly(await censusOfTasks(tasks, (engine) => new DporSearch(engine, tasks.length, bound)), all, bound)
  })
})

describe('bounded with a largest bound runs those classes too, and no other', () => {
  it.each([1, 2, 3, 4, 5, 6])('random program %i', (seed) => {
    const scenario = randomScenario(seed)
    const all = censusOf(scenario, (engine) => new EverySchedule(engine))
    for (const bound of [0, 1]) {
      const found = censusOf(scenario, () => new BoundedSearch(bound))
      expect([...found.classes.keys()].sort()).toEqual(within(all, bound))
    }
  })
})
