/**
 * The order in which the calls of a log took effect.
 *
 * strace writes a call's result after the call returned, and threads stop for strace at every entry and exit. So the
 * effect of a call lies between its two lines (`<unfinished ...>`, `resumed`), or at its one line. Between two calls
 * that overlap the log does not say more; three rules choose:
 *
 * 1. A call takes effect at the line that has its result.
 * 2. clone, fork and vfork take effect no later than just before the first line of the thread they made. (vfork returns
 *    to the parent only after the child's execve or exit.)
 * 3. Memory that the kernel chose to hand out was free. So a call of another thread that frees it (munmap, mremap, or
 *    mmap over it) and that had begun, but whose result comes later, goes first.
 *
 * No other order can matter: whoever learns an address or a mapping from a call learns it after that call's result line
 * was written. Rule 3 compares addresses across processes too; moving a call before another process's changes nothing.
 */
import { succeeded, type LogEvent } from './straceEvent.js'

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
/** An event that has no place yet. */
export type UnorderedEvent = Without<LogEvent, 'n'>

interface Interval {
  readonly start: number
  readonly end: number
}

/**
 * `events`, given in the order of their result lines, in effect order, numbered. One thread's events keep their order.
 */
export function effectOrder(events: readonly UnorderedEvent[]): LogEvent[] {
  const ranks = events.map((event) => event.endLine)
  beforeChildren(events, ranks)
  beforeReuse(events, ranks)
  const order = events.map((_, index) => index)
  order.sort((a, b) => (ranks[a] ?? 0) - (ranks[b] ?? 0) || a - b)
  return order.map((index, n) => ({ n, ...events[index] }) as LogEvent)
}

/** Rule 2. The parent's call is split then: the child's line stands between its two. */
function beforeChildren(events: readonly UnorderedEvent[], ranks: number[]): void {
  const linesOf = new Map<number, number[]>()
  for (const { tid, line } of events) {
    const lines = linesOf.get(tid)
    if (lines === undefined) linesOf.set(tid, [line])
    else lines.push(line)
  }
  events.forEach((event, index) => {
    const child = event.kind === 'call' && 'childTid' in event.args ? event.args.childTid : undefined
    if (child === undefined || event.line === event.endLine) return
    const between = (linesOf.get(child) ?? []).filter((line) => line > event.line && line < event.endLine)
    if (between.length > 0) ranks[index] = Math.min(...between) - 0.5
  })
}

/** Rule 3. `events` stand in the order of their result lines, so those inside of a call come right before it. */
function beforeReuse(events: readonly UnorderedEvent[], ranks: number[]): void {
  events.forEach((free, index) => {
    const freed = free.line === free.endLine ? undefined : freedBy(free)
    if (freed === undefined) return
    for (let i = index - 1; i >= 0; i--) {
      const use = events[i]
      if (use === undefined || use.endLine <= free.line) return
      const given = use.tid === free.tid ? undefined : givenTo(use)
      if (given === undefined || given.end <= freed.start || given.start >= freed.end) continue
      ranks[index] = Math.min(ranks[index] ?? 0, (ranks[i] ?? 0) - 0.25)
    }
  })
}

/** What a call leaves free, or may have freed on its way. */
function freedBy(event: UnorderedEvent): Interval | undefined {
  if (event.kind !== 'call' || !succeeded(event)) return undefined
  if (event.name === 'munmap') return { start: event.args.addr, end: event.args.addr + event.args.length }
  if (event.name !== 'mremap') return undefined
  return { start: event.args.oldAddr, end: event.args.oldAddr + event.args.oldLength }
}

/** Memory at an address of the kernel's choice. */
function givenTo(event: UnorderedEvent): Interval | undefined {
  if (event.kind !== 'call' || !succeeded(event) || event.result === undefined) return undefined
  if (event.name === 'mmap' && !event.args.flags.has('MAP_FIXED')) {
    return { start: event.result, end: event.result + event.args.length }
  }
  if (event.name !== 'mremap' || event.args.flags.has('MREMAP_FIXED')) return undefined
  return event.result === event.args.oldAddr
    ? { start: event.result + event.args.oldLength, end: event.result + event.args.newLength }
    : { start: event.result, end: event.result + event.args.newLength }
}
