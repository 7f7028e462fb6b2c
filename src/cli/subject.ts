/**
 * The subject of a command: a scenario, on mainline or a bug, with a patch or without, each by its name or from a file.
 */
import { bugById, bugs } from '../bug/index.js'
import { patched } from '../bug/patch.js'
import { isFileName, loadBug, loadPatch } from '../boot/module/load.js'
import { originOf, patchMark } from '../boot/module/origin.js'
import { shown } from '../boot/module/places.js'
import { checkConflicts, type Chosen } from './conflicts.js'
import { UsageError } from '../base/errors.js'
import type { Token } from '../explore/schedule/token.js'
import type { Explanation } from '../report/explain.js'
import type { PlayedExecution } from '../report/playerHtml.js'
import type { RunDocument } from '../report/json.js'
import { scenarioOf, scenarios, withGpDelay } from '../scenario/catalog/index.js'
import { loadScenario } from '../scenario/load.js'
import type { Scenario } from '../scenario/scenario.js'

export interface Subject extends Chosen {
  /** Options that replay needs beside a token: ` --patch fix.ts`. */
  readonly replayOptions: string
}

/** How a scenario, a bug and a patch were named: by name, or the first two as the patch by a file. */
export interface SubjectNames {
  readonly bug?: string | undefined
  readonly patch?: string | undefined
}

/**
 * The scenario of a name or a file, with `@DESIGN` behind it or not, on the kernel that `names` ask for. Throws
 * UsageError for names that are none, with the nearest, and for files, with the line that is wrong.
 */
export async function subjectOf(id: string, names: SubjectNames & { gpDelay?: number }): Promise<Subject> {
  const [file = '', design] = id.split(/@(?=[\w-]+$)/)
  const own = isFileName(file) ? await loadScenario(file) : null
  const scenario =
    own === null ? scenarioOf(id, scenarios) : scenarioOf(design === undefined ? own.id : `${own.id}@${design}`, [own])
  const { gpDelay } = names
  const subject = await onKernel(gpDelay === undefined ? scenario : withGpDelay(scenario, gpDelay), own, names)
  checkConflicts({ ...names, id }, subject)
  return subject
}

/** What `token` is of; what is not in the catalogue is in files. */
export async function subjectOfToken(token: Token, names: SubjectNames & { scenario?: string }): Promise<Subject> {
  const own = names.scenario === undefined ? null : await loadScenario(names.scenario)
  if (own === null) checkKnown('scenario', token.scenario.replace(/[@+].*/, ''), scenarios)
  if (names.bug === undefined && token.bug !== null) checkKnown('bug', token.bug, bugs)
  const scenario = scenarioOf(token.scenario, own === null ? scenarios : [own])
  const subject = await onKernel(scenario, own, { ...names, bug: names.bug ?? token.bug ?? undefined })
  checkPatch(token, subject)
  if ((subject.bug?.id ?? null) !== token.bug)
    throw new UsageError(
      `--bug ${names.bug}: that is ${subject.bug?.id}`,
      `the token is of ${token.bug === null ? 'fixed code' : `the bug ${token.bug}`}`,
      token.bug === null ? 'leave --bug out' : `name the file of ${token.bug}`,
    )
  return subject
}

/** A token of a patched kernel needs that patch, and one of a kernel as it is none: what was found is of that code. */
function checkPatch({ patch: wanted }: Token, { patch }: Subject): void {
  const given = patchMark(patch)
  if (wanted === given || (wanted !== null && given !== null)) return
  const [file = ''] = wanted?.split(' ') ?? []
  throw wanted === null
    ? new UsageError('--patch', 'the token is of a kernel without a patch', 'leave --patch out')
    : new UsageError(
        `the token is of a kernel with a patch, ${file}`,
        'it means nothing without',
        'add --patch FILE to the command',
      )
}

function checkKnown(what: 'scenario' | 'bug', id: string, known: readonly { readonly id: string }[]): void {
  if (known.some((item) => item.id === id)) return
  throw new UsageError(
    `no ${what} '${id}' in the catalogue`,
    `the token is of a ${what} from a file`,
    `add --${what} FILE to the command`,
  )
}

async function onKernel(scenario: Scenario, own: Scenario | null, names: SubjectNames): Promise<Subject> {
  const bug = names.bug === undefined ? null : isFileName(names.bug) ? await loadBug(names.bug) : bugById(names.bug)
  const patch = names.patch === undefined ? null : await loadPatch(names.patch)
  const files = [
    ['--scenario', fileOf(own)],
    ['--bug', fileOf(bug)],
    ['--patch', fileOf(patch)],
  ]
  const replayOptions = files.map(([option, file]) => (file === null ? '' : ` ${option} ${file}`)).join('')
  return { scenario, bug, patch, change: patched(bug, patch), replayOptions }
}

/** `bug no-recheck, patched by fix.ts`. */
export function kernelText({ bug, patch }: Subject): string {
  const kernel = bug === null ? 'fixed code' : `bug ${bug.id}`
  return patch === null ? kernel : `${kernel}, patched by ${fileOf(patch)}`
}

/** The execution of `token` as --html and --trace show it. */
export function playedOf(subject: Subject, explanation: Explanation, token: string): PlayedExecution {
  const { scenario, bug } = subject
  return { explanation, scenario, kernel: kernelText(subject), about: bug?.summary ?? '', token }
}

/** The patch in JSON documents: its file, and a hash of its contents. */
export function patchDocument({ patch }: Pick<Subject, 'patch'>): RunDocument['patch'] {
  const origin = originOf(patch)
  return origin === null ? null : { file: shown(origin.file), hash: origin.hash }
}

/** As a shell takes it. */
function fileOf(value: object | null): string | null {
  const origin = originOf(value)
  if (origin === null) return null
  const file = shown(origin.file)
  return /^[\w./@-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`
}
