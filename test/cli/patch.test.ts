import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { shown } from '../../dist/src/boot/module/places.js'
import { document, racewalk } from './command.js'

// What a module may be and what it may not is in ../boot/module.command.test.ts; here is what the commands make of it.

const folder = mkdtempSync(join(tmpdir(), 'racewalk-patch-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, code: string): string {
  const path = join(folder, name)
  writeFileSync(path, code)
  return path
}

const patchOf = (
  method: string,
): string => `import { definePatch, type PhysAddr, type PteWord, type Step } from 'racewalk/kernel'

interface Gone {
  word: PteWord
}

export default definePatch({
  parts: {
    GupFast: (Base) =>
      class Trusting extends Base {
        protected override *pteUnchanged(): Step<boolean> {
          ${method}
        }
        protected override *pmdUnchanged(): Step<boolean> {
          ${method}
        }
      },
  },
  config: { flushStyle: 'broadcast' },
})
`
const trusting = file('trusting.ts', patchOf('return true'))
const throwing = file('throwing.ts', patchOf("return JSON.parse('{')"))
const scenario = file(
  'pinning.ts',
  `import { defineScenario, gup, mapAnonymous, roles, store } from 'racewalk'
export default defineScenario({
  id: 'pin-vs-unmap', summary: 's', arch: 'x86-64', cpus: 2,
  build: (s) => {
    const at = s.page(0)
    const map = [mapAnonymous(at, s.pageSize), store(at)]
    return {
      boot: map,
      programs: roles(s, [{ op: 'munmap', addr: at, len: s.pageSize }, ...map], [gup(at, 1, { pin: true, fastOnly: true })]),
    }
  },
})
`,
)
const bug = file(
  'bug.mjs',
  `import { defineBug, MAINLINE } from 'racewalk'
class NeverLooks extends MAINLINE.GupFast {
  *pteUnchanged() { return true }
  *pmdUnchanged() { return true }
}
export default defineBug({
  id: 'never-looks', number: 'mutant', year: null, upstream: null, summary: 's', symptom: 's', scenarios: [],
  parts: { GupFast: NeverLooks },
  config: { flushStyle: 'broadcast' },
})
`,
)

interface Found {
  title: string
  oracle: string
  token: string
  stack: string[]
}

const FOUND = ['--executions', '5000', '--json'] as const

describe('a patch', async () => {
  const explored = await racewalk('explore', 'gup-vs-split', '--patch', trusting, ...FOUND)
  const found = document(explored)
  const { token, title } = (found['findings'] as [Found])[0]

  it('is explored, and named with a hash of its contents', () => {
    expect(explored.code).toBe(1)
    expect(found).toMatchObject({
      bug: null,
      patch: { file: shown(trusting), hash: expect.stringMatching(/^[0-9a-f]{12}$/) },
    })
  })

  it('is in the command that replays what it did', async () => {
    const { out } = await racewalk('explore', 'gup-vs-split', '--patch', trusting, '--executions', '5000')
    expect(out).toMatch(/gup-vs-split, fixed code, patched by .*trusting\.ts: /)
    expect(out.trimEnd().split('\n').at(-1)).toBe(`  npx racewalk replay ${token} --patch ${shown(trusting)}`)
  })

  it('is replayed step for step', async () => {
    const replayed = document(await racewalk('replay', token, '--patch', trusting, '--json'))
    expect(replayed).toMatchObject({ exact: true, findings: [{ title }], patch: { file: shown(trusting) } })
  })

  it('runs in threads', async () => {
    const { code, out } = await racewalk(
      'stress',
      'gup-vs-dontneed-broadcast',
      '--patch',
      trusting,
      '--duration',
      '5m',
      '--json',
    )
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      patch: { file: shown(trusting) },
      engine: 'free',
      stopped: 'finding',
      fault: null,
    })
  })

  it('that throws is at fault itself, in both engines, with the line in its source', async () => {
    for (const args of [
      ['explore', 'gup-vs-split'],
      ['stress', 'gup-vs-split', '--duration', '5m'],
      ['stress', 'gup-vs-split', '--perturb', '--duration', '5m'],
    ]) {
      const { code, err } = await racewalk(...args, '--patch', throwing)
      expect(err).toMatch(
        /throwing\.ts:1[25]:\d+: SyntaxError: .*JSON[^]*Trusting\.p(te|md)Unchanged \(.*throwing\.ts:1[25]:/,
      )
      expect(code).toBe(2)
    }
  })

  it('that does not compile is shown with file, line and column', async () => {
    const wrong = file('wrong.ts', patchOf('return 1'))
    const { code, err, out } = await racewalk('explore', 'gup-vs-split', '--patch', wrong)
    expect(err).toMatch(
      /wrong\.ts does not compile\n {2}.*wrong\.ts:\d+:\d+: [^]*Type 'number' is not assignable to type 'boolean'/,
    )
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })

  it('and a bug that set the same thing otherwise are refused', async () => {
    const other = file('other.ts', patchOf('return true').replace("'broadcast'", "'ipi'"))
    const { code, err } = await racewalk('explore', 'gup-vs-split', '--bug', 'no-recheck', '--patch', other)
    expect(err).toMatch(/--bug no-recheck with --patch .*other\.ts\n.*flushStyle to broadcast, the other to ipi/)
    expect(code).toBe(2)
  })
})

describe('a scenario and a bug from files', async () => {
  const explored = document(await racewalk('explore', scenario, '--bug', bug, ...FOUND))
  const { token, title } = (explored['findings'] as [Found])[0]

  it('are explored', () => {
    expect(explored).toMatchObject({
      scenario: 'pin-vs-unmap',
      bug: 'never-looks',
      findings: [{ oracle: 'gup-identity' }],
    })
  })

  it('are replayed from their files', async () => {
    const replayed = document(await racewalk('replay', token, '--scenario', scenario, '--bug', bug, '--json'))
    expect(replayed).toMatchObject({ exact: true, findings: [{ title }] })
  })

  it('are asked for when a token needs them', async () => {
    expect((await racewalk('replay', token)).err).toMatch(/no scenario 'pin-vs-unmap'[^]*add --scenario FILE/)
    expect((await racewalk('replay', token, '--scenario', scenario)).err).toMatch(
      /no bug 'never-looks'[^]*add --bug FILE/,
    )
  })

  it('run in threads, and on another architecture', async () => {
    expect((await racewalk('stress', scenario, '--bug', bug, '--duration', '5m', '--json')).code).toBe(1)
    const other = await racewalk('explore', `${scenario}@s390`, '--executions', '20', '--json')
    expect(document(other)).toMatchObject({ scenario: 'pin-vs-unmap@s390', arch: 's390', findings: [] })
  })
})
