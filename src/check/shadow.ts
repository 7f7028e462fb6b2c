/**
 * The record that oracles keep of each frame, in the image: all CPUs share it, threads or not, and restoring the image
 * restores it.
 *
 * Time. The observers' clock (Cpu.clock) is ticked by those who ask, and only read by those who are asked about: an
 * event that has just happened is noted as clock + 1, and a question about the past first takes t = tick(). Then
 * `happenedBefore(event, t)` holds exactly if the event's read of the clock came before the tick; both are atomic, so
 * the event came before the tick in every CPU's view. An event still under way may count as later than it was, never as
 * earlier. The clock wraps: times are compared by difference, which is right within 2^31 ticks and otherwise takes an
 * old event for a later one, which is the harmless side everywhere.
 *
 * Writers. A frame's state, sites and birth are written by whoever owns the frame (the allocator hands it over under
 * its lock). Counts are atomic. mapMm and mapVpn: see mappings.ts.
 */
import { assert } from '../base/assert.js'
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { add32, cmpxchg32, load32, note, peek32, poke32, store32 } from '../machine/image/image.js'
import { laboratory } from '../machine/image/guard.js'
import type { Layout } from '../machine/image/layout.js'
import { struct } from '../machine/image/struct.js'
import { FrameKind } from '../arch/observer.js'
import type { CheckedMachine } from './checkedMachine.js'
import { placeStoredWords } from './storedWords.js'

export const SHADOW = struct('shadow', 128, {
  state: [0, 4, laboratory], //      FrameKind
  written: [4, 4, laboratory], //    1: a user or a device has stored to it, see dirtyKept.ts
  writable: [8, 4, laboratory], //   1: was mapped writable since it was allocated
  generation: [12, 4, laboratory], // allocations so far
  allocCpu: [16, 4, laboratory], //  CPU + 1, 0: never; kind of its operation << 8
  allocOp: [20, 4, laboratory], //   index of its operation
  allocClock: [24, 4, laboratory],
  allocStack: [28, 4, laboratory], // 0: none kept
  freeCpu: [32, 4, laboratory],
  freeOp: [36, 4, laboratory],
  freeClock: [40, 4, laboratory],
  freeStack: [44, 4, laboratory],
  gets: [48, 4, laboratory], //      references that gup returned and that were not given back yet
  pins: [52, 4, laboratory], //      likewise, pins
  birth: [56, 4, laboratory], //     when a user could first write the contents; 0: not yet
  loose: [60, 4, laboratory], //     1: a device has written it through a mere reference, see userContents.ts
  //  mapped by PTEs (maps …), and from here as a huge page (huge …): see mappings.ts
  maps: [64, 4, laboratory],
  unmapClock: [68, 4, laboratory], // not before the last time a mapping went
  mapMm: [72, 4, laboratory], //     the only mapping is in this mm …
  tlbBase: [76, 4, laboratory], //   TLB entries that translate to this page alone
  mapVpn: [80, 8, laboratory], //    … at this page (double)
  hugeMaps: [88, 4, laboratory],
  hugeUnmapClock: [92, 4, laboratory],
  hugeMm: [96, 4, laboratory],
  tlbHuge: [100, 4, laboratory], //  TLB entries that translate to the huge page from here
  hugeVpn: [104, 8, laboratory],
})

/** What the oracles remember of each table; several may share a frame. */
export const TABLE_SHADOW = struct('tableShadow', 16, {
  state: [0, 4, laboratory], //       Level | TABLE_DEPOSITED | TABLE_FREED; 0: no table was handed out here
  linked: [4, 4, laboratory], //      1 while an entry of the level above points here
  depositedAt: [8, 4, laboratory], // first frame of the PMD table that it waits for, plus 1
})

/** More locks than a CPU ever holds at once: khugepaged holds those of all the folios that a huge page has room for. */
export const LOCKS_HELD_MAX = 560

const SHADOW_CONTROL = struct('shadowControl', 64, {
  changed: [0, 4, laboratory],
  givenUp: [4, 4, laboratory], // calls so far that began to take contents away, see userContents.ts
})
/** Classes of locks: those of the kernel's order, and those that lockGraph.ts gives out. A set of them is a word. */
export const LOCK_CLASSES = 31

