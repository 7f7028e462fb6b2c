import { describe, expect, it } from 'vitest'
import { bugs } from '../../dist/src/bug/index.js'
import { explore, exploreAsync, replay } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import { defineScenario } from '../../dist/src/scenario/scenario.js'

const sameBut = ({
  oracle,
  title,
  cpu,
  address,
  stack,
}: NonNullable<ReturnType<typeof replay>['finding']>): object => ({ oracle, title, cpu, address, stack })

describe('replay', () => {
  it('of a litmus finding takes every recorded turn and ends the same, for 100 seeds', () => {
    const scenario = scenarioById('message-passing-reversed')
    for (let seed = 0; seed < 100; seed++) {
      const { finding } = explore({ scenario, seed, executions: 500 })
      if (finding === null) throw new Error(`seed ${seed}: nothing found in 500 executions`)
      const again = replay(decodeToken(finding.token), scenario, null)
      expect(again.exact, `seed ${seed}`).toBe(true)
      expect(again.finding?.title).toBe(finding.title)
    }
  })

  it('of a kernel finding gives the same finding at the same place, for 10 seeds', () => {
    const scenario = scenarioById('fault-vs-split')
    const bug = bugs.find(({ id }) => id === 'pmdp-inval-addr') ?? null
    for (let seed = 0; seed < 10; seed++) {
      const { finding } = explore({ scenario, bug, seed, executions: 3000 })
      if (finding === null) throw new Error(`seed ${seed}: nothing found in 3000 executions`)
      const again = replay(decodeToken(finding.token), scenario, bug)
      expect(again.exact, `seed ${seed}`).toBe(true)
      if (again.finding === null) throw new Error(`seed ${seed}: the replay found nothing`)
      expect(sameBut(again.finding)).toEqual(sameBut(finding))
    }
  })

  it('says where it left the recording when the token is of other code', () => {
    const scenario = scenarioById('message-passing-reversed')
    const { finding } = explore({ scenario, executions: 500 })
    const token = decodeToken(finding?.token ?? '')
    const foreign = { cpu: 1, operation: 0, what: 1, occurrence: 0, action: 0 }
    const longer = replay({ ...token, deviations: [...token.deviations, foreign] }, scenario, null)
    expect(longer).toMatchObject({ exact: false, taken: token.deviations.length, missed: foreign })
    const other = replay({ ...token, deviations: [foreign, ...token.deviations] }, scenario, null)
    expect(other).toMatchObject({ exact: false, taken: 0, missed: foreign })
  })
})

describe('explore', () => {
  it('does the same with the same seed and something else with another', () => {
    const scenario = scenarioById('message-passing')
    const endings = (seed: number): object => Object.fromEntries(explore({ scenario, seed, executions: 400 }).outcomes)
    expect(endings(3)).toEqual(endings(3))
    expect(endings(3)).not.toEqual(endings(4))
  })

  it('goes the same way in slices', async () => {
    const scenario = scenarioById('message-passing')
    const [whole, sliced] = [
      explore({ scenario, executions: 5000 }),
      await exploreAsync({ scenario, executions: 5000 }),
    ]
    expect(sliced.executions).toBe(5000)
    expect(Object.fromEntries(sliced.outcomes)).toEqual(Object.fromEntries(whole.outcomes))
  })

  it('lets the event loop turn while it runs', async () => {
    let stopped = false
    setTimeout(() => (stopped = true), 10)
    const { finding, executions } = await exploreAsync({
      scenario: scenarioById('message-passing'),
      stop: () => stopped,
    })
    expect(finding).toBeNull()
    expect(executions).toBeGreaterThan(0)
  })

  it('passes by findings that are not wanted, and reports the first of them if nothing else comes', () => {
    const scenario = scenarioById('message-passing-reversed')
    const result = explore({ scenario, executions: 500, wanted: ({ oracle }) => oracle === 'tlb-stale' })
    expect(result.executions).toBe(500)
    expect(result.finding?.oracle).toBe('outcome')
  })

  it('counts operations', () => {
    const idle = defineScenario({
      ...scenarioById('message-passing'),
      id: 'four',
      build: () => ({ boot: [], programs: [[{ op: 'smpMb' }], [{ op: 'smpMb' }, { op: 'smpMb' }]] }),
      allowed: undefined as never,
      outcome: undefined as never,
    })
    expect(explore({ scenario: idle, executions: 10 }).operations).toBe(30)
  })
})
