/**
 * Race tests for vitest, with one import:
 *
 *   import { expect, race, test } from 'racewalk/vitest'
 *
 *   test('gup_fast survives splits', () => {
 *     expect(race('gup-vs-split')).toSurvive()
 *   })
 *
 * A race is explored when a matcher asks. A failure prints the report: the finding, the interleaving, and the command
 * that replays it. RACEWALK_SEED and RACEWALK_EXECUTIONS in the environment override what a test asks for, so that a
 * nightly run can look longer and elsewhere.
 */
import { expect, test } from 'vitest'
import { UsageError } from './base/errors.js'
import type { Bug } from './bug/bug.js'
import { bugById } from './bug/index.js'
import { patched, type Patch } from './bug/patch.js'
import { checkBug, checkPatch } from './boot/module/check.js'
import { isFileName, loaded, prepare } from './boot/module/load.js'
import { originOf } from './boot/module/origin.js'
import { shown } from './boot/module/places.js'
import type { Surfaces } from './boot/module/surfaces.js'
import { explore, type ExploreResult } from './explore/explore.js'
import type { StrategyId } from './explore/searches.js'
import { decodeToken } from './explore/schedule/token.js'
import { explain } from './report/explain.js'
import { paletteFor } from './report/palette.js'
import { findingText } from './report/text.js'
import { unfinishedText } from './report/unfinished.js'
import { scenarioById } from './scenario/catalog/index.js'
import { checkScenario } from './scenario/load.js'
import type { Scenario } from './scenario/scenario.js'
import * as kernel from './kernel.js'
import * as racewalk from './index.js'

export { expect, test }
export { defineBug } from './bug/bug.js'
export { definePatch } from './bug/patch.js'
export { MAINLINE } from './subsystem/index.js'
export { ADVICE, MAP, MREMAP, PROT } from './program/op.js'
export {
  defineScenario,
  dontneed,
  gup,
  load,
  madvise,
  mapAnonymous,
  renew,
  roles,
  store,
  storeSmall,
} from './scenario/scenario.js'

export interface RaceOptions {
  /** A bug of the catalogue by name or number, the file of one's own, or what was loaded; fixed code unless given. */
  readonly bug?: string | URL | Bug
  /** The file of a patch, from the folder that vitest runs in, or what loadPatch() gave; on top of the bug. */
  readonly patch?: string | URL | Patch
  /** Executions that it must survive, or within which it must fail: 2,000 unless given. */
  readonly executions?: number
  /** 1 unless given. */
  readonly seed?: number
  readonly strategy?: StrategyId
  /** Of `pct` and of `bounded` and `dpor`, as for explore(). */
  readonly depth?: number
  readonly preemptions?: number
  readonly cpus?: number
  /** Accesses that one execution may make; it grows with the programs unless given. */
  readonly maxSteps?: number
}

export interface Race extends Omit<RaceOptions, 'bug' | 'patch'> {
  readonly scenario: Scenario
  readonly bug: Bug | null
  readonly patch: Patch | null
}

const EXECUTIONS = 2000

/**
 * A scenario of the catalogue by name, the file of one's own, or one that was defined, to be explored by toSurvive() or
 * toFail(). Throws UsageError for names that are none, and for files, with the line that is wrong.
 */
export function race(scenario: string | URL | Scenario, options: RaceOptions = {}): Race {
  return { ...options, scenario: scenarioOf(scenario), bug: bugOf(options.bug), patch: patchOf(options.patch) }
}

/** Files get the modules that this test has: vitest may have loaded them in its own way. */
const SURFACES: Surfaces = { racewalk, 'racewalk/kernel': kernel }

const isFile = (value: unknown): value is string | URL =>
  value instanceof URL || (typeof value === 'string' && isFileName(value))

function scenarioOf(scenario: string | URL | Scenario): Scenario {
  if (isFile(scenario)) return loaded(prepare(scenario, 'scenario'), SURFACES, checkScenario)
  return typeof scenario === 'string' ? scenarioById(scenario) : scenario
}

function bugOf(bug: string | URL | Bug | undefined): Bug | null {
  if (isFile(bug)) return loaded(prepare(bug, 'kernel'), SURFACES, checkBug)
  return typeof bug === 'string' ? bugById(bug) : (bug ?? null)
}

function patchOf(patch: string | URL | Patch | undefined): Patch | null {
  if (typeof patch === 'string' || patch instanceof URL) return loaded(prepare(patch, 'kernel'), SURFACES, checkPatch)
  return patch ?? null
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
    const { finding, unfinished } = result
    return {
      pass: finding === null && unfinished === 0,
      message: () => {
        if (finding !== null) return report(received, result)
        return `${about(received, result)} found nothing${unfinished === 0 ? '' : ', but ' + notFinished(result)}`
      },
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
          ? `${about(received, result)} found nothing${result.unfinished === 0 ? '' : `, and ${notFinished(result)}`}; wanted was ${wanted}`
          : `${pass ? 'not wanted was' : 'wanted was'} ${wanted}\n\n${report(received, result)}`,
    }
  },
})

function run(race: Race): ExploreResult {
  const { scenario, bug, patch, strategy, depth, preemptions, cpus, maxSteps } = race
  return explore({
    scenario,
    bug,
    patch,
    seed: fromEnvironment('RACEWALK_SEED') ?? race.seed ?? 1,
    executions: fromEnvironment('RACEWALK_EXECUTIONS') ?? race.executions ?? EXECUTIONS,
    shrink: true,
    ...(strategy === undefined ? {} : { strategy }),
    ...(depth === undefined ? {} : { depth }),
    ...(preemptions === undefined ? {} : { preemptions }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(maxSteps === undefined ? {} : { maxSteps }),
  })
}

function fromEnvironment(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${name}=${text}`, 'it is a whole number of at most nine digits')
  return Number(text)
}

const notFinished = ({ unfinished, maxSteps }: ExploreResult): string => unfinishedText(unfinished, maxSteps)

const about = ({ scenario }: Race, { executions }: ExploreResult): string => `${scenario.id}: ${executions} executions`

/** The finding as `racewalk explore` prints it, without colours. */
function report(race: Race, result: ExploreResult): string {
  const { finding } = result
  if (finding === null) return ''
  const { scenario, bug, patch } = race
  const explanation = explain(decodeToken(finding.token), scenario, patched(bug, patch))
  const replayOptions = Object.entries({ scenario, bug, patch }).flatMap(([option, value]) => {
    const origin = originOf(value)
    return origin === null ? [] : [` --${option} ${shown(origin.file)}`]
  })
  const { token, switches } = finding
  const looks = { palette: paletteFor(false), width: 120, full: false }
  const options = { ...explanation, ...looks, switches, token, replayOptions: replayOptions.join('') }
  return `${about(race, result)}, found in the last:\n\n${findingText(explanation.finding ?? finding, options)}`
}