/** The orders of locks that the kernel's own does not have: see lockGraph.ts. */
export const LOCK_GRAPH = struct('lockGraph', 4352, {
  locks: [0, 128, laboratory], //     by class: its lock, 0 for a class of the kernel or of none
  after: [128, 128, laboratory], //   by class: classes that were taken while it was held
  sites: [256, 4096, laboratory], //  by both: CPU + 1, kind of its operation << 8
})

/** Private to a CPU, but for the first. Locks by class: see lockOrder.ts. */
export const SHADOW_CPU = struct('shadowCpu', 2560, {
  tlbDrops: [0, 4, laboratory],
  heldClasses: [4, 4, laboratory], // bits: classes of which it holds a lock
  held: [8, 128, laboratory], //      by class: how many
  last: [136, 128, laboratory], //    by class: the one it took last
  locks: [264, 4, laboratory], //     locks that it holds, see heldLocks.ts
  givingUp: [268, 4, laboratory], //  the mm whose contents its call takes away or moves, see userContents.ts
  lockList: [272, 4 * LOCKS_HELD_MAX, laboratory], // each one's address, plus 1 when held to read
  //  … in these two ranges, doubles:
  giveStart: [2512, 8, laboratory],
  giveEnd: [2520, 8, laboratory],
  giveStart2: [2528, 8, laboratory],
  giveEnd2: [2536, 8, laboratory],
  giveStamp: [2544, 4, laboratory], // when it began
})

/**
 * Who may do with a structure of the kernel what it likes, and who has written it last: one for each 64 bytes of them.
 */
export const OBJECT_SHADOW = struct('objectShadow', 32, {
  owner: [0, 4, laboratory], //    CPU + 1 that has allocated or unlinked the object that begins here, 0: it is shared
  writeCpu: [4, 4, laboratory], // as allocCpu: who has written it last by poke
  writeOp: [8, 4, laboratory],
  writeClock: [12, 4, laboratory],
  writeStack: [16, 4, laboratory],
  freed: [20, 4, laboratory], //   1: it was given back to its allocator (VMAs, nodes of maple trees)
})
/** As many CPUs as a machine can have. */
const SHADOW_CPUS = 64
const CONTROL_BEFORE = SHADOW_CONTROL.size + SHADOW_CPUS * SHADOW_CPU.size + LOCK_GRAPH.size

/** Structures that have an owner are multiples of it. */
const OBJECT_BYTES = 64

/** A PTE table that waits for the split of a huge page. */
export const TABLE_DEPOSITED = 0x10
/** Given back; its page may be kept by other tables. */
export const TABLE_FREED = 0x20

const AT = SHADOW.at

/** Places the shadow of `frames` frames with `fragments` PTE tables each; returns the address of the first frame's. */
export function placeShadow(layout: Layout, frames: number, fragments: number): PhysAddr {
  const control = layout.add('shadowControl', SHADOW_CONTROL, 1)
  layout.add('lockGraph', LOCK_GRAPH, 1)
  layout.add('shadowCpu', SHADOW_CPU, SHADOW_CPUS)
  const shadow = layout.add('shadow', SHADOW, frames)
  assert(shadow - control === CONTROL_BEFORE, 'the shadow follows its control words')
  const tables = layout.add('tableShadow', TABLE_SHADOW, frames * fragments)
  assert(tables - shadow === frames * SHADOW.size, 'the shadow of tables follows that of frames')
  layout.add('objectShadow', OBJECT_SHADOW, Math.ceil(control / OBJECT_BYTES))
  placeStoredWords(layout, frames)
  return shadow
}

/** `event` (clock + 1 as it was noted) was over before the tick that returned `time`. */
export const happenedBefore = (event: number, time: number): boolean => ((event - time) | 0) <= 0

/** Notes `event` unless a later one is there. */
export function raise(at: number, event: number): void {
  for (let seen = load32(at); ((event - seen) | 0) > 0;) {
    const old = cmpxchg32(at, seen, event)
    if (old === seen) return note(at)
    seen = old
  }
}

export function count(at: number, delta: number): number {
  const before = add32(at, delta)
  note(at)
  return before
}

export function set32(at: number, value: number): void {
  store32(at, value)
  note(at)
}

