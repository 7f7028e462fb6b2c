/**
 * An execution in the Trace Event format, which ui.perfetto.dev and chrome://tracing open: a process with a thread for
 * each CPU. A step is a microsecond, and its number the time: accesses are slices of 1 µs below the kernel functions
 * that made them and the operation that they are part of. Arrows lead from who sends an interrupt to who takes it.
 *
 * Format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
 */
import { ActionKind, ACTION_KINDS } from '../machine/engine/actions.js'
import type { Finding } from '../machine/engine/finding.js'
import type { DecisiveStep } from './explain.js'
import type { AccessRow, Row } from './steps.js'

/** `ts` and `dur` in microseconds, one a step. */
export interface TraceEvent {
  /** X: slice, i: instant, s and f: begin and end of an arrow, M: a name. */
  readonly ph: 'X' | 'i' | 's' | 'f' | 'M'
  readonly name: string
  readonly cat?: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  readonly dur?: number
  /** Of an instant: t on its thread, g everywhere. */
  readonly s?: 't' | 'g'
  readonly id?: number
  readonly bp?: 'e'
  readonly args?: Readonly<Record<string, unknown>>
}

export interface TraceDocument {
  readonly displayTimeUnit: 'ns'
  readonly traceEvents: readonly TraceEvent[]
  readonly metadata: Readonly<Record<string, string>>
}

const PID = 1
const INTERRUPT = ACTION_KINDS[ActionKind.interrupt] as string

export interface Traced {
  readonly rows: readonly Row[]
  readonly cpus: number
  readonly finding: Finding | null
  readonly decisive?: DecisiveStep | null
  /** `gup-vs-split, bug pmdp-inval-addr`. */
  readonly subject: string
  readonly command: string
}

export function traceDocument({ rows, cpus, finding, decisive = null, subject, command }: Traced): TraceDocument {
  const threads = Array.from({ length: cpus }, (_, cpu) => new Thread(cpu))
  const arrows = new Arrows()
  let step = 0
  for (const row of rows) {
    const thread = threads[row.cpu] as Thread
    if (row.kind === 'access') {
      step = row.step
      thread.access(row)
      arrows.sent(row)
    } else if (row.kind === 'operation') thread.begin(row.text)
    else {
      thread.event(row.text, step + 1)
      if (row.text === INTERRUPT) arrows.taken(row.cpu, step + 1)
    }
  }
  const names = [
    named('process_name', 0, { name: `racewalk: ${subject}` }),
    ...threads.flatMap(({ cpu }) => [
      named('thread_name', cpu, { name: `CPU ${cpu}` }),
      named('thread_sort_index', cpu, { sort_index: cpu }),
    ]),
  ]
  const events = threads.flatMap((thread) => thread.end())
  const instants = [...decisiveEvents(decisive), ...findingEvents(finding, step)]
  const traceEvents = [...names, ...events, ...arrows.events, ...instants]
  return { displayTimeUnit: 'ns', traceEvents, metadata: { subject, command } }
}

const named = (name: string, tid: number, args: Record<string, unknown>): TraceEvent => ({
  ph: 'M',
  name,
  pid: PID,
  tid,
  ts: 0,
  args,
})

function decisiveEvents(decisive: DecisiveStep | null): TraceEvent[] {
  if (decisive === null) return []
  const { cpu, step, before, after, runs } = decisive
  const args = { before, after, runs }
  return [{ ph: 'i', name: 'decisive switch', cat: 'finding', pid: PID, tid: cpu, ts: step, s: 't', args }]
}

function findingEvents(finding: Finding | null, last: number): TraceEvent[] {
  if (finding === null) return []
  const { title, oracle, cpu, details } = finding
  const where = cpu < 0 ? ({ tid: 0, s: 'g' } as const) : ({ tid: cpu, s: 't' } as const)
  return [{ ph: 'i', name: title, cat: 'finding', pid: PID, ts: last + 1, ...where, args: { oracle, details } }]
}

// ---- slices -------------------------------------------------------------------------------------------------------

