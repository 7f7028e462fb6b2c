/**
 * The partition of a systematic search over threads. SearchParts cuts the search into parts that are searched
 * independently, some ahead of their turn; the partition takes over their results in the order of the whole search. The
 * result is therefore that of one thread, execution after execution, unless the exploration is stopped.
 */
import { RECORDED_FIRST } from '../insight/coverage.js'
import type { NamedPart, SearchParts } from '../strategy/search.js'
import { addTally, emptyTally, isOver, type Found, type Tally } from '../tally.js'
import {
  NO_LAST,
  type PartResult,
  type PartsResult,
  type PartsUnit,
  type WorkUnit,
  type UnitResult,
  type Work,
} from './work.js'

/** Parts for each thread that are out, or done before their turn. More would only take memory. */
const AHEAD = 192
/** Parts of one unit at most. */
const BATCH = 64

/** A part that is out, or was searched. */
interface Slot {
  readonly part: object
  /** The same as text: what it is asked to be when its turn comes. */
  readonly text: string
  /** Of the unit that it is out with; -1 for none. */
  order: number
  tally: Tally | null
  done: object | null
}

export class Partition implements Work {
  /** All executions up to the first that was not made. */
  readonly tally: Tally
  fault: string | null = null
  last = NO_LAST
  readonly #parts: SearchParts
  readonly #limit: number
  readonly #shards: number
  readonly #slots = new Map<string, Slot>()
  #order = 0
  /** A unit failed: from here on one execution at a time, so that it is known which one it is. */
  #careful = false

  /** Goes on after `tally`, until `limit` executions have been made. */
  constructor(parts: SearchParts, tally: Tally, limit: number, shards: number) {
    this.#parts = parts
    this.tally = tally
    this.#limit = limit
    this.#shards = shards
    if (isOver(tally)) this.last = -1
  }

  get executions(): number {
    return this.tally.executions
  }

  keep(): object {
    return this.#parts.keep()
  }

  next(): PartsUnit | null {
    if (this.last < 0 || this.executions >= this.#limit) return null
    const turn = this.#parts.turn()
    if (turn === null) {
      this.#end()
      return null
    }
    const alone = this.#careful || this.executions < RECORDED_FIRST
    const names = alone ? this.#only(turn) : this.#fresh(turn)
    return names.length === 0 ? null : this.#unit(names, alone)
  }

  /** The part that is next in order, unless a thread has it. */
  #only(turn: NamedPart): string[] {
    return isOut(this.#slots.get(turn.name)) ? [] : [this.#slotOf(turn)]
  }

  /** Some parts that no thread has searched; where there are none, one that is to be searched on. */
  #fresh(turn: NamedPart): string[] {
    const found: NamedPart[] = []
    let goingOn: string | null = null
    const look = (part: NamedPart): boolean => {
      const slot = this.#slots.get(part.name)
      if (slot === undefined) found.push(part)
      else if (slot.tally !== null && isOver(slot.tally)) return false
      else if (goingOn === null && !isOut(slot) && !this.#isDone(slot)) goingOn = part.name
      return found.length + this.#slots.size < AHEAD * this.#shards && found.length < BATCH * this.#shards
    }
    if (look(turn)) this.#parts.later((name) => this.#slots.get(name)?.done ?? undefined, look)
    if (found.length === 0) return goingOn === null ? [] : [goingOn]
    return found.slice(0, Math.ceil(found.length / this.#shards)).map((part) => this.#slotOf(part))
  }

  #isDone({ done }: Slot): boolean {
    return done !== null && (this.#parts.isDone(done) || this.#parts.isOff(done))
  }

  /** Its name, when there is a slot for it. */
  #slotOf({ name, make }: NamedPart): string {
    if (this.#slots.has(name)) return name
    const part = make()
    this.#slots.set(name, { part, text: JSON.stringify(part), order: -1, tally: null, done: null })
    return name
  }

  #unit(names: readonly string[], alone: boolean): PartsUnit {
    const parts = names.map((name) => {
      const slot = this.#slots.get(name) as Slot
      slot.order = this.#order
      return slot.done === null ? slot.part : this.#parts.goingOn(slot.part, slot.done)
    })
    const made = alone ? (this.#slots.get(names[0] as string)?.tally?.executions ?? 0) : 0
    const from = this.executions + made
    const most = this.#careful ? 1 : this.#limit - from
    const least = alone && !this.#careful ? Math.min(most, RECORDED_FIRST - from) : 0
    return { kind: 'parts', order: this.#order++, from, names, parts, least, most }
  }

  done(given: WorkUnit, result: UnitResult): void {
    const unit = given as PartsUnit
    unit.names.forEach((name, at) => this.#note(name, unit, (result as PartsResult).parts[at]))
    this.#merge()
  }

  #note(name: string, { order, from }: PartsUnit, result: PartResult | undefined): void {
    const slot = this.#slots.get(name)
    if (slot?.order !== order) return
    slot.order = -1
    if (result !== undefined) {
      const { tally, done } = result
      const made = slot.tally?.executions ?? 0
      slot.tally ??= emptyTally()
      addTally(slot.tally, moved(tally, made - from))
      slot.done = slot.done === null ? done : this.#parts.joined(slot.done, done)
    } else if (slot.done === null) this.#slots.delete(name)
  }

  /** Takes over what is next in turn. */
  #merge(): void {
    while (this.last >= 0 && this.executions < this.#limit) {
      const turn = this.#parts.turn()
      if (turn === null) return this.#end()
      const slot = this.#slots.get(turn.name)
      if (slot === undefined || isOut(slot) || slot.done === null || slot.tally === null) return
      this.#slots.delete(turn.name)
      // It was made when it was not its turn: what it is now is what counts.
      if (slot.text !== JSON.stringify(turn.make())) continue
      if (this.#parts.isOff(slot.done)) this.#parts.goWrong()
      else if (this.executions + slot.tally.executions <= this.#limit) this.#take(slot.tally, slot.done)
      else return
    }
  }

  #take(tally: Tally, done: object): void {
    addTally(this.tally, moved(tally, this.executions))
    this.#parts.take(done)
    this.tally.progress = this.#parts.progress()
    if (isOver(this.tally)) this.last = -1
  }

  #end(): void {
    this.tally.complete = this.#parts.complete
    this.tally.progress = this.#parts.progress()
    this.last = -1
  }

  failed(unit: WorkUnit, why: string): void {
    for (const name of (unit as PartsUnit).names) this.#note(name, unit as PartsUnit, undefined)
    if (this.#careful) {
      this.fault = `execution ${this.executions + 1}: ${why}`
      this.last = -1
    } else {
      this.#careful = true
      this.#slots.clear()
    }
  }

  behind(): { readonly executions: number; readonly found: Found | null } {
    if (isOver(this.tally)) return { executions: 0, found: null }
    const tallies = [...this.#slots.values()].flatMap(({ tally }) => (tally === null ? [] : [tally]))
    const found = tallies.find((tally) => tally.found !== null)?.found ?? null
    return { executions: tallies.reduce((sum, tally) => sum + tally.executions, 0), found }
  }
}

const isOut = (slot: Slot | undefined): boolean => slot !== undefined && slot.order >= 0

/** Counts its executions from `by` on. */
function moved(tally: Tally, by: number): Tally {
  const { found, unwanted, divergence } = tally
  const later = <T extends { readonly execution: number }>(what: T | null): T | null =>
    what && { ...what, execution: what.execution + by }
  return { ...tally, found: later(found), unwanted: later(unwanted), divergence: later(divergence) }
}
