/** `racewalk replay`: one execution again, step for step. */
import type { Command } from 'commander'
import { describePoint } from '../explore/deviations.js'
import { decodeToken } from '../explore/token.js'
import { explain, type Explanation } from '../report/explain.js'
import { findingDocument, stepDocuments, type RunDocument } from '../report/json.js'
import { findingText } from '../report/text.js'
import { scenarioById } from '../scenario/catalog/index.js'
import { bugNamed } from './names.js'
import { fullOption, jsonOption } from './options.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

export function addReplay(program: Command, done: (code: ExitCode) => void): void {
  program
    .command('replay')
    .description('the execution of a token again, with its interleaving as a table')
    .argument('<TOKEN>', 'what a report ends in')
    .addOption(fullOption())
    .addOption(jsonOption())
    .action((token: string, options: { full?: boolean; json?: boolean }) => done(runReplay(token, options)))
}

function runReplay(text: string, options: { full?: boolean; json?: boolean }): ExitCode {
  const token = decodeToken(text)
  const [scenario, bug] = [scenarioById(token.scenario), bugNamed(token.bug ?? undefined)]
  const terminal = new Terminal(options.json === true)
  const explanation = explain(token, scenario, bug)
  const { finding, machine, rows, steps } = explanation
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
    findings: finding === null ? [] : [findingDocument(finding, machine, text)],
  }
  terminal.document({ ...document, exact: explanation.exact, steps: stepDocuments(rows) })
  const { palette, width } = terminal
  terminal.print(
    `${scenario.id}, ${bug === null ? 'fixed code' : `bug ${bug.id}`}: ${steps} accesses, ${exactness(explanation, token.deviations.length)}`,
  )
  if (finding === null) terminal.print(palette.good('nothing found'))
  else
    terminal.print(
      `\n${findingText(finding, { machine, rows, palette, width, full: options.full === true, token: null })}`,
    )
  return finding === null ? EXIT.clean : EXIT.finding
}

function exactness({ exact, taken, missed, machine }: Explanation, of: number): string {
  if (exact || missed === null) return 'replayed step for step'
  const point = describePoint(missed, machine.layout)
  return `other than recorded: turn ${taken + 1} of ${of} did not come (${point}); the token is of other code`
}
