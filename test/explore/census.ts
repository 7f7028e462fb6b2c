/** The classes of equivalent executions that a search reaches, how often, and with how many preemptions at least. */
import type { Search } from '../../dist/src/explore/strategy/search.js'
import { Session } from '../../dist/src/explore/session/session.js'
import type { ControlledEngine, SchedulePoint, Strategy, Tracer } from '../../dist/src/machine/engine/controlled.js'
import { Prng } from '../../dist/src/base/prng.js'
import type { Op } from '../../dist/src/program/op.js'
import { defineScenario, type Scenario } from '../../dist/src/scenario/scenario.js'
import { Machine, type Task } from '../sync/machine.js'
import { Classes } from './everySchedule.js'

export interface Census {
  /** Executions by class. */
  readonly classes: Map<string, number>
  /** By class, the fewest preemptions of its executions that were run. */
  readonly preemptions: Map<string, number>
  /** Executions that were given up. */
  readonly pruned: number
}

const isTracer = (search: object): search is Tracer => 'raised' in search

export function census(
  engine: ControlledEngine,
  cpus: number,
  search: Search,
  run: (strategy: Strategy) => boolean,
): Census {
  const names = new Classes(engine, cpus, isTracer(search) ? search : null)
  const [classes, preemptions] = [new Map<string, number>(), new Map<string, number>()]
  let pruned = 0
  for (let strategy = search.next(); strategy !== null; strategy = search.next()) {
    names.begin()
    const counting = new Counting(strategy, names)
    const ran = run(counting)
    const { name } = names
    if (!search.ended() || !ran) {
      pruned++
      continue
    }
    classes.set(name, (classes.get(name) ?? 0) + 1)
    preemptions.set(name, Math.min(preemptions.get(name) ?? Infinity, counting.preemptions))
  }
  return { classes, preemptions, pruned }
}

/**
 * Counts the preemptions of an execution as it is made: a CPU that could go on is left, or a choice is not the first.
 */
class Counting implements Strategy {
  readonly #strategy: Strategy
  readonly #names: Classes
  preemptions = 0

  constructor(strategy: Strategy, names: Classes) {
    this.#strategy = strategy
    this.#names = names
  }

  pick(point: SchedulePoint): number {
    const { current } = point
    const action = this.#strategy.pick(point)
    // Before the first event CPUs only come to their first access.
    if (this.#names.events > 0 && current >= 0 && action !== current) this.preemptions++
    return action
  }

  choose(n: number, cpu: number): number {
    const choice = this.#strategy.choose(n, cpu)
    if (choice > 0) this.preemptions++
    return choice
  }
}

/** `make`: a search over the schedules of `scenario`. */
export function censusOf(scenario: Scenario, make: (engine: ControlledEngine) => Search): Census {
  const session = new Session(scenario, null, scenario.cpus)
  return census(
    session.engine,
    scenario.cpus,
    make(session.engine),
    (strategy) => session.execute(strategy).pruned !== true,
  )
}

/** Of kernel tasks, a CPU each. */
export async function censusOfTasks(tasks: Task[], make: (engine: ControlledEngine) => Search): Promise<Census> {
  const machine = await Machine.boot(tasks.length, 'search')
  return census(
    machine.engine,
    tasks.length,
    make(machine.engine),
    (strategy) => machine.runUnder(strategy, tasks).kind !== 'pruned',
  )
}

/** What tasks with interrupts and choices there are, and what they are about. */
export const TASKS: [string, Task[]][] = [
  ['an interrupt, not waited for', [['call', false], ['work']]],
  ['an interrupt, waited for', [['call', true], ['work']]],
  ['an interrupt of a CPU that waits for it', [['call', false], ['waitForAnswer']]],
  ['an interrupt that looks at what a third CPU stores', [['poke', 1], ['waitForAnswer'], ['store']]],
  ['choices', [['choose'], ['choose']]],
]

/** A program of four operations on two CPUs, or of three on three, drawn from `seed`. */
export function randomScenario(seed: number): Scenario {
  const prng = new Prng(seed)
  const cpus = 2 + prng.below(2)
  const programs = Array.from({ length: cpus }, () => Array.from({ length: cpus === 2 ? 4 : 3 }, () => anyOp(prng)))
  return defineScenario({
    id: `random-${seed}`,
    summary: '',
    arch: 'x86-64',
    cpus,
    exploreOnly: true,
    build: () => ({ boot: [], programs }),
  })
}

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
