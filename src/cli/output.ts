/**
 * Standard output, which may fill up or go away. A reader that has seen enough (`| head`) is no fault: the command ends
 * there, quietly. What a full disk does not take goes to standard error, so that hours of work are not lost for it.
 */
import { EXIT } from './exit.js'

let refused: NodeJS.ErrnoException | null = null

/** Once, before anything is written. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.clean)
  })
  process.on('exit', () => {
    if (refused !== null) process.exitCode = EXIT.fault
  })
}

export function writeOutput(text: string): void {
  if (refused !== null) process.stderr.write(text)
  else process.stdout.write(text, (error) => refuse(error ?? null, text))
}

function refuse(error: NodeJS.ErrnoException | null, text: string): void {
  if (error === null || error.code === 'EPIPE') return
  if (refused === null)
    process.stderr.write(`racewalk: cannot write to standard output: ${error.message}\nwhat was to be written there:\n`)
  refused ??= error
  process.stderr.write(text)
}