/** Address of the SHADOW_CPU of `cpu`; `shadow` is that of frame 0. */
export const shadowCpuAt = (shadow: number, cpu: number): number => shadow - (SHADOW_CPUS - cpu) * SHADOW_CPU.size

export class Shadow {
  readonly frames: number
  /** Numbers that tables can have. */
  readonly tables: number
  readonly hugePages: number
  readonly #base: number
  readonly #frameBase: number
  readonly #frameShift: number
  readonly #tableBase: number
  readonly #tableShift: number
  readonly #objectBase: number
  /** Address of the LOCK_GRAPH. */
  readonly lockGraph: number

  constructor(machine: CheckedMachine) {
    this.frames = machine.config.frames
    this.hugePages = machine.geo.hpagePmdNr
    this.#base = machine.regions.shadow
    this.#frameBase = machine.memmap.frameBase
    this.#frameShift = machine.memmap.frameShift
    this.#tableBase = this.#base + this.frames * SHADOW.size
    this.#tableShift = machine.memmap.tableShift
    this.tables = this.frames * machine.memmap.fragments
    this.#objectBase = machine.layout.base('objectShadow')
    this.lockGraph = machine.layout.base('lockGraph')
  }

  /** Address of the shadow of frame `pfn`. */
  of(pfn: number): number {
    return this.#base + pfn * SHADOW.size
  }

  /** Address of the TABLE_SHADOW of table `nr`. */
  table(nr: number): number {
    return this.#tableBase + nr * TABLE_SHADOW.size
  }

  /** Of the table that has the entry at `addr`; nonsense outside of memory, see pfnAt(). */
  tableOf(addr: number): number {
    return this.#tableBase + ((addr - this.#frameBase) >>> this.#tableShift) * TABLE_SHADOW.size
  }

  tableExists(nr: number): boolean {
    return nr >= 0 && nr < this.tables
  }

  /** Of the frame with which the huge page around `pfn` begins. */
  ofHuge(pfn: number): number {
    return this.#base + (pfn & -this.hugePages) * SHADOW.size
  }

  /** Frame of the byte at `addr`, -1 outside of memory. */
  pfnAt(addr: number): number {
    const pfn = addr < this.#frameBase ? -1 : (addr - this.#frameBase) >>> this.#frameShift
    return this.exists(pfn) ? pfn : -1
  }

  exists(pfn: number): boolean {
    return pfn >= 0 && pfn < this.frames
  }

  /** The kind of an existing frame. */
  kind(pfn: number): number {
    return peek32(this.of(pfn) + AT.state) & 0xf
  }

  isData(pfn: number): boolean {
    return this.exists(pfn) && this.kind(pfn) === FrameKind.data
  }

  isReserved(pfn: number): boolean {
    return this.exists(pfn) && this.kind(pfn) === FrameKind.reserved
  }

  /** Address of the OBJECT_SHADOW of the structure at `object`. */
  object(object: number): number {
    return this.#objectBase + (object >>> 6) * OBJECT_SHADOW.size
  }

  /** Address of a word that counts the calls that took contents away. */
  get givenUp(): number {
    return this.#base - CONTROL_BEFORE + SHADOW_CONTROL.at.givenUp
  }

  /** Address of the SHADOW_CPU of `cpu`. */
  cpu(cpu: number): number {
    return shadowCpuAt(this.#base, cpu)
  }

  /** Address of a word that counts the entries that the TLB of `cpu` dropped. */
  tlbDrops(cpu: number): number {
    return this.cpu(cpu) + SHADOW_CPU.at.tlbDrops
  }

  // ---- has anything happened since the boot ----------------------------------------------------------------------

  get #changedAt(): number {
    return this.#base - CONTROL_BEFORE + SHADOW_CONTROL.at.changed
  }

  /** Something that finalCheck() looks at may have changed. */
  touch(): void {
    if (peek32(this.#changedAt) === 0) poke32(this.#changedAt, 1)
  }

  /** False: nothing was touched since settle(). */
  get touched(): boolean {
    return peek32(this.#changedAt) !== 0
  }

  /** The state now is known to be good. */
  settle(): void {
    poke32(this.#changedAt, 0)
  }
}

/** The time of an event that has just happened on `cpu`. Never 0, which stands for no event. */
export function now(cpu: Cpu): number {
  const event = (cpu.clock + 1) | 0
  return event === 0 ? 1 : event
}
