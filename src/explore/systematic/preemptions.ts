/**
 * The number of preemptions that the executions of a class need: the least number over all equivalent orders of their
 * events.
 *
 * A preemption is a switch away from a CPU that could go on, to another CPU or to an interrupt; a choice other than the
 * first counts as one (as in bounded.ts). While an execution is not over, a switch away from a CPU after its last known
 * event does not count. The number therefore only grows as the execution gets longer. Proof: take an order of the
 * longer execution with the fewest preemptions, and drop the events that the shorter execution does not have. The
 * shorter execution has every event that happens before one of its own, so the rest is an order of it. If that order
 * switches away from a CPU after an event other than the last one of the CPU, the longer order does so too, since the
 * next event of the CPU comes later in both. If that next event waits for a word, none of the dropped stores to the
 * word is before it, so the CPU could go on in both orders or in neither. An execution that needs more preemptions than
 * the bound can therefore be given up with all its continuations.
 */
import { isGoOn, isInterrupt } from '../../machine/engine/actions.js'
import type { Event, Trace } from './trace.js'

/** Orders are searched as places on each CPU and the CPU that was last; more than these cannot be numbered. */
const STATES_MAX = 2 ** 52

export class Preemptions {
  readonly #trace: Trace
  readonly #cpus: number
  /** Of an order that is known: at most how many preemptions it has, its last CPU, events, CPUs that have some. */
  #known = 0
  #last = -1
  #events = 0
  #begun = 0
  /** By CPU, of its last event. */
  readonly #level: number[] = []

  constructor(trace: Trace, cpus: number) {
    this.#trace = trace
    this.#cpus = cpus
  }

  begin(): void {
    this.#known = this.#events = this.#begun = 0
    this.#last = -1
  }

