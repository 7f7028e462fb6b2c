/**
 * The racewalk command: arguments to calls, errors to exit codes. 0 nothing found, 1 a finding, 2 wrong use, 3 our
 * fault.
 */
import { Command, CommanderError } from 'commander'
import { readFileSync } from 'node:fs'
import { UsageError } from '../base/errors.js'
import { thrownByUser } from '../boot/module/blame.js'
import { paletteFor } from '../report/palette.js'
import { addCompare } from './compare.js'
import { addDemo } from './demo.js'
import { addExplore } from './explore.js'
import { addGuide } from './guide.js'
import { addInit } from './init.js'
import { addList } from './list.js'
import { addRecord } from './record.js'
import { addReplay } from './replay.js'
import { addRun } from './run.js'
import { addStress } from './stress.js'
import type { Invocation, Io } from './io.js'
import { EXIT, type ExitCode } from './terminal.js'

/** Kernel functions that a report can show; V8 keeps 10 frames unless told otherwise. */
const STACK_FRAMES = 60

/** Of the help, where there is no terminal. */
const HELP_COLUMNS = 80

function makeProgram(invocation: Invocation): Command {
  const { out, err, hasColours } = invocation.io
  const program = new Command('racewalk')
    .description('Races of Linux memory management: run for real on threads, or on purpose under a chosen schedule.')
    .version(
      (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string })
        .version,
    )
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 nothing found, 1 a finding, 2 wrong use or input, 3 a fault of racewalk itself.',
    )
    .configureOutput({
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(text),
      getOutHelpWidth: () => out.columns || HELP_COLUMNS,
      getErrHelpWidth: () => err.columns || HELP_COLUMNS,
      getOutHasColors: () => hasColours && out.isTerminal,
      getErrHasColors: () => hasColours && err.isTerminal,
      outputError: (text, write) => write(text.replace(/^error: /, 'racewalk: ')),
    })
  for (const add of [
    addList,
    addStress,
    addExplore,
    addReplay,
    addRun,
    addRecord,
    addCompare,
    addInit,
    addGuide,
    addDemo,
  ])
    add(program, invocation)
  for (const command of program.commands) {
    command.exitOverride().copyInheritedSettings(program)
    refuseTwice(command)
  }
  return program
}

/** Of an option that is given twice, one would silently count for nothing. */
function refuseTwice(command: Command): void {
  const seen = new Set<string>()
  for (const option of command.options)
    command.on(`option:${option.name()}`, () => {
      if (seen.has(option.name())) throw new UsageError(`--${option.name()} twice`, 'it counts once', 'leave one out')
      seen.add(option.name())
    })
}

/**
 * Runs the command: `argv` as a process has it, words and signals through `io`. Returns the exit code; throws nothing,
 * and leaves the process as it was.
 */
export async function main(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = EXIT.clean
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = STACK_FRAMES
  try {
    await makeProgram({ io, done: (result) => (code = result) }).parseAsync(argv)
    return code
  } catch (error) {
    return failure(error, argv.includes('--json'), io)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function failure(raised: unknown, json: boolean, { out, err }: Io): ExitCode {
  const error = thrownByUser(raised) ?? raised
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.clean
  const usage = error instanceof UsageError || error instanceof CommanderError
  const message = error instanceof Error ? error.message : String(error)
  if (json) out.write(`${JSON.stringify({ error: { kind: usage ? 'usage' : 'fault', message } }, null, 2)}\n`)
  const { bad } = paletteFor(err.isTerminal)
  if (error instanceof UsageError) err.write(`${bad('racewalk:')} ${message}\n`)
  else if (!usage)
    err.write(
      `${bad('racewalk: a fault of racewalk itself')}\n${error instanceof Error ? (error.stack ?? message) : message}\n`,
    )
  return usage ? EXIT.usage : EXIT.fault
}
