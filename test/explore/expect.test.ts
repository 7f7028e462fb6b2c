import { describe, expect, it } from 'vitest'
import { explore, replay } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import type { Program } from '../../dist/src/program/op.js'
import { defineScenario, mapAnonymous, store, type Scenario, type Setting } from '../../dist/src/scenario/scenario.js'

const scenarioOf = (programs: (s: Setting) => Program[], boot: Program = []): Scenario =>
  defineScenario({
    id: 'expecting',
    summary: 'programs that state results',
    arch: 'x86-64',
    cpus: 2,
    cpusMax: 2,
    build: (s) => ({
      boot: [mapAnonymous(s.page(0), s.pageSize), store(s.page(0), 5), ...boot],
      programs: programs(s),
    }),
  })

describe('a result that a scenario states', () => {
  it('is a finding when it is another one, with operation, result and expectation', () => {
    const scenario = scenarioOf((s) => [[{ op: 'load', addr: s.page(0), expect: 6 }], []])
    const { finding, executions } = explore({ scenario, executions: 5, shrink: true })
    expect(executions).toBe(1)
    expect(finding).toMatchObject({ oracle: 'expect', title: 'load returned 5, expected 6', reduced: null })
    expect(finding?.details[0]).toMatch(/^operation 0 of CPU 0: load 0x/)
    expect(replay(decodeToken(finding?.token ?? ''), scenario, null).finding?.title).toBe(finding?.title)
  })

  it('is checked in every schedule: found where only some break it, and shrunk in its switches alone', () => {
    const scenario = scenarioOf((s) => [
      [store(s.page(0), 6), store(s.page(0), 5), { op: 'load', addr: s.page(0), expect: 5 }],
      [store(s.page(0), 7)],
    ])
    const { finding, executions } = explore({ scenario, executions: 2000, shrink: true, strategy: 'random' })
    expect(executions).toBeGreaterThan(1)
    expect(finding).toMatchObject({ title: 'load returned 7, expected 5', reduced: null, switches: { after: 1 } })
    expect(replay(decodeToken(finding?.token ?? ''), scenario, null)).toMatchObject({ exact: true })
  })

  it('is no finding while it is so', () => {
    const scenario = scenarioOf((s) => [
      [{ op: 'load', addr: s.page(0), expect: 5 }],
      [{ op: 'munmap', addr: s.page(8) + 1, len: s.pageSize, expect: -22 }],
    ])
    expect(explore({ scenario, strategy: 'dpor' })).toMatchObject({ finding: null, complete: true })
  })

  it('is refused in a boot program that has another one', () => {
    const scenario = scenarioOf(() => [[], []], [{ op: 'munmap', addr: 0x1_0001, len: 0x1000, expect: 0 }])
    expect(() => explore({ scenario, executions: 1 })).toThrow(
      /operation 2 of the boot program, munmap 0x10001 len 0x1000, returned -22, expected 0/,
    )
  })
})
