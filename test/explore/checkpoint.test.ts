import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, type ExploreOptions, type ExploreResult } from '../../dist/src/explore/explore.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'

const scenario = scenarioById('message-passing')

/** What does not depend on how often it was stopped. */
function said({ executions, steps, operations, finding, outcomes }: ExploreResult): object {
  return { executions, steps, operations, finding, outcomes: Object.fromEntries(outcomes) }
}

let parent = ''
let resume = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'racewalk-'))
  resume = join(parent, 'kept')
})
afterEach(() => rmSync(parent, { recursive: true }))

const file = (): string => join(resume, 'exploration.json')
const stopAfter = (count: number) => ({ stop: (executions: number) => executions >= count })

describe('an exploration that is kept', () => {
  it('and stopped three times comes to what one in one go comes to', () => {
    for (const count of [1, 500, 1300]) {
      const { executions, unkept } = explore({ scenario, resume, ...stopAfter(count) })
      expect(executions).toBeGreaterThanOrEqual(count)
      expect(unkept).toBeNull()
    }
    const last = explore({ scenario, resume, executions: 3000 })
    expect(last.resumed?.executions).toBeGreaterThanOrEqual(1300)
    expect(said(last)).toEqual(said(explore({ scenario, executions: 3000 })))
  })

  it('finds what it would have found without the stop, and says so again when it is asked again', () => {
    const options = { scenario: scenarioById('gup-vs-split'), bug: bugById('no-recheck'), seed: 3, shrink: true }
    const alone = explore(options)
    explore({ ...options, resume, ...stopAfter(32) })
    const found = explore({ ...options, resume })
    expect(found.resumed?.executions).toBe(32)
    expect(said(found)).toEqual(said(alone))
    const again = explore({ ...options, resume })
    expect(again.resumed?.executions).toBe(alone.executions)
    expect(said(again)).toEqual(said(alone))
  })

  it('has nothing to do when it has done as much before', () => {
    explore({ scenario, resume, executions: 100 })
    expect(explore({ scenario, resume, executions: 60 }).executions).toBe(100)
  })

  it('begins in a directory that is empty, or that a process which was killed left a piece in', () => {
    mkdirSync(resume)
    writeFileSync(join(resume, 'exploration.json.4711.tmp'), '{"format":"racew')
    expect(explore({ scenario, resume, executions: 50 }).resumed).toBeNull()
    expect(explore({ scenario, resume, executions: 60 }).resumed?.executions).toBe(50)
  })
})

describe('an exploration is not continued', () => {
  it.each<[string, Partial<ExploreOptions>, RegExp]>([
    [
      'scenario',
      { scenario: scenarioById('store-buffering') },
      /SCENARIO was message-passing, now it is store-buffering/,
    ],
    ['bug', { bug: bugById('no-recheck') }, /--bug was not given, now it is no-recheck/],
    ['seed', { seed: 2 }, /--seed was 1, now it is 2/],
    ['strategy', { strategy: 'pct' }, /--strategy was portfolio, now it is pct/],
    ['check', { check: true }, /--check was not given, now it is given/],
    ['goal', { wanted: 'tlb-stale' }, /what is wanted was not given, now it is tlb-stale/],
  ])('with another %s, and stays as it was', (_, more, message) => {
    explore({ scenario, resume, executions: 50 })
    const before = readFileSync(file(), 'utf8')
    expect(() => explore({ scenario, resume, executions: 100, ...more })).toThrow(message)
    expect(readFileSync(file(), 'utf8')).toBe(before)
  })

  it('by another build of racewalk', () => {
    explore({ scenario, resume, executions: 50 })
    const { format, contents } = JSON.parse(readFileSync(file(), 'utf8')) as {
      format: string
      contents: { asked: Record<string, unknown> }
    }
    contents.asked['the build of racewalk'] = '0123456789abcdef'
    const checksum = createHash('sha256').update(JSON.stringify(contents)).digest('hex').slice(0, 16)
    writeFileSync(file(), JSON.stringify({ format, checksum, contents }))
    expect(() => explore({ scenario, resume, executions: 100 })).toThrow(
      /another exploration: the build of racewalk was 0123456789abcdef, now it is \w{16}/,
    )
  })

  it.each([
    ['cut off', (text: string) => text.slice(0, 100), /exploration\.json is damaged/],
    ['changed', (text: string) => text.replace('"executions":50', '"executions":51'), /damaged\n.*checksum/],
    ['empty', () => '', /exploration\.json is damaged/],
    [
      'of another version',
      (text: string) => text.replace('exploration 3', 'exploration 9'),
      /'racewalk exploration 9'/,
    ],
    ['something else', () => 'null', /exploration\.json is damaged/],
  ])('from a file that is %s, and that is not written over', (_, damage, message) => {
    explore({ scenario, resume, executions: 50 })
    const damaged = damage(readFileSync(file(), 'utf8'))
    writeFileSync(file(), damaged)
    expect(() => explore({ scenario, resume, executions: 100 })).toThrow(message)
    expect(readFileSync(file(), 'utf8')).toBe(damaged)
  })

  it('in a directory that holds something else', () => {
    mkdirSync(resume)
    writeFileSync(join(resume, 'thesis.tex'), 'years of work')
    expect(() => explore({ scenario, resume, executions: 50 })).toThrow(/holds no exploration, but thesis\.tex/)
    expect(readdirSync(resume)).toEqual(['thesis.tex'])
  })

  it('where no directory can be', () => {
    writeFileSync(resume, '')
    expect(() => explore({ scenario, resume, executions: 50 })).toThrow(/cannot read .*kept: ENOTDIR/)
    expect(() => explore({ scenario, resume: '/dev/null/kept', executions: 50 })).toThrow(/ENOTDIR/)
  })
})

describe('a disk that is full', () => {
  // What is written to /dev/full does not fit.
  const fill = (): void => symlinkSync('/dev/full', join(resume, `exploration.json.${process.pid}.tmp`))

  it('when it begins is wrong use', () => {
    mkdirSync(resume)
    fill()
    expect(() => explore({ scenario, resume, executions: 50 })).toThrow(/cannot keep .*: ENOSPC[^]*make room/)
  })

  it('later loses neither the result nor what was kept before', () => {
    explore({ scenario, resume, executions: 50 })
    const before = readFileSync(file(), 'utf8')
    let filled = false
    const stop = (): boolean => {
      if (!filled) fill()
      filled = true
      return false
    }
    const result = explore({ scenario, resume, executions: 200, stop })
    expect(result.unkept).toMatch(/cannot keep the exploration in .*kept: ENOSPC: no space left on device/)
    expect(said(result)).toEqual(said(explore({ scenario, executions: 200 })))
    // But for the seconds, it is what was there.
    const tally = (text: string): unknown => (JSON.parse(text) as { contents: { tally: unknown } }).contents.tally
    expect(tally(readFileSync(file(), 'utf8'))).toEqual(tally(before))
    expect(explore({ scenario, resume, executions: 200 }).resumed?.executions).toBe(50)
  })
})

describe('a directory that may not be written', () => {
  // Root may write anywhere.
  it.skipIf(process.getuid?.() === 0)('is wrong use', () => {
    explore({ scenario, resume, executions: 50 })
    chmodSync(resume, 0o555)
    expect(() => explore({ scenario, resume, executions: 60 })).toThrow(/cannot keep .*EACCES/)
    chmodSync(resume, 0o755)
  })
})
