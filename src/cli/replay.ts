/** `racewalk replay`: one execution again, step for step. */
import type { Command } from 'commander'
import { decodeToken } from '../explore/token.js'
import { explain, type Explanation } from '../report/explain.js'
import { findingDocument, stepDocuments, type RunDocument } from '../report/json.js'
import { findingText } from '../report/text.js'
import { fullOption, jsonOption, patchOption } from './options.js'
import { kernelText, patchDocument, subjectOfToken } from './subject.js'
import { EXIT, Terminal, type ExitCode } from './terminal.js'

interface Options {
  scenario?: string
  bug?: string
  patch?: string
  full?: boolean
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
    .addOption(jsonOption())
    .action(async (token: string, options: Options) => done(await runReplay(token, options)))
}

async function runReplay(text: string, options: Options): Promise<ExitCode> {
  const token = decodeToken(text)
  const subject = await subjectOfToken(token, options)
  const { scenario, bug, change } = subject
  const terminal = new Terminal(options.json === true)
  const explanation = explain(token, scenario, change)
  const { finding, machine, rows, steps } = explanation
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
    findings: finding === null ? [] : [findingDocument(finding, machine, text)],
  }
  terminal.document({ ...document, exact: explanation.exact, steps: stepDocuments(rows) })
  const { palette, width } = terminal
  terminal.print(
    `${scenario.id}, ${kernelText(subject)}: ${steps} accesses, ${exactness(explanation, subject.patch !== null)}`,
  )
  if (finding === null) terminal.print(palette.good('nothing found'))
  else
    terminal.print(
      `\n${findingText(finding, { machine, rows, palette, width, full: options.full === true, token: null })}`,
    )
  return finding === null ? EXIT.clean : EXIT.finding
}

/** A token does not say that its kernel was patched. */
function exactness({ exact, divergedAt }: Explanation, isPatched: boolean): string {
  const other = isPatched ? 'other code, or of another patch' : 'other code, or of a kernel with a patch (--patch)'
  if (exact) return 'replayed step for step'
  if (divergedAt < 0) return `over before the recorded turns were used up: the token is of ${other}`
  return `other than recorded from turn ${divergedAt} on: the token is of ${other}`
}
