/**
 * Race tests for vitest, with one import:
 *
 *   import { expect, race, test } from 'racewalk/vitest'
 *
 *   test('gup_fast survives splits', () => {
 *     expect(race('gup-vs-split')).toSurvive()
 *   })
 *
 * A race is explored when a matcher asks. A failure prints the report: the finding, the interleaving, and the command that
 * replays it. RACEWALK_SEED and RACEWALK_EXECUTIONS in the environment override what a test asks for, so that a nightly
 * run can look longer and elsewhere.
 */
import { expect, test } from 'vitest'
import { UsageError } from './base/errors.js'
import type { Bug } from './bug/bug.js'
import { bugById } from './bug/index.js'
import { explore, type ExploreResult } from './explore/explore.js'
import type { StrategyId } from './explore/strategies.js'
import { decodeToken } from './explore/token.js'
import { explain } from './report/explain.js'
import { paletteFor } from './report/palette.js'
import { findingText } from './report/text.js'
import { scenarioById } from './scenario/catalog/index.js'
import type { Scenario } from './scenario/scenario.js'

export { expect, test }
export { defineBug } from './bug/bug.js'
export { MAINLINE } from './boot/parts.js'
export { ADVICE, MAP, MREMAP, PROT } from './program/op.js'
export { defineScenario, dontneed, gup, load, mapAnonymous, renew, roles, store } from './scenario/scenario.js'

export interface RaceOptions {
  /** A bug of the catalogue by name or number, or a patch of one's own; fixed code unless given. */
  readonly bug?: string | Bug
  /** Executions that it must survive, or within which it must fail: 2,000 unless given. */
  readonly executions?: number
  /** 1 unless given. */
  readonly seed?: number
  readonly strategy?: StrategyId
  readonly cpus?: number
}

export interface Race extends RaceOptions {
  readonly scenario: Scenario
}

const EXECUTIONS = 2000

/** A scenario of the catalogue by name, or one's own, to be explored by toSurvive() or toFail(). */
export function race(scenario: string | Scenario, options: RaceOptions = {}): Race {
  return { ...options, scenario: typeof scenario === 'string' ? scenarioById(scenario) : scenario }
}

interface RaceMatchers<R> {
  /** Nothing is found in the race's executions. */
  toSurvive(): R
  /** Something is found; with `oracle`, by that one. */
  toFail(oracle?: string): R
}

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type, @typescript-eslint/no-unused-vars
  interface Matchers<T> extends RaceMatchers<void> {}
}

expect.extend({
  toSurvive(received: Race) {
    const result = run(received)
    return {
      pass: result.finding === null,
      message: () => (result.finding === null ? `${about(received, result)} found nothing` : report(received, result)),
    }
  },
  toFail(received: Race, oracle?: string) {
    const result = run(received)
    const pass = result.finding !== null && (oracle === undefined || result.finding.oracle === oracle)
    const wanted = oracle === undefined ? 'a finding' : `a finding of ${oracle}`
    return {
      pass,
      message: () =>
        result.finding === null
          ? `${about(received, result)} found nothing; wanted was ${wanted}`
          : `${pass ? 'not wanted was' : 'wanted was'} ${wanted}\n\n${report(received, result)}`,
    }
  },
})

function run(race: Race): ExploreResult {
  const { scenario, strategy, cpus } = race
  return explore({
    scenario,
    bug: bugOf(race),
    seed: fromEnvironment('RACEWALK_SEED') ?? race.seed ?? 1,
    executions: fromEnvironment('RACEWALK_EXECUTIONS') ?? race.executions ?? EXECUTIONS,
    shrink: true,
    ...(strategy === undefined ? {} : { strategy }),
    ...(cpus === undefined ? {} : { cpus }),
  })
}

const bugOf = ({ bug = null }: { readonly bug?: string | Bug | null }): Bug | null =>
  typeof bug === 'string' ? bugById(bug) : bug

function fromEnvironment(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${name}=${text}`, 'it is a whole number of at most nine digits')
  return Number(text)
}

const about = ({ scenario }: Race, { executions }: ExploreResult): string => `${scenario.id}: ${executions} executions`

/** The finding as `racewalk explore` prints it, without colours. */
function report(race: Race, result: ExploreResult): string {
  const { finding } = result
  if (finding === null) return ''
  const { machine, rows, history, finding: explained } = explain(decodeToken(finding.token), race.scenario, bugOf(race))
  const options = { machine, rows, history, palette: paletteFor(false), width: 120, full: false, token: finding.token }
  return `${about(race, result)}, found in the last:\n\n${findingText(explained ?? finding, options)}`
}
