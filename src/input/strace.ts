/**
 * An strace log to typed events in effect order.
 *
 * The log is that of `strace -f -y -tt -T -o FILE` with at least `-e
 * trace=memory,clone,clone3,fork,vfork,execve,exit_group`; other calls in it are kept as text. Times, durations and the
 * paths of descriptors may lack, and threads may be named as on a terminal (`[pid N]`). Source for the format:
 * strace 6.1's own output and its manual, "Filtering" and "Output format". Events come in the order in which their
 * calls took effect, as far as a log can tell: effectOrder.ts.
 *
 * Read strictly, because a log that is misread replays another program: every line must be whole and understood, every
 * resumed call must have been left unfinished, and at the end every thread must be gone. So a log that was cut
 * anywhere, also between two lines, is refused.
 */
import { effectOrder, type UnorderedEvent } from './effectOrder.js'
import { linesOfText, type LogLines } from './logLines.js'
import { excerpt, refuse, type Place } from './place.js'
import { decodeArgs } from './straceArgs.js'
import { succeeded, type CallResult, type LogEvent } from './straceEvent.js'

export interface StraceLog {
  readonly file: string
  readonly lineCount: number
  /** In effect order; `events[i].n === i`. */
  readonly events: readonly LogEvent[]
}

/**
 * Parses `log`; `file` is its name for complaints. Throws UsageError that names the line.
 */
export function parseStrace(log: string | LogLines, file: string, options: ParseOptions = {}): StraceLog {
  const reader = new LogReader(file, options)
  const lines = typeof log === 'string' ? linesOfText(log) : log
  lines.forEach((line, cut) => reader.read(line, cut))
  return { file, lineCount: reader.lineCount, events: effectOrder(reader.finish()) }
}

export interface ParseOptions {
  /** The first process, for a log whose lines name none. */
  readonly leader?: number | undefined
  /** Whether calls of this name, which are kept as text, are wanted; all are unless given. */
  readonly isWanted?: (name: string) => boolean
}

