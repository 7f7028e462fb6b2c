/** `racewalk replay`: one execution again, step for step. */
import type { Command } from 'commander'
import { decodeToken } from '../explore/token.js'
import { whatChanged } from '../report/changed.js'
import { explain, type Explanation } from '../report/explain.js'
import { findingDocument, stepDocuments, type RunDocument } from '../report/json.js'
import { stateDocument } from '../report/state/document.js'
import { findingText } from '../report/text.js'
import { scenarioById } from '../scenario/catalog/index.js'
import { bugNamed } from './names.js'
import { fullOption, jsonOption } from './options.js'
import { htmlOption, Outputs, traceOption, type OutputOptions } from './outputs.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

interface Options extends OutputOptions {
  full?: boolean
  json?: boolean
}

export function addReplay(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('replay')
    .description('the execution of a token again, with its interleaving as a table')
    .argument('<TOKEN>', 'what a report ends in')
    .addOption(fullOption())
    .addOption(htmlOption())
    .addOption(traceOption())
    .addOption(jsonOption())
    .action((token: string, options: Options) => done(runReplay(token, options)))
}

function runReplay(text: string, options: Options): ExitCode {
  const token = decodeToken(text)
  const [scenario, bug] = [scenarioById(token.scenario), bugNamed(token.bug ?? undefined)]
  const terminal = new Terminal(options.json === true)
  const outputs = new Outputs(options, terminal)
  const explanation = explain(token, scenario, bug)
  const { finding, machine, rows, history, steps } = explanation
  const document: RunDocument = {
    command: 'replay',
    scenario: scenario.id,
    bug: bug?.id ?? null,
    engine: 'controlled',
    arch: machine.config.arch,
    cpus: machine.config.cpus,
    seed: null,
    executions: 1,
    operations: explanation.operations,
    findings:
      finding === null ? [] : [findingDocument(finding, machine, text, whatChanged(finding, machine, history, rows))],
  }
  terminal.document({
    ...document,
    exact: explanation.exact,
    steps: stepDocuments(rows),
    state: stateDocument(history),
  })
  const { palette, width } = terminal
  terminal.print(
    `${scenario.id}, ${bug === null ? 'fixed code' : `bug ${bug.id}`}: ${steps} accesses, ${exactness(explanation)}`,
  )
  if (finding === null) terminal.print(palette.good('nothing found'))
  else
    terminal.print(
      `\n${findingText(finding, { machine, rows, history, palette, width, full: options.full === true, token: null })}`,
    )
  outputs.execution({ explanation, scenario, bug, token: text })
  return outputs.exitCode(finding === null ? EXIT.clean : EXIT.finding)
}

function exactness({ exact, divergedAt }: Explanation): string {
  if (exact) return 'replayed step for step'
  if (divergedAt < 0) return 'over before the recorded turns were used up: the token is of other code'
  return `other than recorded from turn ${divergedAt} on: the token is of other code`
}
