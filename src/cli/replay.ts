/** `racewalk replay`: one execution again, step for step. */
import type { Command } from 'commander'
import { readFileSync, statSync } from 'node:fs'
import { describePoint } from '../explore/schedule/deviations.js'
import { patchMark } from '../boot/module/origin.js'
import { decodeToken, type Token } from '../explore/schedule/token.js'
import { curveText } from '../report/curve.js'
import { whatChanged } from '../report/changed.js'
import { explain, type Explanation } from '../report/explain.js'
import { findingDocument, stepDocuments, type RunDocument } from '../report/json.js'
import { stateDocument } from '../report/state/document.js'
import { findingText } from '../report/text.js'
import { curveOf } from './curve.js'
import type { Invocation, Io } from './io.js'
import { curveOption, fullOption, jsonOption, patchOption } from './options.js'
import { htmlOption, Outputs, traceOption, type OutputOptions } from './outputs.js'
import { exploreFor, foundText } from './explore.js'
import { kernelText, patchDocument, playedOf, subjectOfToken, type Subject } from './subject.js'
import { EXIT, Terminal, thousands, type ExitCode } from './terminal.js'

/** How long the search goes on for where a token does not fit. */
const GO_ON_MS = 10_000

interface Options extends OutputOptions {
  scenario?: string
  bug?: string
  patch?: string
  full?: boolean
  curve?: boolean
  json?: boolean
}

export function addReplay(program: Command, { io, done }: Invocation): void {
  program
    .command('replay')
    .description('the execution of a token again, with its interleaving as a table')
    .argument('<TOKEN>', 'what a report ends in, or a file that has it')
    .addOption(patchOption())
    .option('--scenario <FILE>', "the token's scenario, where that was of a file")
    .option('--bug <FILE>', "the token's bug, where that was of a file")
    .addOption(fullOption())
    .addOption(curveOption())
    .addOption(htmlOption())
    .addOption(traceOption())
    .addOption(jsonOption())
    .action(async (token: string, options: Options) => done(await runReplay(token, options, io)))
}

async function runReplay(argument: string, options: Options, io: Io): Promise<ExitCode> {
  const text = tokenOf(argument)
  const token = decodeToken(text)
  const subject = await subjectOfToken(token, options)
  const { scenario, bug, change, patch } = subject
  const terminal = new Terminal(options.json === true, io)
  const outputs = new Outputs(options, terminal)
  const explanation = explain(token, scenario, change)
  const { finding, machine, rows, history, steps } = explanation
  const document: RunDocument = {
    command: 'replay',
    scenario: scenario.id,
    bug: bug?.id ?? null,
    patch: patchDocument(subject),
    engine: 'controlled',
    arch: machine.config.arch,
    cpus: machine.config.cpus,
    seed: null,
    executions: 1,
    operations: explanation.operations,
    findings:
      finding === null
        ? []
        : [findingDocument(finding, machine, text, whatChanged(finding, machine, history, rows), explanation)],
  }
  const { palette, width } = terminal
  terminal.print(
    `${scenario.id}, ${kernelText(subject)}: ${steps} accesses, ${exactness(explanation, token.deviations.length, token.patch !== patchMark(patch))}`,
  )
  if (explanation.unfinished) terminal.print('it reached the limit of accesses and was not finished')
  if (finding === null) terminal.print(palette.good('nothing found'))
  else
    terminal.print(
      `\n${findingText(finding, { ...explanation, palette, width, full: options.full === true, token: null })}`,
    )
  const { exact, unfinished } = explanation
  const played = { exact, unfinished, steps: stepDocuments(rows), state: stateDocument(history) }
  outputs.execution(playedOf(subject, explanation, text))
  const curve = options.curve === true ? await curveOf(text, scenario, change, terminal) : undefined
  if (curve) terminal.print(`\n${curveText(curve, rows)}`)
  if (curve === null) terminal.print('no curve: this execution breaks no rule')
  const continued =
    finding === null && !explanation.exact ? await goOn(token, explanation.taken, subject, options, terminal) : null
  terminal.document({ ...document, ...played, curve, continued: continued?.document ?? null })
  return outputs.exitCode(finding === null && continued?.found !== true ? EXIT.clean : EXIT.finding)
}

/** The token itself, or the one in a file. */
function tokenOf(argument: string): string {
  const isFile = !/^rw\d+-/.test(argument) && statSync(argument, { throwIfNoEntry: false })?.isFile() === true
  return isFile ? readFileSync(argument, 'utf8').trim() : argument
}

/** Where the token no longer fits, a search goes on from the turns that did. */
async function goOn(
  token: Token,
  taken: number,
  subject: Subject,
  options: Options,
  terminal: Terminal,
): Promise<{ readonly found: boolean; readonly document: object }> {
  const { scenario, bug, patch } = subject
  terminal.print(`going on from there under chosen schedules …`)
  const after = token.deviations.slice(0, taken)
  const { cpus, reduction } = token
  const explored = await exploreFor(terminal, GO_ON_MS, { scenario, bug, patch, cpus, reduction, after, shrink: true })
  const { finding, executions } = explored
  // Before the report on it, which takes the image away that addresses are named from.
  const document = finding === null ? null : findingDocument(finding, explored.session.machine, finding.token)
  if (finding === null) terminal.print(`nothing found in ${thousands(executions)} executions`)
  else {
    terminal.print(`found in execution ${thousands(finding.execution)}:`)
    if (!terminal.json) terminal.print(`\n${foundText(finding, subject, options.full === true, terminal)}`)
  }
  return { found: finding !== null, document: { executions, finding: document } }
}

/** `other`: the patch is not what it was. */
function exactness({ exact, taken, missed, machine }: Explanation, of: number, other: boolean): string {
  if (exact || missed === null) return 'replayed step for step'
  const point = describePoint(missed, machine.layout)
  const why = other ? 'the patch is not what it was' : 'the token is of other code'
  return `other than recorded: turn ${taken + 1} of ${of} did not come (${point}); ${why}`
}
