import { describe, expect, it } from 'vitest'
import { encodeToken } from '../../dist/src/explore/schedule/token.js'
import { document, racewalk } from './command.js'

/** Each ends with 2, says nothing on standard output, and says this on standard error. */
const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  [
    'a scenario that does not exist',
    ['explore', 'gup-vs-spilt'],
    /no scenario 'gup-vs-spilt'[^]*there are: gup-vs-split,[^]*did you mean 'gup-vs-split'\?/,
  ],
  [
    'a bug that does not exist',
    ['explore', 'gup-vs-split', '--bug', 'dirty-cwo'],
    /no bug 'dirty-cwo'[^]*dirty-cow[^]*did you mean 'dirty-cow'\?/,
  ],
  ['the same for stress', ['stress', 'mixde'], /did you mean 'mixed'\?/],
  [
    'more CPUs than the controlled engine has',
    ['explore', 'gup-vs-split', '--cpus', '31'],
    /gup-vs-split runs on 2 to 30 CPUs/,
  ],
  ['more CPUs than a machine has', ['stress', 'gup-vs-split', '--cpus', '65'], /gup-vs-split runs on 2 to 64 CPUs/],
  ['one CPU', ['stress', 'gup-vs-split', '--cpus', '1'], /2 to 64 CPUs/],
  [
    'a number of CPUs that is no number',
    ['stress', 'gup-vs-split', '--cpus', 'two'],
    /--cpus[^]*'two'[^]*whole number/,
  ],
  ['a demonstration under stress', ['stress', 'message-passing'], /message-passing is not for stress/],
  ['a duration without a unit', ['stress', 'gup-vs-split', '--duration', '5'], /500ms, 5s, 2m/],
  ['a duration of nothing', ['explore', 'gup-vs-split', '--time', '0s'], /500ms, 5s, 2m/],
  ['no executions', ['explore', 'gup-vs-split', '--executions', '0'], /1 or more/],
  ['no shards', ['explore', 'mixed', '--shards', '0'], /--shards[^]*1 to 64/],
  ['too many shards', ['explore', 'mixed', '--shards', '65'], /--shards[^]*1 to 64/],
  ['shards where no schedule is chosen', ['stress', 'mixed', '--shards', '2'], /unknown option '--shards'/],
  ['a directory that is a file', ['explore', 'mixed', '--resume', '/dev/null'], /\/dev\/null[^]*another directory/],
  ['a negative seed', ['explore', 'gup-vs-split', '--seed', '-1'], /seed is a whole number/],
  ['a word that is no token', ['replay', 'gup-vs-split'], /'gup-vs-split' is no token/],
  ['a command that does not exist', ['exlpore', 'mixed'], /unknown command 'exlpore'[^]*explore/],
  ['an option that does not exist', ['explore', 'mixed', '--bugs', 'x'], /unknown option '--bugs'[^]*--bug/],
  ['no scenario', ['explore'], /missing required argument 'SCENARIO'/],
  ['a patch that is not there', ['explore', 'mixed', '--patch', 'gone.ts'], /gone\.ts: there is no such file/],
  ['a scenario’s file that is not there', ['stress', './gone.mjs'], /gone\.mjs: there is no such file/],
  ['a file that is no module', ['explore', 'mixed', '--patch', 'package.json'], /package\.json is no module/],
  ['every step, as text and as JSON', ['replay', 'x', '--full', '--json'], /'--full' cannot be used with .*'--json'/],
  [
    'a seed where nothing is drawn',
    ['explore', 'mixed', '--strategy', 'dpor', '--seed', '3'],
    /--seed 3 with --strategy dpor/,
  ],
  [
    'a depth where there is none',
    ['explore', 'mixed', '--strategy', 'pos', '--depth', '3'],
    /--depth 3 with --strategy pos/,
  ],
  [
    'a bound of preemptions where there is none',
    ['explore', 'mixed', '--preemptions', '2'],
    /--preemptions 2 with --strategy portfolio/,
  ],
  [
    'a delay of everything',
    ['explore', 'retract-vs-gup', '--gp-delay', '100'],
    /--gp-delay 100[^]*percentage from 0 to 99/,
  ],
  [
    'a strategy that does not exist',
    ['explore', 'mixed', '--strategy', 'pcd'],
    /no strategy 'pcd'[^]*portfolio, random, pct, pos, urw, bounded[^]*did you mean 'pc?t?/,
  ],
  ['no depth', ['explore', 'mixed', '--strategy', 'pct', '--depth', '0'], /--depth[^]*1 to 100/],
  ['every step of threads', ['stress', 'mixed', '--full'], /--full without --explore/],
  [
    'a design of page tables and a bug of another',
    ['explore', 'gup-vs-split@powerpc', '--bug', 'list-del-unlisted'],
    /gup-vs-split@powerpc with --bug list-del-unlisted[^]*leave @powerpc out/,
  ],
  ['an option twice', ['explore', 'mixed', '--seed', '1', '--seed', '2'], /--seed twice/],
  [
    'a delay twice',
    ['explore', 'mixed+gp-delay=5', '--gp-delay', '3'],
    /--gp-delay 3 with mixed\+gp-delay=5[^]*leave one out/,
  ],
  [
    'a bug of a kernel that does not run',
    ['explore', 'message-passing', '--bug', 'no-recheck'],
    /--bug no-recheck with message-passing[^]*runs no kernel code/,
  ],
]

describe('racewalk refuses', () => {
  for (const [what, args, said] of REFUSED)
    it(what, async () => {
      const { code, out, err } = await racewalk(...args)
      expect(err).toMatch(said)
      expect(code).toBe(2)
      if (!args.includes('--json')) expect(out).toBe('')
    })

  const token = encodeToken({
    scenario: 'message-passing',
    bug: null,
    patch: null,
    cpus: 2,
    deviations: [],
    reduction: null,
  })

  it('a token with a letter changed, as damaged', async () => {
    const damaged = token.slice(0, 8) + (token[8] === 'A' ? 'B' : 'A') + token.slice(9)
    const { code, err } = await racewalk('replay', damaged)
    expect(code).toBe(2)
    expect(err).toMatch(/is damaged[^]*checksum/)
  })

  it('a token that was cut off, as damaged', async () => {
    expect((await racewalk('replay', token.slice(0, -4))).err).toMatch(/is damaged/)
  })

  it('a token of another version, by its number', async () => {
    const { code, err } = await racewalk('replay', token.replace('rw2-', 'rw9-'))
    expect(code).toBe(2)
    expect(err).toMatch(/of version 9[^]*reads version 2/)
  })

  it('a token of a scenario that does not exist', async () => {
    const { code, err } = await racewalk(
      'replay',
      encodeToken({ scenario: 'gone', bug: null, patch: null, cpus: 2, deviations: [], reduction: null }),
    )
    expect(code).toBe(2)
    expect(err).toMatch(/no scenario 'gone'/)
  })

  it('with one JSON document when asked for JSON', async () => {
    const ended = await racewalk('explore', 'nothing', '--json')
    expect(ended.code).toBe(2)
    expect(document(ended)).toMatchObject({
      error: { kind: 'usage', message: expect.stringContaining("no scenario 'nothing'") },
    })
  })
})

describe('racewalk helps', () => {
  it('with 0', async () => {
    const { code, out } = await racewalk('--help')
    expect(code).toBe(0)
    for (const command of ['list', 'stress', 'explore', 'replay', 'run', 'demo']) expect(out).toContain(command)
    expect(out).toContain('Exit codes: 0 nothing found, 1 a finding, 2 wrong use')
  })
})
