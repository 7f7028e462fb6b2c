/** `racewalk replay`: one execution again, step for step. */
import type { Command } from 'commander'
import { describePoint } from '../explore/deviations.js'
import { patchMark } from '../boot/module/origin.js'
import { decodeToken } from '../explore/token.js'
import { curveText } from '../report/curve.js'
import { whatChanged } from '../report/changed.js'
import { explain, type Explanation } from '../report/explain.js'
import { findingDocument, stepDocuments, type RunDocument } from '../report/json.js'
import { stateDocument } from '../report/state/document.js'
import { findingText } from '../report/text.js'
import { curveOf } from './curve.js'
import { curveOption, fullOption, jsonOption, patchOption } from './options.js'
import { htmlOption, Outputs, traceOption, type OutputOptions } from './outputs.js'
import { kernelText, patchDocument, playedOf, subjectOfToken } from './subject.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

interface Options extends OutputOptions {
  scenario?: string
  bug?: string
  patch?: string
  full?: boolean
  curve?: boolean
  json?: boolean
}

export function addReplay(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('replay')
    .description('the execution of a token again, with its interleaving as a table')
    .argument('<TOKEN>', 'what a report ends in')
    .addOption(patchOption())
    .option('--scenario <FILE>', "the token's scenario, where that was of a file")
    .option('--bug <FILE>', "the token's bug, where that was of a file")
    .addOption(fullOption())
    .addOption(curveOption())
    .addOption(htmlOption())
    .addOption(traceOption())
    .addOption(jsonOption())
    .action(async (token: string, options: Options) => done(await runReplay(token, options)))
}

async function runReplay(text: string, options: Options): Promise<ExitCode> {
  const token = decodeToken(text)
  const subject = await subjectOfToken(token, options)
  const { scenario, bug, change, patch } = subject
  const terminal = new Terminal(options.json === true)
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
      finding === null ? [] : [findingDocument(finding, machine, text, whatChanged(finding, machine, history, rows))],
  }
  const { palette, width } = terminal
  terminal.print(
    `${scenario.id}, ${kernelText(subject)}: ${steps} accesses, ${exactness(explanation, token.deviations.length, token.patch !== patchMark(patch))}`,
  )
  if (finding === null) terminal.print(palette.good('nothing found'))
  else
    terminal.print(
      `\n${findingText(finding, { machine, rows, history, palette, width, full: options.full === true, token: null })}`,
    )
  const curve = options.curve === true ? await curveOf(text, scenario, change, terminal) : undefined
  terminal.document({
    ...document,
    exact: explanation.exact,
    steps: stepDocuments(rows),
    state: stateDocument(history),
    curve,
  })
  if (curve) terminal.print(`\n${curveText(curve, rows)}`)
  if (curve === null) terminal.print('no curve: this execution breaks no rule')
  outputs.execution(playedOf(subject, explanation, text))
  return outputs.exitCode(finding === null ? EXIT.clean : EXIT.finding)
}

/** `other`: the patch is not what it was. */
function exactness({ exact, taken, missed, machine }: Explanation, of: number, other: boolean): string {
  if (exact || missed === null) return 'replayed step for step'
  const point = describePoint(missed, machine.layout)
  const why = other ? 'the patch is not what it was' : 'the token is of other code'
  return `other than recorded: turn ${taken + 1} of ${of} did not come (${point}); ${why}`
}
