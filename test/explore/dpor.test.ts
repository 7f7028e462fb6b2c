import { describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'
import { DporSearch } from '../../dist/src/explore/dpor.js'
import { explore } from '../../dist/src/explore/explore.js'
import type { Search } from '../../dist/src/explore/search.js'
import { Session } from '../../dist/src/explore/session.js'
import type { ControlledEngine, Strategy } from '../../dist/src/machine/engine/controlled.js'
import type { Op } from '../../dist/src/program/op.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario } from '../../dist/src/scenario/scenario.js'
import { Machine, type Task } from '../sync/machine.js'
import { Classes, EverySchedule } from './everySchedule.js'

/** Executions by class, and those that were given up. */
interface Census {
  readonly classes: Map<string, number>
  readonly pruned: number
}

function census(engine: ControlledEngine, cpus: number, search: Search, run: (strategy: Strategy) => boolean): Census {
  const to = search instanceof DporSearch ? search : null
  const names = new Classes(engine, cpus, to)
  const classes = new Map<string, number>()
  let pruned = 0
  for (let strategy = search.next(); strategy !== null; strategy = search.next()) {
    names.begin()
    const complete = run(strategy)
    search.ended()
    if (complete) classes.set(names.name, (classes.get(names.name) ?? 0) + 1)
    else pruned++
  }
  return { classes, pruned }
}

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
  // Programs of three operations on two or three CPUs, drawn from seeds that the titles name.
  it.each(Array.from({ length: 60 }, (_, seed) => seed + 1))('random program %i', (seed) => {
    const prng = new Prng(seed)
    const cpus = 2 + prng.below(2)
    const programs = Array.from({ length: cpus }, () => Array.from({ length: cpus === 2 ? 4 : 3 }, () => anyOp(prng)))
    const scenario = defineScenario({
      id: `random-${seed}`,
      summary: '',
      arch: 'x86-64',
      cpus,
      exploreOnly: true,
      build: () => ({ boot: [], programs }),
    })
    const runs = (make: (engine: ControlledEngine) => Search): Census => {
      const session = new Session(scenario, null, cpus)
      return census(session.engine, cpus, make(session.engine), (strategy) => session.execute(strategy).pruned !== true)
    }
    const all = runs((engine) => new EverySchedule(engine))
    expectOptimal(
      runs((engine) => new DporSearch(engine, cpus)),
      all,
    )
  })

  it.each<[string, Task[]]>([
    ['an interrupt, not waited for', [['call', false], ['work']]],
    ['an interrupt, waited for', [['call', true], ['work']]],
    ['an interrupt of a CPU that waits for it', [['call', false], ['waitForAnswer']]],
    ['an interrupt that looks at what a third CPU stores', [['poke', 1], ['waitForAnswer'], ['store']]],
    ['choices', [['choose'], ['choose']]],
  ])('%s', async (_title, tasks) => {
    const runs = async (make: (engine: ControlledEngine) => Search): Promise<Census> => {
      const machine = await Machine.boot(tasks.length, 'search')
      return census(
        machine.engine,
        tasks.length,
        make(machine.engine),
        (strategy) => machine.runUnder(strategy, tasks).kind !== 'pruned',
      )
    }
    const all = await runs((engine) => new EverySchedule(engine))
    const dpor = await runs((engine) => new DporSearch(engine, tasks.length))
    expect([...dpor.classes.keys()].sort()).toEqual([...all.classes.keys()].sort())
    expect([...dpor.classes.values()].filter((count) => count > 1)).toEqual([])
  })
})

function anyOp(prng: Prng): Op {
  const [word, reg, value] = [prng.below(2), prng.below(2), 1 + prng.below(2)]
  const ops: Op[] = [
    { op: 'readOnce', word, reg },
    { op: 'writeOnce', word, value },
    { op: 'xchg', word, value, reg },
    { op: 'cmpxchg', word, expected: 0, value, reg },
    { op: 'fetchAdd', word, value, reg },
    { op: 'cmpxchgWhen', word, expected: prng.below(2), value },
    { op: 'awaitWord', word, value },
    { op: 'ifEqual', reg, value: 0, body: [{ op: 'writeOnce', word, value }] },
  ]
  return ops[prng.below(ops.length)] as Op
}