/** A slice whose end is still to come. */
type Open = TraceEvent & { dur: number }

/** What a slice stands for: `call` tells an interrupt from the next one. */
interface Place {
  readonly name: string
  readonly cat: string
  readonly call: number
}

/** The slices of one CPU: operation, interrupt, functions, access, each inside the one before. */
class Thread {
  readonly cpu: number
  readonly #events: TraceEvent[] = []
  readonly #open: { readonly place: Place; readonly slice: Open }[] = []
  #operation: string | null = null
  /** Interrupts taken, which tells one from the next. */
  #interrupts = 0
  #last = 0

  constructor(cpu: number) {
    this.cpu = cpu
  }

  /** An operation begins with the next access. */
  begin(operation: string): void {
    this.#close(0)
    this.#operation = operation
  }

  event(name: string, ts: number): void {
    if (name === INTERRUPT) this.#interrupts++
    this.#events.push({ ph: 'i', name, cat: name, pid: PID, tid: this.cpu, ts, s: 't' })
  }

  access({ step, access, name, before, after, stack, interrupt }: AccessRow): void {
    const handler = interrupt ? [{ name: INTERRUPT, cat: INTERRUPT, call: this.#interrupts }] : []
    const operation = this.#operation === null ? [] : [{ name: this.#operation, cat: 'operation', call: 0 }]
    const functions = [...stack].reverse().map((name) => ({ name, cat: 'function', call: 0 }))
    this.#descend([...operation, ...handler, ...functions], step)
    this.#last = step
    const value = before === null || before === after ? '' : `: ${before} → ${after}`
    const args = { step, word: name, ...(before === null ? {} : { before, after }) }
    const where = { pid: PID, tid: this.cpu, ts: step, dur: 1 }
    this.#events.push({ ph: 'X', name: `${access} ${name}${value}`, cat: 'access', ...where, args })
  }

  /** Closes what is not on `path` any more and opens what is new. */
  #descend(path: readonly Place[], step: number): void {
    let same = 0
    while (same < path.length && isSame(this.#open[same]?.place, path[same])) same++
    this.#close(same)
    for (const place of path.slice(same)) {
      const slice: Open = { ph: 'X', name: place.name, cat: place.cat, pid: PID, tid: this.cpu, ts: step, dur: 0 }
      this.#open.push({ place, slice })
      this.#events.push(slice)
    }
  }

  /** Closes all but the outermost `keep` slices, with the end of the last access. */
  #close(keep: number): void {
    for (const { slice } of this.#open.splice(keep)) slice.dur = this.#last + 1 - slice.ts
  }

  /** Everything that happened, in the order of time, the outer of two that begin together first. */
  end(): TraceEvent[] {
    this.#close(0)
    return this.#events.sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0))
  }
}

const isSame = (a: Place | undefined, b: Place | undefined): boolean =>
  a !== undefined && a.name === b?.name && a.cat === b.cat && a.call === b.call

// ---- arrows -------------------------------------------------------------------------------------------------------

const CALL_QUEUE = /^cpu\[(\d+)\]\.callQueue$/

/** From the store of a request into a CPU's call queue to the interrupt that takes it. */
class Arrows {
  readonly events: TraceEvent[] = []
  readonly #sent = new Map<number, { readonly cpu: number; readonly step: number }[]>()

  sent({ cpu, step, name, before, after }: AccessRow): void {
    const to = Number(CALL_QUEUE.exec(name)?.[1] ?? -1)
    if (to < 0 || to === cpu || before === after) return
    this.#sent.set(to, [...(this.#sent.get(to) ?? []), { cpu, step }])
  }

  taken(cpu: number, ts: number): void {
    for (const from of this.#sent.get(cpu) ?? []) {
      const arrow = { name: INTERRUPT, cat: INTERRUPT, pid: PID, id: this.events.length }
      this.events.push(
        { ph: 's', ...arrow, tid: from.cpu, ts: from.step },
        { ph: 'f', bp: 'e', ...arrow, tid: cpu, ts },
      )
    }
    this.#sent.delete(cpu)
  }
}
