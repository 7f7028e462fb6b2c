/**
 * The surroundings of a command that is a process.
 *
 * Standard output may fill up or go away. A reader that has seen enough (`| head`) is no fault: the process ends there,
 * quietly. What a full disk does not take goes to standard error, so that hours of work are not lost for it.
 */
import pc from 'picocolors'
import { EXIT } from './exit.js'
import type { Io, Output } from './io.js'

/** How a process is asked to stop: by Ctrl-C, and by `timeout`, `kill` and most CI systems. */
const STOPPING = ['SIGINT', 'SIGTERM'] as const

/** Once, before anything is written. */
export function processIo(): Io {
  let refused: NodeJS.ErrnoException | null = null
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.clean)
  })
  process.on('exit', () => {
    if (refused !== null) process.exitCode = EXIT.fault
  })

  const refuse = (error: NodeJS.ErrnoException | null, text: string): void => {
    if (error === null || error.code === 'EPIPE') return
    if (refused === null)
      process.stderr.write(
        `racewalk: cannot write to standard output: ${error.message}\nwhat was to be written there:\n`,
      )
    refused ??= error
    process.stderr.write(text)
  }
  const writeOut = (text: string): void => {
    if (refused !== null) process.stderr.write(text)
    else process.stdout.write(text, (error) => refuse(error ?? null, text))
  }

  return {
    out: outputOf(process.stdout, writeOut),
    err: outputOf(process.stderr, (text) => void process.stderr.write(text)),
    hasColours: pc.isColorSupported,
    onStop,
  }
}

function outputOf(stream: NodeJS.WriteStream, write: (text: string) => void): Output {
  return {
    write,
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns || 0
    },
  }
}

/** The first Ctrl-C or SIGTERM stops the command, a second one ends the process as usual. */
function onStop(stop: () => void): () => void {
  for (const name of STOPPING) process.once(name, stop)
  return () => {
    for (const name of STOPPING) process.removeListener(name, stop)
  }
}
