/**
 * An execution as systematic search sees it: its events, which of them depend on each other, and the races among them.
 *
 * An event is one step of a CPU: the access it was about to make and all that it does until its next one, or the moment it
 * takes an interrupt. Two events depend on each other when they are of one CPU, when both go to a word and one writes it, or
 * when one raises the interrupt that the other takes. Executions that order all dependent events alike are equivalent.
 *
 * What is seen of an event is its access and its stores. State that CPUs share without accesses (what oracles note about
 * frames, translations in TLBs that another CPU's instruction purges) is not: executions that differ in it alone count as
 * equivalent.
 */
import { accessWidth } from '../machine/cpu/access.js'
import { INTERRUPT, type ControlledEngine, type Tracer } from '../machine/engine/controlled.js'
import type { WaitCondition } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/image.js'

export interface Event {
  /** The action: a CPU, or INTERRUPT + CPU. */
  readonly proc: number
  readonly cpu: number
  /** 32-bit words it goes to: number of the word * 2, + 1 when it writes. */
  readonly words: number[]
  /** Byte address and width of its access; width 0 when it is none. */
  readonly addr: number
  readonly width: 0 | 4 | 8
  /** The two words at `addr` as it found them. */
  readonly before: readonly [number, number]
  /** What it waited for; null when it could be made at any time. */
  readonly until: WaitCondition | null
  readonly operand: number
  /** CPUs whose interrupts could be delivered when it was chosen. */
  readonly interruptible: number
  /** 1: in the program of its CPU; more: in interrupt handlers. */
  readonly depth: number
  /** CPUs whose interrupts it raised. */
  raises: number
}

/** A pair of events that could be in the other order: the second may come in place of the first. */
export interface Race {
  readonly first: number
  readonly second: number
}

const WORD_BYTES = 4
const width = Array.from({ length: 64 }, (_, kind) => accessWidth(kind))

export class Trace implements Tracer {
  readonly events: Event[] = []
  readonly #engine: ControlledEngine
  readonly #cpus: number
  /** By event: events of each CPU that happen before it, itself included. */
  readonly #clocks: Int32Array[] = []
  /** By event: its place among those of its CPU, from 1. */
  readonly #places: number[] = []

  constructor(engine: ControlledEngine, cpus: number) {
    this.#engine = engine
    this.#cpus = cpus
  }

  begin(): void {
    this.events.length = 0
  }

  // ---- Tracer -------------------------------------------------------------------------------------------------------

  step(cpu: number, kind: number, addr: number, until: WaitCondition | null, operand: number): void {
    const words = [(addr >>> 2) * 2]
    const bytes = width[kind] ?? 0
    if (bytes === 8) words.push(((addr >>> 2) + 1) * 2)
    this.#add(cpu, cpu, words, addr, bytes, until, operand)
  }

  interrupt(cpu: number): void {
    this.#add(INTERRUPT + cpu, cpu, [], 0, 0, null, 0)
  }

  wrote(addr: number): void {
    const event = this.events[this.events.length - 1]
    if (event === undefined) return
    const word = addr >>> 2
    const wide = addr !== event.addr || event.width === 8
    markWritten(event.words, wide ? word & ~1 : word)
    if (wide) markWritten(event.words, word | 1)
  }

  raised(cpu: number): void {
    const event = this.events[this.events.length - 1]
    if (event !== undefined) event.raises |= 1 << cpu
  }

