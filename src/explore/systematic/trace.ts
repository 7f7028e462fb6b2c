/**
 * The trace of an execution, for systematic search: its events, the dependencies between them, and their races.
 *
 * An _event_ is one step of a CPU, from an access to the next, or the moment at which the CPU takes an interrupt.
 *
 * Two events are _dependent_ when they are of one CPU, when both access a word and one writes it, or when one raises
 * the interrupt that the other takes. Executions that order all dependent events alike are equivalent.
 *
 * The trace sees the access and the stores of an event. It does not see state that CPUs share without accesses: notes
 * of oracles about frames, and translations in a TLB that another CPU's instruction purges. Executions that differ in
 * such state alone count as equivalent.
 */
import { lowestBit } from '../../base/bits.js'
import { accessWidth, mayWrite } from '../../machine/cpu/access.js'
import { cpuOf, isInterrupt } from '../../machine/engine/actions.js'
import type { ControlledEngine, Tracer } from '../../machine/engine/controlled.js'
import type { WaitCondition } from '../../machine/engine/engine.js'
import { peek32 } from '../../machine/image/image.js'
import { conflict, type Effect } from './effect.js'

export interface Event extends Effect {
  readonly words: number[]
  /** Byte address and width of its access; width 0 when it is none. */
  readonly addr: number
  readonly width: 0 | 4 | 8
  /** The two words at `addr` as it found them. */
  readonly before: readonly [number, number]
  /** The condition that it waited for; null when it could be made at any time. */
  readonly until: WaitCondition | null
  readonly operand: number
  /** Whether its CPU took interrupts when it came, and whether its CPU could have gone on. */
  readonly unmasked: boolean
  readonly ready: boolean
  /** 1: in the program of its CPU; more: in interrupt handlers. */
  readonly depth: number
  /** Words that it stored to and what it left there, in pairs. */
  readonly stores: number[]
  raises: number
}

/** Two events that could be in the other order: the second may come in place of the first. */
export interface Race {
  readonly first: number
  readonly second: Event
}

const WORD_BYTES = 4

export class Trace implements Tracer {
  readonly events: Event[] = []
  readonly #engine: ControlledEngine
  readonly #cpus: number
  /** By event: events of each CPU that happen before it, itself included. */
  readonly #clocks: Int32Array[] = []
  /** By event: its place among those of its CPU, from 1. */
  readonly #places: number[] = []
  /** By event: the races that it is the second of. */
  readonly #races: Race[][] = []
  /** Events that the above knows. Of them, by CPU: how many it has, the last, the one that raised its interrupt. */
  #settled = 0
  readonly #count: Int32Array
  readonly #last: Int32Array
  readonly #raisedBy: Int32Array
  /** By word: those of them that go to it. */
  readonly #accesses = new Map<number, number[]>()

  constructor(engine: ControlledEngine, cpus: number) {
    this.#engine = engine
    this.#cpus = cpus
    this.#count = new Int32Array(cpus)
    this.#last = new Int32Array(cpus)
    this.#raisedBy = new Int32Array(cpus)
  }

