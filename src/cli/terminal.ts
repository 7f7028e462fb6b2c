/**
 * Where a command's words go. Results go to standard output: text, or with --json one document. Progress is a line on
 * standard error that is there only while somebody looks at a terminal.
 */
import pc from 'picocolors'
import { paletteFor, type Palette } from '../report/palette.js'
import { writeOutput } from './output.js'

export { EXIT, type ExitCode } from './exit.js'

const WIDTH_DEFAULT = 120

/** Back to the start of the line, and nothing left on it. */
const CLEAR_LINE = '\r\u001b[2K'
const PROGRESS_EVERY_MS = 100

export class Terminal {
  readonly json: boolean
  readonly palette: Palette
  readonly #showsProgress: boolean
  #progressAt = -Infinity
  #hasLine = false

  constructor(json: boolean) {
    this.json = json
    this.palette = paletteFor(pc.isColorSupported && process.stdout.isTTY === true)
    this.#showsProgress = process.stderr.isTTY === true && !json
  }

  get width(): number {
    return process.stdout.columns || WIDTH_DEFAULT
  }

  /** A paragraph of the result; nothing with --json. */
  print(text = ''): void {
    if (this.json) return
    this.quiet()
    writeOutput(`${text}\n`)
  }

  /** The result as data; nothing without --json. */
  document(document: object): void {
    if (this.json) writeOutput(`${JSON.stringify(document, null, 2)}\n`)
  }

  /** What is no result: what went wrong on the way. */
  complain(text: string): void {
    this.quiet()
    process.stderr.write(`racewalk: ${text}\n`)
  }

  /** Replaces the progress line, a few times a second. */
  progress(text: string): void {
    if (!this.#showsProgress || performance.now() - this.#progressAt < PROGRESS_EVERY_MS) return
    this.#progressAt = performance.now()
    this.#hasLine = true
    process.stderr.write(CLEAR_LINE + text.slice(0, (process.stderr.columns || WIDTH_DEFAULT) - 1))
  }

  /** Takes the progress line away. */
  quiet(): void {
    if (this.#hasLine) process.stderr.write(CLEAR_LINE)
    this.#hasLine = false
  }
}

/** How a run is asked to stop: by Ctrl-C, and by `timeout`, `kill` and most CI systems. */
const STOPPING = ['SIGINT', 'SIGTERM'] as const

/** Runs `work` with a signal that Ctrl-C aborts; a second Ctrl-C ends the process as usual. The same goes for SIGTERM. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = (): void => controller.abort()
  for (const name of STOPPING) process.once(name, interrupt)
  try {
    return await work(controller.signal)
  } finally {
    for (const name of STOPPING) process.removeListener(name, interrupt)
  }
}

export const thousands = (n: number): string => Math.round(n).toLocaleString('en-US')
export const seconds = (s: number): string => `${s < 10 ? s.toFixed(1) : Math.round(s)} s`