  #add(
    proc: number,
    cpu: number,
    words: number[],
    addr: number,
    bytes: 0 | 4 | 8,
    until: WaitCondition | null,
    operand: number,
  ): void {
    const before = bytes === 0 ? NOTHING : ([peek32(addr), bytes === 8 ? peek32(addr + WORD_BYTES) : 0] as const)
    const { interruptible } = this.#engine
    const depth = this.#engine.depth(cpu)
    this.events.push({ proc, cpu, words, addr, width: bytes, before, until, operand, interruptible, depth, raises: 0 })
  }

  // ---- races --------------------------------------------------------------------------------------------------------

  /** True when event `b` does not happen after the earlier event `a`. After races(). */
  independentOf(a: number, b: number): boolean {
    const first = this.events[a] as Event
    return ((this.#clocks[b] as Int32Array)[first.cpu] as number) < (this.#places[a] as number)
  }

  /** Races whose second event is event `from` or later, of the execution that has ended. */
  races(from: number): Race[] {
    const found: Race[] = []
    const places = new Int32Array(this.#cpus)
    const last = new Int32Array(this.#cpus).fill(-1)
    const raisedBy = new Int32Array(this.#cpus).fill(-1)
    const accesses = new Map<number, number[]>()
    this.events.forEach((event, at) => {
      const { cpu } = event
      const clock = new Int32Array(this.#cpus)
      join(clock, this.#clocks, last[cpu] as number)
      this.#places[at] = places[cpu] = (places[cpu] as number) + 1
      const races: Race[] = []
      if (event.proc >= INTERRUPT) {
        this.#raceOfInterrupt(at, races)
        join(clock, this.#clocks, raisedBy[cpu] as number)
      } else {
        this.#racesOfAccess(at, clock, accesses, races)
        this.#raceWithInterrupt(at, races)
      }
      clock[cpu] = places[cpu] as number
      this.#clocks[at] = clock
      if (at >= from) found.push(...races)
      last[cpu] = at
      for (let mask = event.raises; mask !== 0; mask &= mask - 1) raisedBy[31 - Math.clz32(mask & -mask)] = at
      for (const word of event.words) {
        const list = accesses.get(word >>> 1)
        if (list === undefined) accesses.set(word >>> 1, [at])
        else list.push(at)
      }
    })
    return found
  }

  /**
   * Races of event `at` with accesses before it, latest first, and its clock. Those that already happen before it some
   * other way are no races; nor are those in whose place it could not be, because what it waits for was not there yet. An
   * unlock before a lock is of that kind: then the race is with the lock before the unlock.
   */
  #racesOfAccess(at: number, clock: Int32Array, accesses: ReadonlyMap<number, number[]>, races: Race[]): void {
    const event = this.events[at] as Event
    const impossible: number[] = []
    for (const earlier of candidates(event, accesses)) {
      const other = this.events[earlier] as Event
      if (other.cpu === event.cpu) continue
      if ((this.#places[earlier] as number) <= (clock[other.cpu] as number) || !conflict(other, event)) continue
      if (!readyBefore(event, other)) {
        impossible.push(earlier)
        continue
      }
      races.push({ first: earlier, second: at })
      join(clock, this.#clocks, earlier)
    }
    for (const earlier of impossible) join(clock, this.#clocks, earlier)
  }

  /** An interrupt could have been taken earlier: before the last event of its CPU that it could be delivered at. */
  #raceOfInterrupt(at: number, races: Race[]): void {
    const { cpu } = this.events[at] as Event
    for (let earlier = at - 1; earlier >= 0; earlier--) {
      const other = this.events[earlier] as Event
      if (other.cpu !== cpu) continue
      if (other.proc >= INTERRUPT) return
      if (((other.interruptible >>> cpu) & 1) === 0) continue
      races.push({ first: earlier, second: at })
      return
    }
  }

  /** An access that an interrupt came before could have been made before it. */
  #raceWithInterrupt(at: number, races: Race[]): void {
    const event = this.events[at] as Event
    for (let earlier = at - 1; earlier >= 0; earlier--) {
      const other = this.events[earlier] as Event
      if (other.cpu !== event.cpu) continue
      if (other.proc < INTERRUPT && other.depth <= event.depth) return
      if (other.proc >= INTERRUPT && other.depth === event.depth) {
        races.push({ first: earlier, second: at })
        return
      }
    }
  }
}

const NOTHING = [0, 0] as const

/** Whether the order of the two matters. */
export function dependent(a: Event, b: Event): boolean {
  return a.cpu === b.cpu || conflict(a, b) || raises(a, b) || raises(b, a)
}

const raises = (a: Event, b: Event): boolean => b.proc >= INTERRUPT && ((a.raises >>> b.cpu) & 1) === 1

function conflict(a: Event, b: Event): boolean {
  for (const mine of a.words)
    for (const other of b.words) if (mine >>> 1 === other >>> 1 && ((mine | other) & 1) === 1) return true
  return false
}

/** Whether `event`, had it come in place of `other`, would have found the word as it waits for it. */
function readyBefore(event: Event, other: Event): boolean {
  if (event.until === null) return true
  const half = (event.addr - other.addr) / WORD_BYTES
  if (half < 0 || half * WORD_BYTES >= other.width) return false
  return event.until(other.before[half as 0 | 1], event.operand)
}

/** Earlier events on the words of `event`, latest first. */
function candidates(event: Event, accesses: ReadonlyMap<number, number[]>): number[] {
  const lists = event.words.flatMap((word) => accesses.get(word >>> 1) ?? [])
  return [...new Set(lists)].sort((a, b) => b - a)
}

function markWritten(words: number[], word: number): void {
  const at = words.findIndex((other) => other >>> 1 === word)
  if (at < 0) words.push(word * 2 + 1)
  else words[at] = word * 2 + 1
}

function join(clock: Int32Array, clocks: readonly Int32Array[], event: number): void {
  if (event < 0) return
  const other = clocks[event] as Int32Array
  for (let cpu = 0; cpu < clock.length; cpu++)
    if ((other[cpu] as number) > (clock[cpu] as number)) clock[cpu] = other[cpu] as number
}