  /** An execution begins whose events before event `same` are those of the last one. */
  begin(same = 0): void {
    this.#settled = Math.min(same, this.#settled)
    this.#count.fill(0)
    this.#last.fill(-1)
    this.#raisedBy.fill(-1)
    for (let at = 0; at < this.#settled; at++) this.#note(this.events[at] as Event, at)
    for (const list of this.#accesses.values())
      while (list.length > 0 && (list[list.length - 1] as number) >= this.#settled) list.pop()
    this.events.length = 0
  }

  // ---- Tracer -------------------------------------------------------------------------------------------------------

  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void {
    const words = [(addr >>> 2) * 2]
    const bytes = accessWidth(kind)
    if (bytes === 8) words.push(((addr >>> 2) + 1) * 2)
    this.events.push(this.#event(cpu, cpu, words, addr, bytes, until, operand))
  }

  event(action: number): void {
    this.events.push(this.#event(action, cpuOf(action), [], 0, 0, null, 0))
  }

  wrote(addr: number): void {
    const event = this.events[this.events.length - 1]
    if (event === undefined) return
    const word = addr >>> 2
    const wide = addr !== event.addr || event.width === 8
    markWritten(event, wide ? word & ~1 : word)
    if (wide) markWritten(event, word | 1)
  }

  raised(cpu: number): void {
    const event = this.events[this.events.length - 1]
    if (event !== undefined) event.raises |= 1 << cpu
  }

  #event(
    proc: number,
    cpu: number,
    words: number[],
    addr: number,
    bytes: 0 | 4 | 8,
    until: WaitCondition | null,
    operand: number,
  ): Event {
    const before = bytes === 0 ? NOTHING : ([peek32(addr), bytes === 8 ? peek32(addr + WORD_BYTES) : 0] as const)
    const unmasked = ((this.#engine.masked >>> cpu) & 1) === 0
    const ready = ((this.#engine.runnable >>> cpu) & 1) === 1
    const depth = this.#engine.depth(cpu)
    return {
      proc,
      cpu,
      words,
      addr,
      width: bytes,
      before,
      until,
      operand,
      unmasked,
      ready,
      depth,
      stores: [],
      raises: 0,
    }
  }

  // ---- races --------------------------------------------------------------------------------------------------------

  /** True when event `b` does not happen after the earlier event `a`. Of events that are settled. */
  independentOf(a: number, b: number): boolean {
    const first = this.events[a] as Event
    return ((this.#clocks[b] as Int32Array)[first.cpu] as number) < (this.#places[a] as number)
  }

  /** By CPU: how many of its events happen before event `at`, itself included. Of events that are settled. */
  clock(at: number): Int32Array {
    return this.#clocks[at] as Int32Array
  }

  /** Finds out what happens before what, among the events so far. The last one is to be over. */
  settle(): void {
    for (; this.#settled < this.events.length; this.#settled++) this.#settleEvent(this.#settled)
  }

  #settleEvent(at: number): void {
    const event = this.events[at] as Event
    const { cpu } = event
    const clock = new Int32Array(this.#cpus)
    join(clock, this.#clocks, this.#last[cpu] as number)
    const races: Race[] = []
    if (isInterrupt(event.proc)) {
      const raisedBy = this.#raisedBy[cpu] as number
      this.#raceOfInterrupt(at, raisedBy, races)
      join(clock, this.#clocks, raisedBy)
    } else {
      this.#racesOfAccess(event, clock, races)
      this.#raceWithInterrupt(event, at, races)
    }
    this.#note(event, at)
    clock[cpu] = this.#places[at] = this.#count[cpu] as number
    this.#clocks[at] = clock
    this.#races[at] = races
    for (const word of event.words) {
      const list = this.#accesses.get(word >>> 1)
      if (list === undefined) this.#accesses.set(word >>> 1, [at])
      else list.push(at)
    }
  }

  #note({ proc, cpu, raises }: Event, at: number): void {
    this.#count[cpu] = (this.#count[cpu] as number) + 1
    this.#last[cpu] = at
    if (isInterrupt(proc)) this.#raisedBy[cpu] = -1
    for (let mask = raises; mask !== 0; mask &= mask - 1)
      if ((this.#raisedBy[lowestBit(mask)] as number) < 0) this.#raisedBy[lowestBit(mask)] = at
  }

  /**
   * Races whose second event is event `from` or later, of the execution that has ended. Accesses that were not made any
   * more, since what they wait for never came again or a finding ended the execution, count as its last ones.
   */
  races(from: number): Race[] {
    this.settle()
    const found = this.#races.slice(from, this.events.length).flat()
    for (const event of this.unmade()) {
      const clock = new Int32Array(this.#cpus)
      join(clock, this.#clocks, this.#last[event.cpu] as number)
      this.#racesOfAccess(event, clock, found)
      this.#raceWithInterrupt(event, this.events.length, found)
    }
    return found
  }

  /** Accesses that CPUs were about to make when the execution ended, one of a CPU. */
  unmade(): Event[] {
    const events: Event[] = []
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      const event = this.#unmadeBy(cpu)
      if (event !== null) events.push(event)
    }
    return events
  }

  #unmadeBy(cpu: number): Event | null {
    const pending = this.#engine.pending(cpu)
    if (pending === null || pending.kind === 0) return null
    const bytes = accessWidth(pending.kind)
    const words = [pending.addr >>> 2, ...(bytes === 8 ? [(pending.addr >>> 2) + 1] : [])]
    const writes = mayWrite(pending.kind) ? 1 : 0
    const places = words.map((word) => word * 2 + writes)
    return this.#event(cpu, cpu, places, pending.addr, bytes, pending.until, pending.operand)
  }

  /**
   * Races of `event` with accesses before it, latest first, and its clock. Those that already happen before it some
   * other way are no races; nor are those in whose place it could not be, because what it waits for was not there yet.
   * An unlock before a lock is of that kind: then the race is with the lock before the unlock.
   */
  #racesOfAccess(event: Event, clock: Int32Array, races: Race[]): void {
    const impossible: number[] = []
    for (const earlier of candidates(event, this.#accesses, this.events)) {
      const other = this.events[earlier] as Event
      if (other.cpu === event.cpu) continue
      if ((this.#places[earlier] as number) <= (clock[other.cpu] as number) || !conflict(other, event)) continue
      if (!readyBefore(event, other)) {
        impossible.push(earlier)
        continue
      }
      races.push({ first: earlier, second: event })
      join(clock, this.#clocks, earlier)
    }
    for (const earlier of impossible) join(clock, this.#clocks, earlier)
  }

  /** An interrupt could have been taken earlier: before the last event of its CPU at which it takes interrupts. */
  #raceOfInterrupt(at: number, raisedBy: number, races: Race[]): void {
    const event = this.events[at] as Event
    for (let earlier = at - 1; earlier >= 0; earlier--) {
      const other = this.events[earlier] as Event
      if (other.cpu !== event.cpu) continue
      if (isInterrupt(other.proc) || (raisedBy > earlier && !this.independentOf(earlier, raisedBy))) return
      if (!other.unmasked) continue
      races.push({ first: earlier, second: event })
      return
    }
  }

  /** An access that an interrupt came before could have been made before it, unless it waited for what came after. */
  #raceWithInterrupt(event: Event, at: number, races: Race[]): void {
    for (let earlier = at - 1; earlier >= 0; earlier--) {
      const other = this.events[earlier] as Event
      if (other.cpu !== event.cpu) continue
      if (!isInterrupt(other.proc) && other.depth <= event.depth) return
      if (!isInterrupt(other.proc) || other.depth !== event.depth) continue
      if (event.until === null || other.ready || this.#wasWokenBeside(event, earlier))
        races.push({ first: earlier, second: event })
      return
    }
  }

  /** Whether the store that ended the wait of `event` does not happen after event `earlier`. */
  #wasWokenBeside(event: Event, earlier: number): boolean {
    const list = this.#accesses.get(event.addr >>> 2) ?? []
    const store = list.findLast((at) => (this.events[at] as Event).words.includes((event.addr >>> 2) * 2 + 1))
    return store !== undefined && store > earlier && this.independentOf(earlier, store)
  }
}

const NOTHING = [0, 0] as const

/** Whether `event`, had it come in place of `other`, would have found the word as it waits for it. */
function readyBefore(event: Event, other: Event): boolean {
  if (event.until === null) return true
  const half = (event.addr - other.addr) / WORD_BYTES
  if (half < 0 || half * WORD_BYTES >= other.width) return false
  return event.until(other.before[half as 0 | 1], event.operand)
}

/**
 * Earlier events on the words of `event` that it may race with, latest first. What is before a store that it could have
 * come in place of happens before that store, or did not matter to it.
 */
function candidates(event: Event, accesses: ReadonlyMap<number, number[]>, events: readonly Event[]): number[] {
  const found: number[] = []
  for (const word of event.words) {
    const list = accesses.get(word >>> 1) ?? []
    for (let i = list.length - 1; i >= 0; i--) {
      const earlier = list[i] as number
      const other = events[earlier] as Event
      found.push(earlier)
      if (other.words.includes(word | 1) && readyBefore(event, other)) break
    }
  }
  return event.words.length === 1 ? found : [...new Set(found)].sort((a, b) => b - a)
}

function markWritten({ words, stores }: Event, word: number): void {
  const at = words.findIndex((other) => other >>> 1 === word)
  if (at < 0) words.push(word * 2 + 1)
  else words[at] = word * 2 + 1
  stores.push(word, peek32(word * WORD_BYTES))
}

function join(clock: Int32Array, clocks: readonly Int32Array[], event: number): void {
  if (event < 0) return
  const other = clocks[event] as Int32Array
  for (let cpu = 0; cpu < clock.length; cpu++)
    if ((other[cpu] as number) > (clock[cpu] as number)) clock[cpu] = other[cpu] as number
}
