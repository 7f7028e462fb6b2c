/**
 * Where a command's words go. Results go to standard output: text, or with --json one document. Progress is a line on
 * standard error that is there only while somebody looks at a terminal.
 */
import { createSpinner, type Spinner } from 'nanospinner'
import pc from 'picocolors'
import { paletteFor, type Palette } from '../report/palette.js'

const WIDTH_DEFAULT = 120

/** How a command ended, for scripts. */
export const EXIT = { clean: 0, finding: 1, usage: 2, fault: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export class Terminal {
  readonly json: boolean
  readonly palette: Palette
  readonly #spinner: Spinner | null
  #spinning = false

  constructor(json: boolean) {
    this.json = json
    this.palette = paletteFor(pc.isColorSupported && process.stdout.isTTY === true)
    this.#spinner = process.stderr.isTTY === true && !json ? createSpinner('', { stream: process.stderr }) : null
  }

  get width(): number {
    return process.stdout.columns ?? WIDTH_DEFAULT
  }

  /** A paragraph of the result; nothing with --json. */
  print(text = ''): void {
    if (this.json) return
    this.quiet()
    process.stdout.write(`${text}\n`)
  }

  /** The result as data; nothing without --json. */
  document(document: object): void {
    if (this.json) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`)
  }

  progress(text: string): void {
    if (this.#spinner === null) return
    if (!this.#spinning) this.#spinner.start()
    this.#spinning = true
    this.#spinner.update({ text })
  }

  /** Takes the progress line away. */
  quiet(): void {
    if (this.#spinning) this.#spinner?.clear().stop()
    this.#spinning = false
  }
}

/** Runs `work` with a signal that Ctrl-C aborts; a second Ctrl-C ends the process as usual. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const interrupt = (): void => controller.abort()
  process.once('SIGINT', interrupt)
  try {
    return await work(controller.signal)
  } finally {
    process.removeListener('SIGINT', interrupt)
  }
}

export const thousands = (n: number): string => Math.round(n).toLocaleString('en-US')
export const seconds = (s: number): string => `${s < 10 ? s.toFixed(1) : Math.round(s)} s`
