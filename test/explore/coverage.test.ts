import { describe, expect, it } from 'vitest'
import { Coverage, RECORDED_EVERY, RECORDED_FIRST } from '../../dist/src/explore/insight/coverage.js'
import { mergeCoverage, type CoverageData } from '../../dist/src/explore/insight/coverageData.js'
import { explore, type ExploreResult } from '../../dist/src/explore/explore.js'
import { Session } from '../../dist/src/explore/session/session.js'
import { Access } from '../../dist/src/machine/cpu/access.js'
import { insightOf } from '../../dist/src/explore/insight/insight.js'
import type { Op } from '../../dist/src/program/op.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario, type Scenario } from '../../dist/src/scenario/scenario.js'

/** Every schedule of a litmus test, recorded. */
const whole = (scenario: Scenario): ExploreResult =>
  explore({ scenario, strategy: 'bounded', insight: true, executions: 1_000_000 })

const litmus = (id: string, ...programs: Op[][]): Scenario =>
  defineScenario({
    id,
    summary: id,
    arch: 'x86-64',
    cpus: programs.length,
    cpusMax: programs.length,
    exploreOnly: true,
    build: () => ({ boot: [], programs }),
  })

const read = (word: number): Op => ({ op: 'readOnce', word, reg: word })
const write = (word: number): Op => ({ op: 'writeOnce', word, value: 1 })
const add = (word: number): Op => ({ op: 'fetchAdd', word, value: 1, reg: 0 })

describe('executions up to equivalence', () => {
  it.each([
    ['two that write words of their own', litmus('private', [write(0), write(0)], [write(1), write(1)]), 1],
    ['two that only read', litmus('reads', [read(0), read(1)], [read(1), read(0)]), 1],
    ['one write and one read of a word', litmus('rw', [write(0)], [read(0)]), 2],
    ['two writes of a word', litmus('ww', [write(0)], [write(0)]), 2],
    ['store buffering', scenarioById('store-buffering'), 3],
    ['message passing', scenarioById('message-passing'), 3],
    ['three that add to a word', litmus('adds', [add(0)], [add(0)], [add(0)]), 6],
    ['two that add twice: the ways to interleave them', litmus('twice', [add(0), add(0)], [add(0), add(0)]), 6],
    ['IRIW', litmus('iriw', [write(0)], [write(1)], [read(0), read(1)], [read(1), read(0)]), 15],
  ])('are counted: %s', (_, scenario, classes) => {
    const { coverage, complete } = whole(scenario)
    expect(complete).toBe(true)
    expect(insightOf(coverage)).toMatchObject({ distinct: classes, newChance: 0 })
  })

  it('are the same whatever strategy came upon them', () => {
    const scenario = scenarioById('store-buffering')
    const classesOf = (result: ExploreResult): number[] => [...result.coverage.classes.keys()].sort((a, b) => a - b)
    expect(classesOf(explore({ scenario, executions: 2000 }))).toEqual(classesOf(whole(scenario)))
  })
})

describe('pairs of accesses', () => {
  it('are all met in both orders when every schedule was run', () => {
    const { accesses } = insightOf(whole(scenarioById('store-buffering')).coverage)
    expect(accesses).toEqual({ pairs: 2, bothOrders: 2, oneOrder: 0, never: 0, unseen: [] })
  })

  it('that met in one order only are named, the order that was not seen', () => {
    const scenario = scenarioById('message-passing')
    const { accesses } = insightOf(explore({ scenario, strategy: 'bounded', executions: 1 }).coverage)
    expect(accesses.oneOrder).toBe(2)
    expect(accesses.unseen).toContainEqual({
      first: 'CPU 1: readOnce32 word 0',
      second: 'CPU 0: writeOnce32 word 0',
      otherWay: true,
    })
  })
})

describe('pairs of operations', () => {
  const coverage = (id: string, executions: number, strategy: 'bounded' | 'portfolio'): ReturnType<typeof insightOf> =>
    insightOf(explore({ scenario: scenarioById(id), strategy, executions }).coverage)

  it('do not overlap when one CPU runs after the other', () => {
    const { operations } = coverage('gup-vs-munmap-broadcast', 1, 'bounded')
    expect(operations).toMatchObject({ pairs: 8, bothOrders: 0, oneOrder: 0, never: 8 })
    expect(operations.unseen).toContainEqual({ first: 'gup', second: 'munmap', otherWay: false })
  })

  it('overlap with either one first under random schedules', () => {
    expect(coverage('gup-vs-split', 200, 'portfolio').operations).toMatchObject({ pairs: 2, bothOrders: 2, unseen: [] })
  })
})

describe('coverage', () => {
  it('is recorded of the first executions and of some after them, by their number', () => {
    const { coverage } = explore({ scenario: scenarioById('message-passing'), executions: RECORDED_FIRST + 640 })
    expect(coverage.recorded).toBe(RECORDED_FIRST + 640 / RECORDED_EVERY)
    expect(coverage.executions).toBe(RECORDED_FIRST + 640)
  })

  it('leaves an access to no memory to whoever finds it', () => {
    const scenario = scenarioById('gup-vs-split')
    const session = new Session(scenario, null, scenario.cpus)
    const coverage = new Coverage(session.machine, session.bare, true)
    const recorder = coverage.begin(0, 0, { pick: ({ current }) => current, choose: () => 0 })
    for (const addr of [0x7fff_fff8, -8, session.machine.layout.size]) recorder?.step(0, Access.readOnce64, addr)
    recorder?.end()
    coverage.ended(1)
    expect(insightOf(coverage.take())).toMatchObject({ recorded: 1, distinct: 1 })
  })

  it('of parts is merged', () => {
    const scenario = scenarioById('gup-vs-split')
    const parts = [1, 2].map((seed) => explore({ scenario, seed, executions: 60 }).coverage)
    const both = insightOf(mergeCoverage(parts))
    const single = parts.map(insightOf)
    expect(both.recorded).toBe(120)
    expect(both.distinct).toBeGreaterThan(Math.max(...single.map(({ distinct }) => distinct)))
    expect(both.accesses.bothOrders).toBeGreaterThanOrEqual(
      Math.max(...single.map(({ accesses }) => accesses.bothOrders)),
    )
    expect(insightOf(mergeCoverage([parts[0] as never, parts[0] as never])).distinct).toBe(single[0]?.distinct)
  })

  it("names the depth that PCT's bound reaches, by the executions that had it", () => {
    const scenario = scenarioById('store-buffering')
    const covered = (executions: number): CoverageData => explore({ scenario, strategy: 'pct', executions }).coverage
    /** Of so many times the executions. */
    const depth = (data: CoverageData, times = 1): number => {
      const pct = new Map([...data.pct].map(([drawn, executions]) => [drawn, executions * times]))
      return insightOf({ ...data, pct }).pctDepth
    }
    expect(depth(covered(16))).toBe(0)
    // 5 points on 2 CPUs: 1 / (2 · 5) for depth 2, 1 / (2 · 5^5) for depth 6, each in a sixty-fourth of the executions.
    const data = covered(4000)
    expect(depth(data)).toBeGreaterThanOrEqual(2)
    expect(depth(data)).toBeLessThan(6)
    expect(depth(data, 400)).toBe(6)
  })
})
