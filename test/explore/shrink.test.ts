import { describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, replay, type ExploreResult } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import {
  defineScenario,
  dontneed,
  gup,
  load,
  mapAnonymous,
  store,
  storeSmall,
} from '../../dist/src/scenario/scenario.js'

// What is drawn here is drawn with fixed seeds, so these tests cannot fail by chance. That each bug of the corpus stays
// what it is when it is shrunk is in race/bugs.test.ts.

/** khugepaged against gup_fast on one huge range; everything else, on the other range, has nothing to do with it. */
const noisy = defineScenario({
  id: 'noisy',
  summary: 'a race, and much besides',
  arch: 'x86-64',
  cpus: 4,
  config: { flushStyle: 'broadcast' },
  build: (s) => {
    const [at, other] = [s.huge(0), s.huge(1)]
    const anywhere = { from: other, step: s.pageSize, count: 4 }
    const noise: Program = [store(other, 1, 3), { op: 'load', addr: anywhere }]
    return {
      boot: [mapAnonymous(at, 2 * s.hugeSize), ...storeSmall(s, at, 4)],
      programs: [
        [{ op: 'repeat', times: 2, body: [{ op: 'oneOf', of: [noise, [load(other)]] }] }],
        [load(other), { op: 'collapse', addr: at }, ...noise],
        noise,
        [...noise, { op: 'oneOf', of: [[gup(at, 1, { fastOnly: true })], [load(other)]] }, load(other)],
      ],
    }
  },
})

const kinds = ({ session }: ExploreResult): string[][] => session.programs.map((program) => program.map(({ op }) => op))

describe('a finding with noise around it', () => {
  const bug = bugById('gup-collapse-pmd')
  const result = explore({ scenario: noisy, bug, seed: 3, executions: 60_000, shrink: true })
  const { finding } = result

  it('is reduced to the two operations that race, the branches that led there, and the switches between them', () => {
    expect(kinds(result)).toEqual([[], ['collapse'], [], ['gup']])
    expect(finding?.reduced).toEqual({ operations: { before: 14, after: 2 }, cpus: { before: 4, after: 2 } })
    expect(finding?.switches?.after).toBeLessThanOrEqual(2)
  })

  it('is in a token that replays it exactly, in nobody else’s time', () => {
    const token = decodeToken(finding?.token ?? '')
    const again = replay(token, noisy, bug)
    expect(again).toMatchObject({ exact: true, finding: { oracle: finding?.oracle, title: finding?.title } })
    expect(again.session.operationsDone).toBeLessThanOrEqual(2)
  })

  it('is reduced in the same way when it is asked again', () => {
    expect(explore({ scenario: noisy, bug, seed: 3, executions: 60_000, shrink: true }).finding).toEqual(finding)
  })

  it('has a token that says what a scenario lacks which has become shorter', () => {
    const shorter = {
      ...noisy,
      build: (setting: Parameters<typeof noisy.build>[0]) => {
        const { boot, programs } = noisy.build(setting)
        return { boot, programs: programs.map((program) => program.slice(0, 1)) }
      },
    }
    expect(() => replay(decodeToken(finding?.token ?? ''), shorter, bug)).toThrow(
      /keeps operation 1 of CPU 1, and the scenario has none/,
    )
  })

  it('is found again by a search among what is left, and reduced no further than that', () => {
    const { reduction } = decodeToken(finding?.token ?? '')
    const again = explore({ scenario: noisy, bug, seed: 9, executions: 20_000, reduction, shrink: true })
    expect(kinds(again)).toEqual([[], ['collapse'], [], ['gup']])
  })
})

describe('sizes', () => {
  it('become the least with which it fails', () => {
    const scenario = defineScenario({
      id: 'sizes',
      summary: 'pages that are dropped and gone through',
      arch: 'x86-64',
      cpus: 2,
      config: { thp: 'never' },
      build: (s) => {
        const at = s.page(0)
        const touch: Op = { op: 'load', addr: at, pages: 4 }
        return {
          boot: [mapAnonymous(at, 4 * s.pageSize), store(at, 1, 4)],
          programs: [[dontneed(at, 4 * s.pageSize)], [touch]],
        }
      },
    })
    const bug = bugById('missing-tlb-flush')
    const { finding, session } = explore({ scenario, bug, executions: 5000, shrink: true })
    const { pageSize } = session.machine.geo
    expect(finding).not.toBeNull()
    for (const op of session.programs.flat()) {
      if (op.op === 'madvise') expect(op.len).toBe(pageSize)
      if (op.op === 'load') expect(op.pages).toBe(1)
    }
    expect(session.programs.flat().length).toBeGreaterThan(0)
    expect(replay(decodeToken(finding?.token ?? ''), scenario, bug)).toMatchObject({ exact: true })
  })
})

describe('programs stay whole', () => {
  it('where an ending is judged, which is of all of them', () => {
    const { finding, session } = explore({
      scenario: scenarioById('gup-fast-miniature'),
      executions: 10_000,
      shrink: true,
    })
    expect(finding).toMatchObject({ oracle: 'outcome', reduced: null })
    expect(session.programs).toBe(session.wholePrograms)
  })

  it('where CPUs hang and operations wait for others: what is left out may be what they wait for', () => {
    const waits = defineScenario({
      id: 'waits',
      summary: 'two CPUs that wait for each other’s word',
      arch: 'x86-64',
      cpus: 2,
      build: (s) => {
        const wait = (word: number): Program => [
          { op: 'awaitWord', word, value: 1 },
          { op: 'writeOnce', word: 1 - word, value: 1 },
        ]
        return { boot: [mapAnonymous(s.page(0), s.pageSize)], programs: [[load(s.page(0)), ...wait(0)], wait(1)] }
      },
    })
    const { finding } = explore({ scenario: waits, executions: 10, shrink: true })
    expect(finding).toMatchObject({ oracle: 'deadlock', reduced: null })
  })
})

describe('switches', () => {
  // CPUs wait for a lock of RCU on the way, and stretches of so many points are others without: there 9 of them are
  // left.
  it('go by the names of their places too, where lengths of turns are no help', () => {
    const options = { scenario: scenarioById('leave-vs-purge'), bug: bugById('s390-attach-window'), seed: 3 }
    const { finding } = explore({ ...options, executions: 8000, shrink: true })
    expect(finding?.switches?.before).toBeGreaterThan(20)
    expect(finding?.switches?.after).toBeLessThanOrEqual(7)
  })
})
