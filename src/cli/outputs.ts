/**
 * Files that a command writes beside what it prints: --html, --trace, --token, --junit. That they can be written is
 * made sure before the work, so that none is lost to a misspelt folder. They are written under another name and
 * renamed, so that nobody finds half of one.
 */
import { Option } from 'commander'
import { accessSync, closeSync, constants, openSync, realpathSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { UsageError } from '../base/errors.js'
import { draftOf, writeWhole } from '../base/wholeFile.js'
import { junitXml, type JunitSuite } from '../report/junit.js'
import { playerHtml, type PlayedExecution } from '../report/playerHtml.js'
import { replayCommand } from '../report/text.js'
import { traceDocument } from '../report/traceEvents.js'
import { EXIT, type ExitCode, type Terminal } from './terminal.js'

export interface OutputOptions {
  html?: string
  trace?: string
  junit?: string
  token?: string
}

export const htmlOption = (): Option =>
  new Option('--html <FILE>', 'write a page that plays the execution step by step; it needs no network')
export const traceOption = (): Option =>
  new Option('--trace <FILE>', 'write the execution for ui.perfetto.dev and chrome://tracing')
export const tokenOption = (): Option => new Option('--token <FILE>', 'write the token that replays the execution')
export const junitOption = (): Option => new Option('--junit <FILE>', 'write the result as JUnit XML, for CI')

export class Outputs {
  readonly #terminal: Terminal
  readonly #files = new Map<string, OutputFile>()
  #failed = false

  /** Throws UsageError for a file that cannot be written. */
  constructor(options: OutputOptions, terminal: Terminal) {
    this.#terminal = terminal
    const paths = new Map<string, string>()
    for (const name of ['html', 'trace', 'junit', 'token'] as const) {
      const path = options[name]
      if (path === undefined) continue
      const file = new OutputFile(`--${name}`, path)
      const other = paths.get(file.target)
      if (other !== undefined)
        throw new UsageError(`--${name} ${path}`, `it is the file of ${other}, too`, 'name two files')
      paths.set(file.target, `--${name}`)
      this.#files.set(name, file)
    }
  }

  /** Writes --html, --trace and --token; null says that there is no execution to show. */
  execution(replayed: PlayedExecution | null): void {
    this.#write('html', replayed === null ? null : () => playerHtml(replayed))
    this.#write('token', replayed === null ? null : () => `${replayed.token}\n`)
    this.#write('trace', replayed === null ? null : () => `${JSON.stringify(traceOf(replayed))}\n`)
  }

  junit(suite: () => JunitSuite): void {
    this.#write('junit', () => junitXml(suite()))
  }

  /** `code`, unless it says that all is well although a file is missing. */
  exitCode(code: ExitCode): ExitCode {
    return this.#failed && code === EXIT.clean ? EXIT.usage : code
  }

  #write(name: string, text: (() => string) | null): void {
    const file = this.#files.get(name)
    if (file === undefined) return
    if (text === null) return this.#say(`${file.name}: nothing to show; not written`)
    const problem = file.write(text())
    if (problem === null) return this.#say(`${file.name}: written`)
    this.#failed = true
    this.#terminal.complain(problem)
  }

  #say(line: string): void {
    this.#terminal.print(this.#terminal.palette.dim(line))
  }
}

function traceOf({ explanation, scenario, kernel, token }: PlayedExecution): ReturnType<typeof traceDocument> {
  const { rows, machine, finding, decisive } = explanation
  const subject = `${scenario.id}, ${kernel}`
  return traceDocument({ rows, cpus: machine.config.cpus, finding, decisive, subject, command: replayCommand(token) })
}

/** One file, by the option that asks for it; known to be writable when the command began. */
export class OutputFile {
  /** `--html out.html`. */
  readonly name: string
  /** Where it goes in the end, links followed. */
  readonly target: string
  /** A device or a pipe: written to, never replaced. */
  readonly #isSpecial: boolean

  constructor(option: string, path: string) {
    this.name = `${option} ${path}`
    try {
      this.target = followed(path)
      this.#isSpecial = isSpecial(this.target)
      if (!this.#isSpecial) this.#tryTemporary()
    } catch (error) {
      throw new UsageError(
        this.name,
        `it cannot be written: ${reasonOf(error)}`,
        'name a file that you may write, in a folder that exists',
      )
    }
  }

  #tryTemporary(): void {
    const draft = draftOf(this.target)
    closeSync(openSync(draft, 'wx'))
    unlinkSync(draft)
  }

  /** Null, or what went wrong. */
  write(text: string): string | null {
    try {
      if (this.#isSpecial) writeFileSync(this.target, text)
      else writeWhole(this.target, text, { flag: 'wx', flush: true })
      return null
    } catch (error) {
      return `${this.name}\n  it could not be written: ${reasonOf(error)}\n  make room or name another file`
    }
  }
}

/** Without the call and the name of the temporary file. */
const reasonOf = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/, '')

/** The file behind links; of one that does not exist, its own path. */
function followed(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return resolve(path)
  }
}

/** True for a device or a pipe. Throws for a folder, and for a file that may not be written. */
function isSpecial(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return false
  if (stat.isDirectory()) throw new Error('it is a folder')
  accessSync(path, constants.W_OK)
  return !stat.isFile()
}
