/**
 * A search decides the schedules of an exploration, execution after execution: a sampled search draws them from a seed,
 * a systematic one derives them from earlier executions. One implementation a file: sampled.ts, bounded.ts, dpor.ts.
 */
import type { Strategy } from '../../machine/engine/controlled.js'

/** How far a systematic search has come. */
export interface SearchProgress {
  /**
   * Largest bound (of preemptions) below and at which no schedule is left; -1 before there is one, null without a
   * bound.
   */
  readonly bound: number | null
  /** About how many schedules are still to come, and up to what `note` says; null where nothing can be said. */
  readonly estimate: number | null
  /** The same in words. */
  readonly note: string
}

export interface Search {
  /** The strategy of the next execution; null when no schedule is left. */
  next(): Strategy | null
  /** The execution under the last strategy of next() has ended. False when it does not count. */
  ended(): boolean
}

/**
 * A search that learns from its executions. The search of a part of its space depends on nothing outside of the part,
 * so that other threads can search it. Parts, their results and the state of the search are plain data, whose form only
 * the search and its SearchParts know.
 */
export interface SystematicSearch extends Search {
  progress(): SearchProgress
  /** Every schedule was run. */
  readonly complete: boolean
  /** A number of the next execution that is the same in every thread: see markOf(). */
  readonly mark: number
  /** Its state, between two executions. */
  keep(): object
  /** Goes on from the state of another search. */
  goOn(kept: object): void
  /** Searches `part`, and nothing else, from here on. */
  begin(part: object): void
  /** The result of the part so far. */
  done(): object
}

/** A part with a name that no other has. */
export interface NamedPart {
  readonly name: string
  make(): object
}

/** A systematic search as its parts: plain data in, plain data out. It runs nothing. */
export interface SearchParts {
  /** The part that is searched next; null when nothing is left. The same until take() or goWrong(). */
  turn(): NamedPart | null
  /**
   * Parts that will be searched later, in that order, as far as that is known and for as long as `goesOn` says so.
   * `doneOf`: the results of parts that were searched.
   */
  later(doneOf: (name: string) => object | undefined, goesOn: (part: NamedPart) => boolean): void
  /** Takes over the result of the part that turn() gives, as a whole or up to some execution. */
  take(done: object): void
  /** The result of a part whose search went on after the result `done`, with the result `more`. */
  joined(done: object, more: object): object
  /** The rest of `part` after the result `done`. */
  goingOn(part: object, done: object): object
  /** Nothing more is to be searched in it. */
  isDone(done: object): boolean
  /** Nothing of it counts; turn() is another part then. */
  isOff(done: object): boolean
  goWrong(): void
  keep(): object
  goOn(kept: object): void
  progress(): SearchProgress
  readonly complete: boolean
}

/** A search whose executions depend on nothing but their index, once a few have been measured. */
export interface IndexedSearch extends Search {
  /** Executions, from the first, that are run before any other. */
  readonly measured: number
  next(): Strategy
  /** Goes on with execution `index`; the first `measured` have been run. */
  skipTo(index: number): void
}

export const isIndexed = (search: Search): search is IndexedSearch => 'skipTo' in search
export const isSystematic = (search: Search): search is SystematicSearch => 'progress' in search

/** A 32-bit hash of the decisions that an execution begins with. */
export function markOf(decisions: readonly number[]): number {
  let hash = decisions.length
  for (const decision of decisions) hash = Math.imul(hash ^ decision, 0x9e3779b1) ^ (hash >>> 15)
  return (hash ^ (hash >>> 13)) >>> 0
}

/** `with at most 2 preemptions`. */
export function withAtMost(preemptions: number): string {
  if (preemptions === 0) return 'without a preemption'
  return `with at most ${preemptions} preemption${preemptions === 1 ? '' : 's'}`
}
