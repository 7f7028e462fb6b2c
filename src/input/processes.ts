/**
 * Threads, processes and address spaces of a log: which thread was in which address space when.
 *
 * Source: clone(2), vfork(2), execve(2), pthreads(7).
 * - clone with CLONE_VM shares the caller's address space, without it copies it; fork copies, vfork shares.
 * - clone with CLONE_THREAD makes a thread of the caller's process, without it a new process.
 * - execve that succeeds leaves the address space for a new one, and the process keeps its number; a thread that is not
 *   the leader takes the leader's number (the log's `superseded` line).
 * - An address space ends when its last thread has ended or left by execve. So a vfork child that called execve or exit
 *   leaves its parent's address space as it was.
 */
import { fail } from '../base/assert.js'
import { refuse } from './place.js'
import type { StraceLog } from './strace.js'
import { succeeded, type CallNamed, type LogEvent } from './straceEvent.js'

/** `at` is the number of the event (LogEvent.n) that did it. */
export type Beginning =
  /** The first program of the log. `at` is its execve, or whatever the log begins with. */
  | { readonly kind: 'root'; readonly at: number }
  /** A copy of address space `of`. */
  | { readonly kind: 'fork'; readonly at: number; readonly of: number }
  /** Made by the execve with which a thread left address space `from`. */
  | { readonly kind: 'exec'; readonly at: number; readonly from: number; readonly path: string }

export interface AddressSpace {
  /** Place in ProcessModel.spaces. */
  readonly id: number
  /** The process it began with. */
  readonly leader: number
  readonly began: Beginning
  /**
   * What its threads did while they were in it, in effect order; an execve with which one left is that thread's last.
   */
  readonly events: readonly LogEvent[]
  /** Number of the event after which no thread was in it. */
  readonly endedAt: number | undefined
}

/** One thread's time in one address space: events `from` … `to`. */
export interface Stay {
  readonly tid: number
  /** The process (thread group) the thread belongs to. */
  readonly pid: number
  readonly space: number
  readonly from: number
  readonly to: number | undefined
}

export interface ProcessModel {
  readonly spaces: readonly AddressSpace[]
  readonly stays: readonly Stay[]
}

/** Throws UsageError when a thread appears that nothing in the log made. */
export function processModel(log: StraceLog): ProcessModel {
  const tracker = new Tracker(log)
  for (const event of log.events) tracker.see(event)
  const spaces = tracker.spaces.map(({ threads: _threads, ...space }) => space)
  return { spaces, stays: tracker.stays }
}

/** The process that the thread of `event` belonged to. */
export function pidOf(model: ProcessModel, event: LogEvent): number | undefined {
  const stay = model.stays.find(
    ({ tid, from, to }) => tid === event.tid && from <= event.n && (to === undefined || event.n <= to),
  )
  return stay?.pid
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type OpenSpace = Writable<Omit<AddressSpace, 'events'>> & { events: LogEvent[]; threads: number }
type OpenStay = Writable<Stay>
type CloneCall = CallNamed<'clone' | 'clone3' | 'fork' | 'vfork'>

class Tracker {
  readonly spaces: OpenSpace[] = []
  readonly stays: OpenStay[] = []
  readonly #log: StraceLog
  /** Where each living thread is. */
  readonly #now = new Map<number, OpenStay>()

  constructor(log: StraceLog) {
    this.#log = log
  }

  see(event: LogEvent): void {
    if (event.n === 0 && this.#root(event)) return
    const tid = event.kind === 'superseded' ? event.by : event.tid
    const stay = this.#now.get(tid) ?? this.#unknown(event, tid)
    this.#space(stay.space).events.push(event)
    if (event.kind === 'end') this.#leave(stay, event.n)
    if (event.kind === 'superseded') this.#supersede(event.tid, stay, event.n)
    if (event.kind !== 'call' || !succeeded(event)) return
    if (event.name === 'execve' || event.name === 'execveat') {
      this.#leave(stay, event.n)
      this.#begin(event.tid, { kind: 'exec', at: event.n, from: stay.space, path: event.args.path })
    }
    if (isClone(event)) this.#clone(event, stay)
  }

  /** A log begins with an execve as a rule. That one belongs to no address space: what it left was strace's own. */
  #root(event: LogEvent): boolean {
    this.#begin(event.tid, { kind: 'root', at: event.n })
    return event.kind === 'call' && event.name === 'execve' && succeeded(event)
  }

  #clone(event: CloneCall, parent: OpenStay): void {
    const { childTid, flags } = event.args
    if (childTid === undefined) return
    const pid = flags.has('CLONE_THREAD') ? parent.pid : childTid
    if (flags.has('CLONE_VM')) this.#enter(childTid, pid, parent.space, event.n + 1)
    else this.#begin(childTid, { kind: 'fork', at: event.n, of: parent.space })
  }

  #begin(leader: number, began: Beginning): void {
    const id = this.spaces.length
    this.spaces.push({ id, leader, began, events: [], endedAt: undefined, threads: 0 })
    this.#enter(leader, leader, id, began.kind === 'root' ? began.at : began.at + 1)
  }

  #enter(tid: number, pid: number, space: number, from: number): void {
    const stay: OpenStay = { tid, pid, space, from, to: undefined }
    this.stays.push(stay)
    this.#now.set(tid, stay)
    this.#space(space).threads++
  }

  #leave(stay: OpenStay, n: number): void {
    stay.to = n
    this.#now.delete(stay.tid)
    const space = this.#space(stay.space)
    space.threads--
    if (space.threads === 0) space.endedAt = n
  }

  /** The leader's thread is gone, if it was not before, and `stay` goes on under its number. */
  #supersede(leader: number, stay: OpenStay, n: number): void {
    const gone = this.#now.get(leader)
    if (gone !== undefined) this.#leave(gone, n)
    this.#enter(leader, stay.pid, stay.space, n + 1)
    this.#leave(stay, n)
  }

  #space(id: number): OpenSpace {
    const space = this.spaces[id]
    return space ?? fail(`processModel: no address space ${id}`)
  }

  #unknown(event: LogEvent, tid: number): never {
    const place = { file: this.#log.file, line: event.line }
    const rule = 'every thread but the first is made by a clone, clone3, fork or vfork in the log'
    refuse(place, `thread ${tid} comes from nowhere`, rule, 'trace the program from its start, with strace -f')
  }
}

const CLONES: ReadonlySet<string> = new Set(['clone', 'clone3', 'fork', 'vfork'])
const isClone = (event: LogEvent): event is CloneCall => event.kind === 'call' && CLONES.has(event.name)
