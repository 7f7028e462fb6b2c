import { afterEach, describe, vi } from 'vitest'
import {
  defineScenario,
  expect,
  gup,
  mapAnonymous,
  MAINLINE,
  defineBug,
  race,
  roles,
  store,
  test,
} from '../dist/src/vitest.js'

// What a user of racewalk/vitest writes. Matchers that fail are asked for their message, which is the report.
const unmapVsPin = defineScenario({
  id: 'unmap-vs-pin',
  summary: 'a page is pinned while its mapping goes',
  arch: 'x86-64',
  cpus: 2,
  build: (s) => {
    const map = [mapAnonymous(s.page(0), s.pageSize), store(s.page(0))]
    const unmap = [{ op: 'munmap', addr: s.page(0), len: s.pageSize } as const, ...map]
    return { boot: map, programs: roles(s, unmap, [gup(s.page(0), 1, { pin: true, fastOnly: true })]) }
  },
})

class NeverLooksAgain extends MAINLINE.GupFast {
  protected override *pteUnchanged(): Generator<undefined, boolean, undefined> {
    return true
  }
}

const patch = defineBug({
  id: 'never-looks-again',
  number: 'mutant',
  year: null,
  upstream: null,
  summary: 'gup_fast trusts the entry it read before it took its reference',
  symptom: 'it returns pages that belong to somebody else',
  scenarios: ['gup-vs-dontneed'],
  parts: { GupFast: NeverLooksAgain as never },
  config: { flushStyle: 'broadcast' },
})

describe('racewalk/vitest', () => {
  afterEach(() => void vi.unstubAllEnvs())

  test('a scenario of the catalogue survives', () => {
    expect(race('gup-vs-split', { executions: 300 })).toSurvive()
  })

  test('a scenario of one’s own survives', () => {
    expect(race(unmapVsPin, { executions: 500 })).toSurvive()
  })

  test('a bug by its number fails, and by which oracle', () => {
    expect(race('gup-vs-upgrade', { bug: 'K13' })).toFail('gup-identity')
    expect(race('gup-vs-upgrade', { bug: 'K13' })).not.toFail('leak')
  })

  test('a patch fails', () => {
    expect(race('gup-vs-dontneed', { bug: patch, executions: 8000 })).toFail()
  })

  test('files are explored: a scenario, and a patch that cures a bug', () => {
    const scenario = new URL('../src/cli/template/scenario.ts', import.meta.url)
    expect(race(scenario, { bug: 'no-recheck' })).toFail('gup-identity')
    expect(race(scenario, { bug: 'no-recheck', patch: 'src/cli/template/patch.ts', executions: 200 })).toSurvive()
  })

  test('a race of files names them in the command that replays it', () => {
    const options = { bug: 'no-recheck', executions: 2000 }
    expect(() => expect(race('src/cli/template/scenario.ts', options)).toSurvive()).toThrow(
      /npx racewalk replay rw2-\S+ --scenario src\/cli\/template\/scenario\.ts$/,
    )
  })

  test('a race that does not survive prints the report and the command that replays it', () => {
    expect(() => expect(race('fault-vs-split', { bug: 'pmdp-inval-addr' })).toSurvive()).toThrow(
      /found in the last:.*TLB multi-hit.*how it came to that.*npx racewalk replay rw2-/s,
    )
  })

  test('a race that was to fail and did not says how much was tried', () => {
    expect(() => expect(race('gup-vs-split', { executions: 50 })).toFail('leak')).toThrow(
      /gup-vs-split: 50 executions found nothing; wanted was a finding of leak/,
    )
  })

  test('the environment looks longer and elsewhere', () => {
    vi.stubEnv('RACEWALK_EXECUTIONS', '7')
    expect(() => expect(race('gup-vs-split', { executions: 50 })).toFail()).toThrow(/7 executions found nothing/)
    vi.stubEnv('RACEWALK_SEED', 'one')
    expect(() => expect(race('gup-vs-split')).toSurvive()).toThrow(/RACEWALK_SEED=one/)
  })
})
