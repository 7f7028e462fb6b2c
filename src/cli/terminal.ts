/**
 * The output of a command. Results go to standard output: text, or with --json one document. Progress is a line on
 * standard error that is there only while somebody looks at a terminal.
 */
import { paletteFor, type Palette } from '../report/palette.js'
import type { Io } from './io.js'

export { EXIT, type ExitCode } from './exit.js'

const WIDTH_DEFAULT = 120

/** Back to the start of the line, and nothing left on it. */
const CLEAR_LINE = '\r\u001b[2K'
const PROGRESS_EVERY_MS = 100

export class Terminal {
  readonly json: boolean
  readonly palette: Palette
  readonly #io: Io
  readonly #showsProgress: boolean
  #progressAt = -Infinity
  #hasLine = false

  constructor(json: boolean, io: Io) {
    this.json = json
    this.#io = io
    this.palette = paletteFor(io.hasColours && io.out.isTerminal)
    this.#showsProgress = io.err.isTerminal && !json
  }

  get width(): number {
    return this.#io.out.columns || WIDTH_DEFAULT
  }

  /** A paragraph of the result; nothing with --json. */
  print(text = ''): void {
    if (this.json) return
    this.quiet()
    this.#io.out.write(`${text}\n`)
  }

  /** The result as data; nothing without --json. */
  document(document: object): void {
    if (this.json) this.#io.out.write(`${JSON.stringify(document, null, 2)}\n`)
  }

  /** What is no result: what went wrong on the way. */
  complain(text: string): void {
    this.quiet()
    this.#io.err.write(`racewalk: ${text}\n`)
  }

  /** Replaces the progress line, a few times a second. */
  progress(text: string): void {
    if (!this.#showsProgress || performance.now() - this.#progressAt < PROGRESS_EVERY_MS) return
    this.#progressAt = performance.now()
    this.#hasLine = true
    this.#io.err.write(CLEAR_LINE + text.slice(0, (this.#io.err.columns || WIDTH_DEFAULT) - 1))
  }

  /** Takes the progress line away. */
  quiet(): void {
    if (this.#hasLine) this.#io.err.write(CLEAR_LINE)
    this.#hasLine = false
  }

  /** Runs `work` with a signal that is aborted when the command is asked to stop. */
  async untilStopped<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const forget = this.#io.onStop(() => controller.abort())
    try {
      return await work(controller.signal)
    } finally {
      forget()
    }
  }
}

export const thousands = (n: number): string => Math.round(n).toLocaleString('en-US')
export const seconds = (s: number): string => `${s < 10 ? s.toFixed(1) : Math.round(s)} s`
