import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { parseXml } from '../report/xml.js'
import { document, racewalk, type Ended } from './command.js'

const folder = mkdtempSync(join(tmpdir(), 'racewalk-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string): string => join(folder, name)
const files = (): string[] => readdirSync(folder).sort()

const explore = (...args: string[]): Promise<Ended> => racewalk('explore', 'message-passing-reversed', ...args)
const exploreClean = (...args: string[]): Promise<Ended> =>
  racewalk('explore', 'message-passing', '--executions', '50', ...args)

describe('files of a finding', async () => {
  const [html, trace, junit] = [file('a.html'), file('a.json'), file('a.xml')]
  const ended = await explore('--html', html, '--trace', trace, '--junit', junit)

  it('are written, and named after the report', () => {
    expect(ended.code).toBe(1)
    expect(ended.err).toBe('')
    expect(ended.out.trimEnd().split('\n').slice(-3)).toEqual([
      `--html ${html}: written`,
      `--trace ${trace}: written`,
      `--junit ${junit}: written`,
    ])
    expect(files()).toEqual(['a.html', 'a.json', 'a.xml'])
  })

  it('are a page, a trace and a failed test case with the report in it', () => {
    expect(readFileSync(html, 'utf8')).toMatch(/^<!doctype html>[^]*<\/html>\n$/)
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as { traceEvents: { name: string }[] }
    expect(traceEvents.map(({ name }) => name)).toContain('storeRelease32 word 1: 0 → 1')
    const [suite] = parseXml(readFileSync(junit, 'utf8')).children
    const failure = suite?.children[1]?.children[0]
    expect(failure).toMatchObject({ tag: 'failure', attributes: { type: 'outcome' } })
    expect(failure?.text).toMatch(/an ending that is not allowed[^]*npx racewalk replay rw2-/)
  })

  it('are the same when the token is replayed', async () => {
    const token = /replay (rw2-\S+)/.exec(ended.out)?.[1] ?? ''
    const [page, events] = [file('b.html'), file('b.json')]
    expect((await racewalk('replay', token, '--html', page, '--trace', events)).code).toBe(1)
    expect(readFileSync(page, 'utf8')).toBe(readFileSync(html, 'utf8'))
    expect(readFileSync(events, 'utf8')).toBe(readFileSync(trace, 'utf8'))
  })

  it('leave standard output to the document with --json', async () => {
    const silent = await explore('--json', '--html', file('c.html'))
    expect(document(silent)).toMatchObject({ command: 'explore' })
    expect(existsSync(file('c.html'))).toBe(true)
  })

  it('take the place of what was there, whole', async () => {
    writeFileSync(file('d.xml'), 'old'.repeat(10_000))
    symlinkSync(file('d.xml'), file('link.xml'))
    expect((await explore('--junit', file('link.xml'))).code).toBe(1)
    expect(parseXml(readFileSync(file('d.xml'), 'utf8')).tag).toBe('testsuites')
    expect(files().filter((name) => name.includes('tmp'))).toEqual([])
  })
})

describe('without a finding', () => {
  it('page and trace are not written, and that is said; the test case passes', async () => {
    const [html, trace, junit] = [file('e.html'), file('e.json'), file('e.xml')]
    const ended = await exploreClean('--html', html, '--trace', trace, '--junit', junit)
    expect(ended.code).toBe(0)
    expect(ended.out).toContain(`--html ${html}: nothing to show; not written`)
    expect([html, trace].filter(existsSync)).toEqual([])
    const [suite] = parseXml(readFileSync(junit, 'utf8')).children
    expect(suite?.attributes).toMatchObject({ tests: '1', failures: '0', errors: '0' })
  })
})

describe('a file that cannot be written', () => {
  const refused = async (...args: string[]): Promise<string> => {
    const ended = await exploreClean(...args)
    expect({ code: ended.code, out: ended.out }).toEqual({ code: 2, out: '' })
    return ended.err
  }

  it('is refused before the work: no such folder', async () => {
    const path = join(folder, 'nowhere', 'a.html')
    expect(await refused('--html', path)).toMatch(
      /--html .*nowhere[^]*cannot be written: ENOENT[^]*a folder that exists/,
    )
    expect(await refused('--trace', path)).toMatch(/--trace/)
    expect(await refused('--junit', path)).toMatch(/--junit/)
  })

  it('is refused before the work: a folder, or nothing', async () => {
    expect(await refused('--html', folder)).toMatch(/it is a folder/)
    expect(await refused('--html', '')).toMatch(/it is a folder/)
  })

  it.skipIf(process.getuid?.() === 0)(
    'is refused before the work: without the right (root has it anyway)',
    async () => {
      writeFileSync(file('mine.xml'), '')
      chmodSync(file('mine.xml'), 0o444)
      expect(await refused('--junit', file('mine.xml'))).toMatch(/EACCES/)
      mkdirSync(file('closed'), { mode: 0o555 })
      expect(await refused('--junit', join(file('closed'), 'a.xml'))).toMatch(/EACCES/)
    },
  )

  it('is refused when two options name it', async () => {
    expect(await refused('--html', file('f'), '--trace', file('f'))).toMatch(/--trace .*[^]*file of --html, too/)
  })

  it.skipIf(!existsSync('/dev/full'))(
    'for lack of space is complained of after the report, and never replaced',
    async () => {
      const ended = await explore('--html', '/dev/full')
      expect(ended.code).toBe(1)
      expect(ended.out).toMatch(/npx racewalk replay rw2-/)
      expect(ended.err).toMatch(/--html \/dev\/full\n {2}it could not be written: ENOSPC[^]*make room/)
      expect(statSync('/dev/full').isCharacterDevice()).toBe(true)
      expect((await exploreClean('--junit', '/dev/full')).code).toBe(2)
    },
  )
})

describe('JUnit documents of other commands', () => {
  it('have the finding of a stress run', async () => {
    const path = file('stress.xml')
    const args = ['--bug', 'pmdp-inval-addr', '--duration', '10s', '--junit', path]
    expect((await racewalk('stress', 'gup-vs-split', ...args)).code).toBe(1)
    const [suite] = parseXml(readFileSync(path, 'utf8')).children
    expect(suite?.attributes).toMatchObject({ name: 'racewalk stress', tests: '1', failures: '1' })
    expect(suite?.children[1]?.children[0]?.attributes['type']).toBe('tlb-stale')
  })

  it('have a case for each process of a recording, and one for the kernel', async () => {
    const path = file('run.xml')
    expect((await racewalk('run', 'test/fixtures/strace/ls.strace', '--junit', path)).code).toBe(0)
    const [suite] = parseXml(readFileSync(path, 'utf8')).children
    const names = suite?.children.slice(1).map(({ attributes }) => attributes['name'])
    expect(names).toEqual([expect.stringMatching(/^process \d+$/), 'kernel'])
    expect(suite?.attributes).toMatchObject({ failures: '0', errors: '0' })
  })
})
