/** `racewalk record`: a recording of a real program, for `racewalk run`. */
import { Option, type Command } from 'commander'
import { basename } from 'node:path'
import { UsageError } from '../base/errors.js'
import { record, type RecordResult } from '../boot/recording/record.js'
import type { Invocation } from './io.js'
import { jsonOption, pauseOption } from './options.js'
import { EXIT, Terminal, thousands } from './terminal.js'

interface Options {
  output?: string
  pause: number
  json?: boolean
}

export function addRecord(program: Command, { io, done }: Invocation): void {
  program
    .command('record')
    .description('a recording of a real program with strace, with snapshots of its mappings')
    .argument('<COMMAND...>', 'what to record, behind --')
    .addOption(
      new Option('-o, --output <NAME>', 'write NAME.strace and NAME.maps/; the name of the command unless given'),
    )
    .addOption(pauseOption())
    .addOption(jsonOption())
    .action(async (command: string[], { output, pause, json }: Options) => {
      const terminal = new Terminal(json === true, io)
      const [first, ...others] = command
      if (first === undefined) throw new UsageError('record without a command', 'it stands behind --')
      const name = output ?? basename(first)
      const result = await terminal.untilStopped((signal) =>
        record({ command: [first, ...others], name, pauseMs: pause, signal }),
      )
      terminal.document({ command: 'record', ...result })
      for (const what of result.missing) terminal.complain(what)
      terminal.print(recordText(result, terminal))
      done(EXIT.clean)
    })
}

function recordText({ file, lines, snapshots, missing, exitCode }: RecordResult, { palette }: Terminal): string {
  const ended = exitCode === 0 ? '' : `; the program ended with ${exitCode === null ? 'a signal' : String(exitCode)}`
  const late = missing.length === 0 ? '' : '\nprocesses without a snapshot cannot be replayed; a longer --pause helps'
  return `${file}: ${thousands(lines)} lines, ${snapshots} snapshots${ended}${late}\n  ${palette.command(`racewalk run ${file}`)}`
}
