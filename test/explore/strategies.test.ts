import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, replay } from '../../dist/src/explore/explore.js'
import { fairFrom } from '../../dist/src/explore/strategy/fair.js'
import { PCT, PctStrategy } from '../../dist/src/explore/strategy/pct.js'
import { checkChoice, STRATEGIES, type StrategyId } from '../../dist/src/explore/searches.js'
import { POS } from '../../dist/src/explore/strategy/pos.js'
import { RANDOM } from '../../dist/src/explore/strategy/random.js'
import type { SampledStrategy, StrategyRow } from '../../dist/src/explore/strategy/strategy.js'
import { URW } from '../../dist/src/explore/strategy/urw.js'
import type { Profile } from '../../dist/src/explore/strategy/profile.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { Access } from '../../dist/src/machine/cpu/access.js'
import { actionOf, ActionKind, cpuOf, everyAction, SC_KINDS } from '../../dist/src/machine/engine/actions.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { pointAt } from '../machine/points.js'

const SAMPLED = STRATEGIES.map(({ id }) => id).filter((id) => id !== 'dpor')

describe.each(SAMPLED)('--strategy %s', (strategy) => {
  const bug = bugById('gup-collapse-pmd')
  const scenario = scenarioById('gup-vs-collapse')

  it('finds a bug, the same one in the same execution when it is asked again', () => {
    const [first, second] = [1, 2].map(() => explore({ scenario, bug, strategy, seed: 5, executions: 20_000 }))
    expect(first?.finding).not.toBeNull()
    expect(second?.finding).toEqual(first?.finding)
  })

  it.skipIf(strategy === 'bounded')('does something else with another seed', () => {
    const endings = (seed: number): object =>
      Object.fromEntries(explore({ scenario: scenarioById('mixed'), strategy, seed, executions: 3 }).outcomes)
    const steps = (seed: number): number =>
      explore({ scenario: scenarioById('mixed'), strategy, seed, executions: 3 }).steps
    expect([steps(1), endings(1)]).toEqual([steps(1), endings(1)])
    expect(new Set([1, 2, 3, 4].map(steps)).size).toBeGreaterThan(1)
  })
})

/** An access to the one word that CPUs share. */
const ACCESS = [Access.writeOnce32, 8 * 100] as const
const ofLength = (length: number): Profile => ({
  length,
  fairFrom: fairFrom(length, 20_000),
  accesses: [length, length, length],
  actions: everyAction(SC_KINDS, 3),
  shared: [{ word: 100, accesses: [length, length, length] }],
  sharedWords: new Set([100]),
  lengths: [{ points: length, before: new Map([[100, length]]) }],
})

describe.each([RANDOM, PCT, POS, URW])('an execution under $id that does not end', ({ make }) => {
  it('becomes fair, so that each CPU gets its turn, and interrupts come', () => {
    for (let index = 0; index < 40; index++) {
      const strategy = make({ seed: 1, index, profile: ofLength(100), depth: null })
      let current = 0
      const seen = new Set<number>()
      for (let at = 0; at < 4000; at++) {
        const interruptible = at % 100 === 0 ? 0b1 : 0
        const action = strategy.pick(pointAt(current, [0b111, interruptible], ...ACCESS))
        if (at > 2000) seen.add(action)
        current = cpuOf(action)
      }
      expect(seen, `index ${index}`).toEqual(new Set([0, 1, 2, actionOf(ActionKind.interrupt, 0)]))
    }
  })
})

describe.each(['random', 'pct', 'pos', 'urw'] as const)(
  'under %s a CPU that tries in vain until another has gone on',
  (id) => {
    // 5,000 points are no length of an execution, and four times as many would be the end of it.
    it('is no livelock, for how long it ever tried while executions were measured', () => {
      for (const seed of [1, 2, 3, 4])
        expect(
          explore({ scenario: scenarioById('upgrade-vs-touch'), strategy: id, seed, executions: 150 }).finding,
        ).toBeNull()
    })
  },
)

describe('PCT', () => {
  it('keeps the CPU with the highest priority, but for its change points', () => {
    const strategy = new PctStrategy(1, 0, ofLength(1))
    // All change points are the first point, so from the second on nothing changes.
    strategy.pick(pointAt(0, [0b111], ...ACCESS))
    const first = strategy.pick(pointAt(0, [0b111], ...ACCESS))
    for (let i = 0; i < 100; i++) expect(strategy.pick(pointAt(first, [0b111], ...ACCESS))).toBe(first)
    const next = strategy.pick(pointAt(-1, [0b111 & ~(1 << first)]))
    expect(next).not.toBe(first)
  })

  it('makes room when a CPU goes on for ever, so that what it waits for can happen', () => {
    const strategy = new PctStrategy(3, 0, ofLength(10))
    const seen = new Set<number>()
    let current = 0
    for (let i = 0; i < 5000; i++) seen.add((current = strategy.pick(pointAt(cpuOf(current), [0b11, 0b10], ...ACCESS))))
    expect(seen).toEqual(new Set([0, 1, actionOf(ActionKind.interrupt, 1)]))
  })
})

