/**
 * Event rings: what each CPU did lately, in the image, so that any thread can read them after a panic.
 *
 * One ring for each CPU, written by that CPU alone with plain stores; the sequence number comes from the machine's
 * clock, by which merge() orders the events of all CPUs. A ring of length 0 records nothing and costs one compare.
 *
 * Events are coarse (operations, entry changes, allocations, interrupts), not accesses: those are the controlled
 * engine's to record.
 */
import { phys, type PhysAddr } from '../../base/units.js'
import { peek32, peekF64, poke32, pokeF64 } from '../image/image.js'
import { laboratory } from '../image/guard.js'
import type { Layout } from '../image/layout.js'
import { struct } from '../image/struct.js'
import { CPU_AREA } from '../cpu/area.js'

const RING_EVENT = struct('event', 32, {
  seq: [0, 4, laboratory], //  clock at the event; 0: slot never written
  kind: [4, 4, laboratory], // index in EVENTS
  a: [8, 4, laboratory],
  b: [12, 4, laboratory],
  addr: [16, 8, laboratory], // double: a virtual address, usually
})

/** Kinds of events and what their fields hold. */
const EVENTS = [
  'none',
  'op', //     a: kind of operation, b: index in the program, addr: its address
  'opEnd', //  a: kind, b: result
  'alloc', //  a: pfn, b: order
  'free', //   a: pfn, b: order
  'entry', //  a: level, b: frame of the new entry or -1, addr: virtual address
  'flush', //  a: pages, b: CPUs asked, addr: start
  'ipi', //    a: handler, b: sender
  'rcu', //    a: 0 queue, 1 grace period start, 2 end, 3 callback; b: number
  'pin', //    a: pfn, b: references, addr: virtual address
] as const

export type EventName = (typeof EVENTS)[number]
export const EventKind = Object.fromEntries(EVENTS.map((name, index) => [name, index])) as Readonly<
  Record<EventName, number>
>

/** One event, decoded. */
export interface RingRecord {
  readonly seq: number
  readonly cpu: number
  readonly kind: EventName
  readonly a: number
  readonly b: number
  readonly addr: number
}

export function placeRings(layout: Layout, cpuCount: number, length: number): PhysAddr {
  return layout.add('ring', RING_EVENT, Math.max(1, cpuCount * length))
}

export class EventRing {
  readonly #base: number
  readonly #length: number
  readonly #next: number

  /** Ring of CPU `cpu`: `length` slots, a power of two, or 0 for none. */
  constructor(rings: PhysAddr, cpu: number, length: number, cpuArea: PhysAddr) {
    this.#base = rings + cpu * length * RING_EVENT.size
    this.#length = length
    this.#next = cpuArea + CPU_AREA.at.ringNext
  }

  get on(): boolean {
    return this.#length !== 0
  }

  /** Appends an event at time `seq`, over the oldest one. */
  record(seq: number, kind: number, a: number, b: number, addr: number): void {
    const slot = peek32(this.#next)
    poke32(this.#next, slot + 1)
    const at = this.#base + (slot & (this.#length - 1)) * RING_EVENT.size
    poke32(at + RING_EVENT.at.seq, seq)
    poke32(at + RING_EVENT.at.kind, kind)
    poke32(at + RING_EVENT.at.a, a)
    poke32(at + RING_EVENT.at.b, b)
    pokeF64(at + RING_EVENT.at.addr, addr)
  }
}

/** The last events of all CPUs, oldest first. Call it when the CPUs have stopped. */
export function mergeRings(rings: PhysAddr, cpuCount: number, length: number): RingRecord[] {
  const events: RingRecord[] = []
  for (let cpu = 0; cpu < cpuCount; cpu++)
    for (let slot = 0; slot < length; slot++) {
      const at = phys(rings + (cpu * length + slot) * RING_EVENT.size)
      const seq = peek32(at + RING_EVENT.at.seq)
      if (seq === 0) continue
      const kind = EVENTS[peek32(at + RING_EVENT.at.kind)] ?? 'none'
      const [a, b] = [peek32(at + RING_EVENT.at.a), peek32(at + RING_EVENT.at.b)]
      events.push({ seq, cpu, kind, a, b, addr: peekF64(at + RING_EVENT.at.addr) })
    }
  return events.sort((x, y) => x.seq - y.seq || x.cpu - y.cpu)
}