/** The thread (`-f`, to a file or to a terminal), the time (`-t`, `-tt`, `-ttt`); both may lack. Then the rest. */
const LINE = /^(?:(\d+) +|\[pid +(\d+)\] )?(?:(\d\d):(\d\d):(\d\d)(?:\.(\d{6}))? |(\d{9,})\.(\d{6}) )?(\S.*)$/
/** What strace says of itself in a log of a terminal. */
const REMARK = /^(?:strace: Process (\d+) (?:attached|detached)|\[ Process PID=\d+ .*\])$/
const UNFINISHED = /^([\w?]+)\((.*?)\s*<(?:unfinished|pid changed to \d+) \.\.\.>$/
const RESUMED = /^<\.\.\. ([\w?]+) resumed>(.*)$/
const CALL = /^([\w?]+)\((.*)\)\s+= (.+)$/
const RESULT =
  /^(\?|-?\d+|0x[0-9a-f]+)(?:<[^>]*>(?:\(deleted\))?)?(?: (E[A-Z0-9]+))?(?: \(.*\)| <unavailable>)?(?: <(\d+\.\d+)>)?$/
const ENDED = /^\+\+\+ (?:exited with (\d+)|killed by (SIG\w+)(?: \(core dumped\))?) \+\+\+$/
const SUPERSEDED = /^\+\+\+ superseded by execve in pid (\d+) \+\+\+$/
const SIGNAL = /^--- (?:stopped by )?(SIG\w+)(?: \{.*\})? ---$/

const RULE =
  'expected `TID TIME call(...) = result <seconds>`, `<... call resumed>...`, ' +
  '`--- SIGNAL ---` or `+++ exited with N +++`'
const REMEDY = 'record it with: racewalk record -o NAME -- PROGRAM'
const CUT_REMEDY = 'take the whole file, or record it again and let the program come to its end'

/** The thread of lines that name none. */
const UNNAMED = 0

const DAY = 24 * 3600 * 1_000_000 // µs

/** What every event of a line has. */
interface Stamp {
  readonly line: number
  readonly endLine: number
  readonly tid: number
  readonly startTime: number
}

/** A call between its `<unfinished ...>` and its `resumed` line. */
interface Pending {
  readonly name: string
  readonly text: string
  readonly line: number
  readonly startTime: number
}

class LogReader {
  readonly #file: string
  readonly #events: UnorderedEvent[] = []
  readonly #pending = new Map<number, Pending>()
  readonly #alive = new Set<number>()
  /** Last line of each thread. */
  readonly #lastLine = new Map<number, number>()
  /** The thread of lines without one, once a line names it; and the threads that others made. */
  #main: number | undefined
  #hasUnnamed = false
  readonly #made = new Set<number>()
  #line = 0
  #latest = 0 // µs; the latest time seen

  readonly #leader: number | undefined
  readonly #isWanted: (name: string) => boolean

  constructor(file: string, { leader, isWanted = () => true }: ParseOptions) {
    this.#file = file
    this.#leader = leader
    this.#isWanted = isWanted
  }

  get lineCount(): number {
    return this.#line
  }

  /** `cut`: the file ends in the middle of this line, or at least before its newline. */
  read(text: string, cut: boolean): void {
    this.#line++
    const remark = REMARK.exec(text)
    if (remark?.[1] !== undefined) this.#made.add(Number(remark[1]))
    if (remark !== null) return
    const match = LINE.exec(text)
    const rest = match?.[9]
    if (match === null || rest === undefined) this.#notALine(text, cut)
    const tid = this.#threadOf(match[1] ?? match[2])
    this.#lastLine.set(tid, this.#line)
    const stamp = { line: this.#line, endLine: this.#line, tid, startTime: this.#time(match) }
    if (!this.#readBracketed(rest, stamp) && !this.#readCall(rest, stamp)) this.#notALine(text, cut)
  }

  finish(): readonly UnorderedEvent[] {
    if (this.#line === 0) refuse(this.#at(1), 'the file is empty', RULE, REMEDY)
    for (const [tid, call] of this.#pending) {
      const what = `${call.name} of thread ${tid} is never resumed, and the thread does not end`
      refuse(this.#at(call.line), what, 'the log was cut', CUT_REMEDY)
    }
    for (const tid of this.#alive) this.#endsWith(tid)
    this.#checkChildren()
    return this.#hasUnnamed ? this.#events.map((event) => this.#named(event)) : this.#events
  }

  /** Events of lines without a thread are of the one that the log names later, or that the caller knows. */
  #named(event: UnorderedEvent): UnorderedEvent {
    const main = this.#main ?? this.#leader
    if (event.tid !== UNNAMED) return event
    if (main !== undefined) return { ...event, tid: main }
    refuse(this.#at(event.line), 'no line says which thread it is of', 'strace -f writes it', REMEDY)
  }

  /** Lines in --- and +++. Says whether it was one. */
  #readBracketed(rest: string, stamp: Stamp): boolean {
    const ended = ENDED.exec(rest)
    if (ended !== null) {
      this.#endThread(stamp)
      const how = ended[1] === undefined ? { signal: ended[2] ?? '' } : { status: Number(ended[1]) }
      this.#events.push({ kind: 'end', ...stamp, ...how })
      return true
    }
    const superseded = SUPERSEDED.exec(rest)
    if (superseded !== null) {
      this.#supersede(stamp, Number(superseded[1]))
      return true
    }
    const signal = SIGNAL.exec(rest)?.[1]
    if (signal === undefined) return false
    this.#alive.add(stamp.tid)
    this.#events.push({ kind: 'signal', ...stamp, signal })
    return true
  }

  #readCall(rest: string, stamp: Stamp): boolean {
    this.#alive.add(stamp.tid)
    const resumed = RESUMED.exec(rest)
    if (resumed !== null) return this.#resume(resumed[1] ?? '', resumed[2] ?? '', stamp)
    const before = this.#pending.get(stamp.tid)
    if (before !== undefined) {
      const what = `thread ${stamp.tid} begins a call before its ${before.name} of line ${before.line} has ended`
      refuse(this.#at(), what, 'a thread is in one call at a time', CUT_REMEDY)
    }
    const unfinished = UNFINISHED.exec(rest)
    if (unfinished === null) return this.#whole(rest, stamp)
    const [, name = '', text = ''] = unfinished
    this.#pending.set(stamp.tid, { name, text, line: stamp.line, startTime: stamp.startTime })
    return true
  }

  /** Joins the two halves. A thread that is killed inside of a call prints `<... x resumed> <unfinished ...>) = ?`. */
  #resume(name: string, text: string, stamp: Stamp): boolean {
    const call = this.#pending.get(stamp.tid)
    if (call?.name !== name) {
      const open = call === undefined ? 'no unfinished call' : `an unfinished ${call.name} (line ${call.line})`
      refuse(
        this.#at(),
        `resumes ${name}, but thread ${stamp.tid} has ${open}`,
        'the log was cut or edited',
        CUT_REMEDY,
      )
    }
    this.#pending.delete(stamp.tid)
    const whole = `${name}(${call.text}${text.replace(/\s*<unfinished \.\.\.>/, '')}`
    return this.#whole(whole, { ...stamp, line: call.line, startTime: call.startTime })
  }

  #whole(rest: string, stamp: Stamp): boolean {
    const [, name, text, resultText = ''] = CALL.exec(rest) ?? []
    const result = RESULT.exec(resultText)
    if (name === undefined || text === undefined || result === null) return false
    const event = this.#event(name, text, callResult(result, stamp.startTime), stamp)
    if (event.kind !== 'other' || this.#isWanted(name)) this.#events.push(event)
    return true
  }

  #event(name: string, text: string, result: CallResult, stamp: Stamp): UnorderedEvent {
    const childTid = succeeded(result) ? result.result : undefined
    if (childTid !== undefined && /^(?:clone3?|v?fork)$/.test(name)) this.#made.add(childTid)
    const call = decodeArgs(name, text, this.#at(stamp.line), childTid)
    if (call === undefined) return { kind: 'other', ...stamp, ...result, name, args: text }
    if (call.name === 'munmap' && call.args.length === 0 && result.errno === 'EINVAL') {
      const k = (call.args.addr - MARK_BASE) / MARK_STEP
      if (Number.isInteger(k) && k >= 0 && k < 16) return { kind: 'snapshot', ...stamp, k }
    }
    return { kind: 'call', ...stamp, ...result, ...call }
  }

  /** A call the thread died in has no result and perhaps not all arguments: it is kept as text. */
  #endThread(stamp: Stamp): void {
    const call = this.#pending.get(stamp.tid)
    this.#pending.delete(stamp.tid)
    this.#alive.delete(stamp.tid)
    if (call === undefined) return
    const { name, text, line, startTime } = call
    if (!this.#isWanted(name)) return
    this.#events.push({ kind: 'other', ...stamp, line, startTime, name, args: text, result: undefined })
  }

  /** The execve that `by` left unfinished is resumed under the leader's number. */
  #supersede(stamp: Stamp, by: number): void {
    this.#endThread(stamp)
    const call = this.#pending.get(by)
    if (call === undefined) refuse(this.#at(), `thread ${by} has no unfinished execve`, 'the log was cut', CUT_REMEDY)
    this.#pending.delete(by)
    this.#pending.set(stamp.tid, call)
    this.#alive.delete(by)
    this.#alive.add(stamp.tid)
    this.#events.push({ kind: 'superseded', ...stamp, by })
  }

  /**
   * The thread of a line. Lines of a log of a terminal have none while there is one thread: the first that a line names
   * and no call made.
   */
  #threadOf(text: string | undefined): number {
    if (text === undefined) {
      this.#hasUnnamed = true
      return UNNAMED
    }
    const tid = Number(text)
    if (this.#hasUnnamed && this.#main === undefined && !this.#made.has(tid)) this.#main = tid
    return tid === this.#main ? UNNAMED : tid
  }

  /**
   * Time of day in µs, past midnight counted on. Lines may be a little out of order, so a step back is not a new day.
   */
  #time(match: RegExpExecArray): number {
    if (match[7] !== undefined) return Number(match[7]) * 1_000_000 + Number(match[8])
    const [hours, minutes, seconds, micros] = match.slice(3, 7).map((text) => Number(text ?? 0))
    let time = (((hours ?? 0) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1_000_000 + (micros ?? 0)
    while (time < this.#latest - DAY / 2) time += DAY
    this.#latest = Math.max(this.#latest, time)
    return time
  }

  /** A thread whose clone is the last that the log says about it. */
  #checkChildren(): void {
    for (const event of this.#events) {
      if (event.kind !== 'call' || !('childTid' in event.args) || event.args.childTid === undefined) continue
      if ((this.#lastLine.get(event.args.childTid) ?? 0) < event.line) this.#endsWith(event.args.childTid)
    }
  }

  #endsWith(tid: number): never {
    const rule = 'a whole log ends every thread with `+++ exited with N +++` or `+++ killed by SIGNAL +++`'
    refuse(this.#at(), `the log ends here, but thread ${tid} has not ended`, rule, CUT_REMEDY)
  }

  #notALine(text: string, cut: boolean): never {
    if (cut) refuse(this.#at(), `the file ends in the middle of a line: ${excerpt(text)}`, RULE, CUT_REMEDY)
    refuse(this.#at(), `not an strace line: ${excerpt(text)}`, RULE, REMEDY)
  }

  #at(line = this.#line): Place {
    return { file: this.#file, line }
  }
}

const MARK_BASE = 0x6d61_7000_0000 // "map", then the snapshot's number
const MARK_STEP = 0x1000

function callResult(match: RegExpExecArray, startTime: number): CallResult {
  const [, value = '', errno, seconds] = match
  const result = value === '?' ? undefined : Number(BigInt.asIntN(64, BigInt(value)))
  const end = seconds === undefined ? {} : { endTime: startTime + Math.round(Number(seconds) * 1_000_000) }
  return { result, ...(errno === undefined ? {} : { errno }), ...end }
}
