/**
 * `racewalk record`: a program under strace, with snapshots of its mappings.
 *
 * strace holds each process for a moment after execve and before exit_group (inject=…:delay), and writes what it sees
 * into a pipe. Here the line is read while the process is held, /proc/PID/maps is saved, and a mark is put into the
 * log. So no helper runs inside the program, and any program can be recorded, static ones and those that leave by
 * _exit(). A snapshot that came too late, by the clock of the line, is not kept.
 *
 * strace does not hold the program that it starts itself. That is a shell, which the command takes the place of.
 */
import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { UsageError } from '../../base/errors.js'
import { draftOf } from '../../base/wholeFile.js'

export interface RecordOptions {
  readonly command: readonly [string, ...string[]]
  /** The log is NAME.strace, the snapshots are in NAME.maps/. */
  readonly name: string
  /** For how long a process is held for its snapshot, in milliseconds. */
  readonly pauseMs: number
  readonly signal?: AbortSignal
}

export interface RecordResult {
  readonly file: string
  readonly lines: number
  /** Processes with both snapshots, or forked ones with the last. */
  readonly snapshots: number
  /** Snapshots that are not kept: of which process and why. */
  readonly missing: readonly string[]
  /** As the program ended; null: by a signal. */
  readonly exitCode: number | null
}

/** Names with a question mark are those that some architectures or versions of strace lack. */
const TRACE =
  '%memory,?mseal,?process_madvise,?shmget,?shmat,?shmdt,?prctl,?io_setup,?io_destroy,' +
  '?clone,?clone3,?fork,?vfork,execve,?execveat,exit_group'

const SHELL = ['/bin/sh', '-c', 'exec "$@"', 'sh']

/** Throws UsageError where strace is not there. */
export async function record(options: RecordOptions): Promise<RecordResult> {
  const { command, name, pauseMs } = options
  const [file, folder] = [`${name}.strace`, `${name}.maps`]
  const log = draftOf(file)
  const maps = draftOf(folder)
  mkdirSync(maps, { recursive: true })
  try {
    const pauseUs = pauseMs * 1000
    const holds = ['-e', `inject=execve:delay_exit=${pauseUs}`, '-e', `inject=exit_group:delay_enter=${pauseUs}`]
    const args = [
      '-f',
      '-y',
      '-ttt',
      '-T',
      '-e',
      `trace=${TRACE}`,
      ...holds,
      '-o',
      '|cat >&3',
      '--',
      ...SHELL,
      ...command,
    ]
    const strace = spawn('strace', args, { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] })
    const ended = new Promise<number | null>((resolve, reject) => {
      strace.once('error', reject)
      strace.once('close', (code) => resolve(code))
    })
    options.signal?.addEventListener('abort', () => strace.kill('SIGTERM'))
    const writer = new LogWriter(log, maps, pauseMs)
    const read = writer.readAll(strace.stdio[3] as Readable)
    const exitCode = await ended
    await read
    if (writer.lines === 0)
      throw new UsageError('strace recorded nothing', 'what it said is above', 'may it trace here?')
    replaceFolder(maps, folder)
    renameSync(log, file)
    return { file, lines: writer.lines, snapshots: writer.snapshots, missing: writer.missing, exitCode }
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code === 'ENOENT' &&
      (error as NodeJS.ErrnoException).syscall?.startsWith('spawn')
    )
      throw new UsageError('there is no strace', 'record runs strace, of version 5 or later', 'apt install strace')
    throw error
  } finally {
    rmSync(log, { force: true })
    rmSync(maps, { force: true, recursive: true })
  }
}

/** Snapshots of an earlier recording go with it; anything else in the folder keeps its place. */
function replaceFolder(draft: string, folder: string): void {
  mkdirSync(folder, { recursive: true })
  for (const old of readdirSync(folder)) if (/^\d+\.\d+\.maps$/.test(old)) rmSync(join(folder, old))
  for (const each of readdirSync(draft)) renameSync(join(draft, each), join(folder, each))
}

const STARTED = /^(\d+) +(\d+\.\d+) (?:execve(?:at)?\(.*|<\.\.\. execve(?:at)? resumed>.*)\) += 0 \(DELAYED\)/
const ENDING = /^(\d+) +(\d+\.\d+) exit_group\(/
const MARK_BASE = 0x6d61_7000_0000
const MARK_STEP = 0x1000

class LogWriter {
  lines = 0
  snapshots = 0
  readonly missing: string[] = []
  readonly #out: ReturnType<typeof createWriteStream>
  readonly #maps: string
  readonly #pauseMs: number
  /** The line that is not whole yet, and whether its snapshot was taken. */
  #rest = ''
  #isTaken = false

  constructor(log: string, maps: string, pauseMs: number) {
    this.#out = createWriteStream(log)
    this.#maps = maps
    this.#pauseMs = pauseMs
  }

  async readAll(pipe: Readable): Promise<void> {
    pipe.setEncoding('utf8')
    for await (const text of pipe as AsyncIterable<string>) {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#line(line)
      if (!this.#isTaken) this.#beforeEnd(this.#rest)
      if (this.#out.writableNeedDrain) await once(this.#out, 'drain')
    }
    if (this.#rest !== '') this.#write(this.#rest)
    this.#out.end()
    await once(this.#out, 'close')
  }

  #line(line: string): void {
    if (!this.#isTaken) this.#beforeEnd(line)
    this.#isTaken = false
    this.#write(line.replace(' (DELAYED)', ''))
    const [, tid, stamp] = STARTED.exec(line) ?? []
    if (tid !== undefined && stamp !== undefined) this.#snapshot(tid, stamp, 0)
  }

  /** strace writes the name of the call when the process has come to it, and the rest when it goes on. */
  #beforeEnd(line: string): void {
    const [, tid, stamp] = ENDING.exec(line) ?? []
    if (tid === undefined || stamp === undefined) return
    this.#isTaken = true
    this.#snapshot(tid, stamp, 1)
  }

  #snapshot(tid: string, stamp: string, k: number): void {
    const when = k === 0 ? 'first' : 'last'
    try {
      const pid = /^Tgid:\s+(\d+)/m.exec(readFileSync(`/proc/${tid}/status`, 'utf8'))?.[1] ?? tid
      const maps = readFileSync(`/proc/${tid}/maps`, 'utf8')
      // The clock of the line says until when the process was held for certain.
      if (maps === '' || Date.now() >= Number(stamp) * 1000 + this.#pauseMs) {
        this.missing.push(`the ${when} snapshot of process ${pid} came too late`)
        return
      }
      writeFileSync(join(this.#maps, `${pid}.${k}.maps`), maps)
      this.snapshots++
      const mark = `0x${(MARK_BASE + k * MARK_STEP).toString(16)}`
      this.#write(`${tid} ${stamp} munmap(${mark}, 0) = -1 EINVAL (Invalid argument) <0.000000>`)
    } catch (error) {
      this.missing.push(
        `the ${when} snapshot of process ${tid}: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }

  #write(line: string): void {
    this.lines++
    this.#out.write(`${line}\n`)
  }
}
