import { describe, expect, it } from 'vitest'
import { explore, type ExploreResult } from '../../dist/src/explore/explore.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario } from '../../dist/src/scenario/scenario.js'

const bounded = (id: string, executions = 100_000): ExploreResult =>
  explore({ scenario: scenarioById(id), strategy: 'bounded', executions })

describe('--strategy bounded', () => {
  it.each([
    // All ways to interleave two CPUs that start and make two accesses each, those of smaller bounds again at each
    // bound.
    ['message-passing', 60, ['flag=0 data=0', 'flag=0 data=1', 'flag=1 data=1']],
    ['store-buffering', 60, ['01', '10', '11']],
  ])('runs every schedule of %s and says so', (id, executions, endings) => {
    const result = bounded(id)
    expect(result).toMatchObject({ executions, complete: true, progress: { estimate: 0 } })
    expect([...result.outcomes.keys()].sort()).toEqual(endings)
  })

  it('finds what needs one preemption before it tries two', () => {
    const { finding, progress } = bounded('gup-fast-miniature')
    expect(finding).not.toBeNull()
    expect(progress?.bound).toBe(0)
  })

  it('says which bound it has gone through, and about how much of the next is to come', () => {
    const whole = bounded('gup-vs-collapse', 2000)
    expect(whole.complete).toBe(false)
    expect(whole.progress).toMatchObject({ bound: 1 })
    expect(whole.progress?.note).toMatch(
      /^every schedule with at most 1 preemption was run; about [\d,]+ with at most 2/,
    )
  })

  it('estimates what is to come: within a factor of two of what then comes', () => {
    const scenario = defineScenario({
      ...scenarioById('store-buffering'),
      id: 'longer',
      build: () => ({
        boot: [],
        programs: [0, 1].map((word) => Array.from({ length: 8 }, () => ({ op: 'writeOnce', word, value: 1 }) as const)),
      }),
      outcome: undefined as never,
      allowed: undefined as never,
    })
    const after = (executions: number): { bound: number; estimate: number } => {
      const { progress } = explore({ scenario, strategy: 'bounded', executions })
      return { bound: progress?.bound ?? -1, estimate: progress?.estimate ?? 0 }
    }
    for (const executions of [100, 500, 1000]) {
      const { bound, estimate } = after(executions)
      expect(after(Math.floor((executions + estimate) / 2)).bound, `after ${executions}`).toBe(bound)
      expect(after((executions + estimate) * 2).bound, `after ${executions}`).toBeGreaterThan(bound)
    }
  })

  it('counts a choice of the program other than the first as a preemption', () => {
    const scenario = defineScenario({
      ...scenarioById('message-passing'),
      id: 'choice',
      build: (s) => ({
        boot: [],
        programs: [[{ op: 'load', addr: { from: s.page(0), step: s.pageSize, count: 3 }, reg: 0 }], []],
      }),
      outcome: undefined as never,
      allowed: undefined as never,
    })
    const { progress } = explore({ scenario, strategy: 'bounded', executions: 4 })
    expect(progress?.bound).toBe(0)
  })
})