describe('the default', () => {
  // Nine of ten seeds find it within 56. Were the chance of 50 only 0.7, the median of 100 would be above 50 once in
  // 10,000 such samples; these seeds are fixed.
  it('finds the miniature of the gup_fast bug within 50 executions, median of 100 seeds', () => {
    const scenario = scenarioById('gup-fast-miniature')
    const executions = Array.from({ length: 100 }, (_, seed) => {
      const result = explore({ scenario, seed, executions: 10_000 })
      expect(result.finding?.title).toMatch(/not allowed: freed$/)
      return result.executions
    })
    expect(executions.sort((a, b) => a - b)[50]).toBeLessThanOrEqual(50)
  })
})

describe('shrinking', () => {
  it.each([
    ['gup-vs-collapse', 'gup-collapse-pmd'],
    ['table-torture@s390-list-node', null],
  ])('keeps the finding of %s (%s) with fewer switches, and the token replays to it', (name, bugName) => {
    const scenario = scenarioById(name)
    const bug = bugName === null ? null : bugById(bugName)
    const options = { scenario, bug, strategy: 'random', seed: 1, executions: 60_000 } as const
    const [found, small] = [explore(options).finding, explore({ ...options, shrink: true }).finding]
    expect(small).toMatchObject({ oracle: found?.oracle, title: found?.title, execution: found?.execution })
    const { before, after } = small?.switches ?? { before: 0, after: 0 }
    expect(after).toBeLessThanOrEqual(before)
    expect(after).toBeLessThan(13)
    const again = replay(decodeToken(small?.token ?? ''), scenario, bug)
    expect(again.exact).toBe(true)
    expect(again.finding?.title).toBe(found?.title)
  })

  it('leaves nothing that is not needed of a bug that needs one switch', () => {
    const bug = bugById('gup-collapse-pmd')
    const { finding } = explore({
      scenario: scenarioById('gup-vs-collapse'),
      bug,
      strategy: 'random',
      executions: 20_000,
      shrink: true,
    })
    expect(finding?.switches?.after).toBeLessThanOrEqual(3)
  })
})

describe('--gp-delay', () => {
  it('is part of the name of the scenario, so that a token keeps it', () => {
    const { finding } = explore({
      scenario: scenarioById('retract-vs-exit+gp-delay=60'),
      bug: bugById('K04'),
      executions: 20_000,
    })
    const token = decodeToken(finding?.token ?? '')
    expect(token.scenario).toBe('retract-vs-exit+gp-delay=60')
    expect(replay(token, scenarioById(token.scenario), bugById('ptmm-lock-uaf')).exact).toBe(true)
  })
})

describe('a strategy', () => {
  const depths = new Set<number | null>()
  // Lets every CPU go on for three points and takes whatever is next in order then.
  const toy: SampledStrategy = {
    kind: 'sampled',
    id: 'toy',
    summary: 'every third point goes to the next',
    options: { depth: { least: 3, most: 5 } },
    make({ depth }) {
      depths.add(depth)
      let at = 0
      const turn = depth ?? 3
      return {
        pick: ({ current, actions }) => {
          if (current >= 0 && ++at % turn !== 0) return current
          const next = actions.from(current + 1)
          return next >= 0 ? next : actions.from(0)
        },
        choose: () => 0,
      }
    },
  }
  const strategy = 'toy' as StrategyId
  const scenario = scenarioById('gup-vs-collapse')

  beforeAll(() => void (STRATEGIES as StrategyRow[]).push(toy))
  afterAll(() => void (STRATEGIES as StrategyRow[]).pop())

  it('is one row: explorations run it', () => {
    const { executions, finding, complete } = explore({ scenario, strategy, executions: 40 })
    expect({ executions, finding, complete }).toEqual({ executions: 40, finding: null, complete: false })
    explore({ scenario, strategy, depth: 4, executions: 40 })
    expect([...depths]).toEqual([null, 4])
  })

  it('has the options that its row says, in their ranges', () => {
    const none = { strategy, depth: null, preemptions: null }
    expect(() => checkChoice({ ...none, depth: 5 })).not.toThrow()
    expect(() => checkChoice({ ...none, depth: 6 })).toThrow(/whole number, 3 to 5/)
    expect(() => checkChoice({ ...none, preemptions: 1 })).toThrow(/bounded and dpor have a bound of preemptions/)
    expect(() => checkChoice({ ...none, strategy: 'pos', depth: 3 })).toThrow(/pct and toy have a depth/)
  })
})
