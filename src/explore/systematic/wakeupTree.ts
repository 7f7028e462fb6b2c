/**
 * A _wakeup tree_ holds the sequences of events that still have to be explored from one state of an execution. Its
 * branches stay in the order in which they were added.
 *
 * Source: Abdulla, Aronis, Jonsson, Sagonas, "Source Sets: A Foundation for Optimal Dynamic Partial Order Reduction",
 * JACM 2017, section 7.
 */
import { dependent, type Effect } from './effect.js'

export interface Branch {
  /** The event as it was in the execution that the sequence comes from. */
  readonly event: Effect
  readonly next: Branch[]
}

/** Adds `sequence` to `branches`, unless exploring one of them explores an execution that begins like it. */
export function insert(branches: Branch[], sequence: readonly Effect[]): void {
  let [at, rest] = [branches, sequence]
  for (;;) {
    const branch = at.find(({ event }) => isWeakInitial(event, rest))
    if (branch === undefined) break
    if (branch.next.length === 0) return
    rest = without(rest, branch.event.proc)
    at = branch.next
  }
  for (const event of rest) {
    const branch = { event, next: [] }
    at.push(branch)
    at = branch.next
  }
}

/** Whether some execution equivalent to one that begins with `sequence` begins with the step of `event`'s process. */
export function isWeakInitial(event: Effect, sequence: readonly Effect[]): boolean {
  const place = sequence.findIndex(({ proc }) => proc === event.proc)
  const [step, before] = place < 0 ? [event, sequence.length] : [sequence[place] as Effect, place]
  for (let at = 0; at < before; at++) if (dependent(sequence[at] as Effect, step)) return false
  return true
}

function without(sequence: readonly Effect[], proc: number): readonly Effect[] {
  const place = sequence.findIndex((event) => event.proc === proc)
  return place < 0 ? sequence : [...sequence.slice(0, place), ...sequence.slice(place + 1)]
}