  /**
   * Whether the events so far need more than `bound` preemptions, and all that follow them too. The last one is over.
   */
  exceed(bound: number): boolean {
    this.#appendAll()
    if (this.#known <= bound) return false
    this.#trace.settle()
    const least = new Orders(this.#trace, this.#cpus, []).least(bound, -1)
    if (least === null) return true
    ;[this.#known, this.#last] = least
    return false
  }

  /**
   * Whether the execution that has ended needs more. Here it counts when a CPU was left before an access that it never
   * made and could have made then. `ender`: the CPU whose last event is the end, since it was found wrong; -1 for none.
   */
  endExceeds(bound: number, ender: number): boolean {
    this.#appendAll()
    const unmade = this.#trace.unmade()
    if (ender < 0 && this.#known + unmade.length <= bound) return false
    this.#trace.settle()
    return new Orders(this.#trace, this.#cpus, unmade).least(bound, ender) === null
  }

  #appendAll(): void {
    const { events } = this.#trace
    for (; this.#events < events.length; this.#events++) this.#append(events[this.#events] as Event)
  }

  /** At the end of the order that is known: what goes on again may have been left when it could go on. */
  #append(event: Event): void {
    const { proc, cpu } = event
    const goesOn = cpu === this.#last && isGoOn(proc) && event.depth === this.#level[cpu]
    if (!goesOn && ((this.#begun >>> cpu) & 1) === 1) this.#known++
    this.#last = cpu
    this.#level[cpu] = levelOf(event)
    this.#begun |= 1 << cpu
  }
}

/** All orders of the events of a trace that are equivalent. */
class Orders {
  readonly #trace: Trace
  /** By CPU: its events, in order. */
  readonly #of: number[][]
  /** By event: the access that its CPU comes to next if it goes on; null when it ends there or that is not known. */
  readonly #goesOnWith: (Event | null)[]
  /**
   * By word that was waited for: events that stored to it, in order, with what they left there; and what was there
   * first.
   */
  readonly #stores = new Map<number, { readonly at: number; readonly value: number }[]>()
  readonly #initial = new Map<number, number>()

  /** `unmade`: what CPUs would have gone on with when the execution ended. */
  constructor(trace: Trace, cpus: number, unmade: readonly Event[]) {
    this.#trace = trace
    this.#of = Array.from({ length: cpus }, () => [])
    this.#goesOnWith = trace.events.map(() => null)
    trace.events.forEach((event, at) => {
      this.#noteWords(event, at)
      this.#of[event.cpu]?.push(at)
    })
    this.#of.forEach((list, cpu) =>
      this.#follow(
        list,
        unmade.find((event) => event.cpu === cpu),
      ),
    )
  }

  /**
   * The fewest preemptions and the last CPU of such an order, CPU `ender` unless -1; null when all have more than
   * `bound`.
   */
  least(bound: number, ender: number): [preemptions: number, last: number] | null {
    const weights: number[] = []
    let states = this.#of.length
    for (const list of this.#of) {
      weights.push(states)
      states *= list.length + 1
    }
    if (states > STATES_MAX) return [0, -1]
    const seen = new Set<number>()
    let layer: State[] = [{ places: this.#of.map(() => 0), last: -1 }]
    for (let spent = 0; spent <= bound; spent++) {
      const dearer: State[] = []
      for (let state = layer.pop(); state !== undefined; state = layer.pop()) {
        const { places, last } = state
        const number = places.reduce((sum, place, cpu) => sum + place * (weights[cpu] as number), last)
        if (seen.has(number)) continue
        seen.add(number)
        if (places.every((place, cpu) => place === this.#of[cpu]?.length) && (ender < 0 || last === ender))
          return [spent, last]
        this.#next(state, layer, dearer)
      }
      layer = dearer
    }
    return null
  }

  /**
   * States one event later: to `layer` without a preemption, going on with the same CPU on top, to `dearer` with one.
   */
  #next({ places, last }: State, layer: State[], dearer: State[]): void {
    const owed = last >= 0 && this.#couldGoOn(last, places)
    let same: State | null = null
    for (let cpu = 0; cpu < places.length; cpu++) {
      const at = this.#of[cpu]?.[places[cpu] as number]
      if (at === undefined || !this.#mayCome(at, cpu, places)) continue
      const goesOn = cpu === last && isGoOn((this.#trace.events[at] as Event).proc)
      const state = { places: places.with(cpu, (places[cpu] as number) + 1), last: cpu }
      if (goesOn) same = state
      else (owed ? dearer : layer).push(state)
    }
    if (same !== null) layer.push(same)
  }

  #mayCome(at: number, cpu: number, places: readonly number[]): boolean {
    const clock = this.#trace.clock(at)
    return places.every((place, other) => other === cpu || (clock[other] as number) <= place)
  }

  /** Whether CPU `cpu` could go on after the events that `places` count; no, where it is not known with what. */
  #couldGoOn(cpu: number, places: readonly number[]): boolean {
    const at = this.#of[cpu]?.[(places[cpu] as number) - 1] as number
    const next = this.#goesOnWith[at] ?? null
    if (next === null) return false
    if (next.until === null) return true
    const value = this.#valueOf(next.addr >>> 2, places)
    return value !== undefined && next.until(value, next.operand)
  }

  #valueOf(word: number, places: readonly number[]): number | undefined {
    const { events } = this.#trace
    const store = this.#stores.get(word)?.findLast(({ at }) => {
      const { cpu } = events[at] as Event
      return (this.#trace.clock(at)[cpu] as number) <= (places[cpu] as number)
    })
    return store?.value ?? this.#initial.get(word)
  }

  #noteWords({ addr, width, before, stores }: Event, at: number): void {
    for (let half = 0; half < width / 4; half++) {
      const word = (addr >>> 2) + half
      if (!this.#initial.has(word) && !this.#stores.has(word)) this.#initial.set(word, before[half as 0 | 1])
    }
    for (let i = 0; i < stores.length; i += 2) {
      const [word, value] = [stores[i] as number, stores[i + 1] as number]
      const list = this.#stores.get(word)
      if (list === undefined) this.#stores.set(word, [{ at, value }])
      else list.push({ at, value })
    }
  }

  /**
   * The next event of the same coroutine, for each event of one CPU. An interrupt handler is one level deeper than the
   * coroutine that it interrupts.
   */
  #follow(list: readonly number[], unmade: Event | undefined): void {
    const { events } = this.#trace
    const byLevel: (Event | null)[] = []
    if (unmade !== undefined) byLevel[unmade.depth] = unmade
    for (let i = list.length - 1; i >= 0; i--) {
      const at = list[i] as number
      const event = events[at] as Event
      this.#goesOnWith[at] = byLevel[levelOf(event)] ?? null
      // Later events that are deeper belong to another handler.
      byLevel.length = event.depth + 1
      if (isGoOn(event.proc)) byLevel[event.depth] = event
    }
  }
}

/** Level of the coroutine that goes on after the event: the program, or an interrupt handler. */
const levelOf = ({ depth, proc }: Event): number => depth + (isInterrupt(proc) ? 1 : 0)

/** Events of each CPU that came, and the CPU of the last one. */
interface State {
  readonly places: number[]
  readonly last: number
}
