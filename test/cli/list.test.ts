import { describe, expect, it } from 'vitest'
import { document, racewalk } from './command.js'

interface Listed {
  scenarios: { id: string; arch: string; cpus: number; summary: string }[]
  bugs: {
    id: string
    number: string
    year: number | null
    upstream: object | null
    summary: string
    scenarios: string[]
  }[]
  architectures: { id: string }[]
}

describe('racewalk list', async () => {
  const listed = document(await racewalk('list', '--json')) as unknown as Listed
  const scenarioIds = listed.scenarios.map(({ id }) => id)

  it('has every scenario of the first catalogue', () => {
    expect(scenarioIds).toEqual(
      expect.arrayContaining([
        'gup-vs-split',
        'gup-vs-collapse',
        'gup-vs-munmap',
        'gup-vs-dontneed',
        'fault-vs-split',
        'collapse-vs-munmap',
        'fork-vs-gup',
        'mremap-vs-touch',
        'mixed',
        'message-passing',
      ]),
    )
  })

  it('describes each scenario', () => {
    for (const scenario of listed.scenarios) {
      expect(scenario).toMatchObject({
        arch: expect.stringMatching(/^(x86-64|s390|powerpc)$/),
        summary: expect.any(String),
      })
      expect(scenario.cpus).toBeGreaterThanOrEqual(2)
    }
  })

  it('names only scenarios that exist as those that show a bug', () => {
    for (const { id, scenarios } of listed.bugs)
      expect(
        scenarios.filter((scenario) => !scenarioIds.includes(scenario)),
        id,
      ).toEqual([])
  })

  it('has the bugs of the first catalogue and four mutants, each with a scenario that shows it', () => {
    const shown = listed.bugs.filter(({ scenarios }) => scenarios.length > 0).map(({ number }) => number)
    const first = ['01', '02', '03', '12', '15', '19', '26', '45', '64'].map((number) => `BUG-${number}`)
    expect(shown).toEqual(expect.arrayContaining(first))
    expect(shown.filter((number) => number === 'mutant').length).toBeGreaterThanOrEqual(4)
  })

  it('gives upstream bugs a year and the commit of their fix, if it is known', () => {
    for (const { id, year, upstream } of listed.bugs.filter((bug) => bug.upstream !== null)) {
      expect(year, id).toBeGreaterThan(2000)
      expect(upstream, id).toMatchObject({ fixed: expect.stringMatching(/^([0-9a-f]{12}|unknown)$/) })
    }
  })

  it('gives every id once', () => {
    const ids = [...scenarioIds, ...listed.bugs.map(({ id }) => id)]
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('says the same in words', async () => {
    const { code, out } = await racewalk('list')
    expect(code).toBe(0)
    for (const id of scenarioIds) expect(out).toContain(id)
  })
})
