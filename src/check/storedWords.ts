/**
 * The words that users have stored or seen, and what they must be: a cache in the image, by place. A place is a word of
 * a page of an address space, or of a file, which all share that map it. A word that another one has put out of the
 * cache is not known, and nothing is said of it.
 *
 * The value of a place is known when exactly one store was the last one: stores that overlap leave it unknown until a
 * later one has the place to itself. Each begin and end of a store, and each loss of a value, makes a new version. So
 * who finds one version before and after a load, and no store under way, knows that no store came in between.
 *
 * CPUs in threads change a slot under its own lock, which they hold for a few instructions and never across an access
 * of the kernel's.
 */
import { add32, cmpxchg32, note, peek32, peekF64, poke32, pokeF64, store32 } from '../machine/image/image.js'
import { laboratory } from '../machine/image/guard.js'
import type { Layout } from '../machine/image/layout.js'
import { struct } from '../machine/image/struct.js'

export const STORED = struct('storedWord', 64, {
  lock: [0, 4, laboratory],
  space: [4, 4, laboratory], //   address of the mm or of the file, 0: nobody's
  page: [8, 8, laboratory], //    number of the page in it (double)
  offset: [16, 4, laboratory], // bytes into the frame
  value: [20, 4, laboratory],
  known: [24, 4, laboratory], //  1: the place holds `value`
  writers: [28, 4, laboratory], // stores under way, of this place or of one that came to the slot meanwhile
  mixed: [32, 4, laboratory], //  1: those overlap
  version: [36, 4, laboratory],
  clock: [40, 4, laboratory], //  of the last store, or of the load that showed the value
  writeCpu: [44, 4, laboratory], // as allocCpu of SHADOW: who has stored it
  writeOp: [48, 4, laboratory],
  writeClock: [52, 4, laboratory],
  writeStack: [56, 4, laboratory],
})

const AT = STORED.at
const SLOTS_MAX = 1024

/** Two slots for a frame, as many as a run's words can be expected to need. */
const slotsFor = (frames: number): number => Math.min(SLOTS_MAX, 2 ** Math.ceil(Math.log2(2 * frames)))

export function placeStoredWords(layout: Layout, frames: number): void {
  layout.add('storedWord', STORED, slotsFor(frames))
}

/** A word of a page of an address space or of a file. */
export interface Place {
  space: number
  page: number
  offset: number
}

export class StoredWords {
  readonly count: number
  readonly #base: number

  constructor(layout: Layout, frames: number) {
    this.count = slotsFor(frames)
    this.#base = layout.base('storedWord')
  }

  slot(index: number): number {
    return this.#base + index * STORED.size
  }

  /** The slot for `place`, whoever has it now. */
  slotOf({ space, page, offset }: Place): number {
    const hash = Math.imul((page | 0) ^ Math.imul(space, 0x9e3779b1) ^ Math.imul(offset, 0x85ebca6b), 0xc2b2ae35)
    return this.slot((hash >>> 16) & (this.count - 1))
  }

  // ---- the lock of a slot -----------------------------------------------------------------------------------------

  lock(at: number): void {
    while (cmpxchg32(at, 0, 1) !== 0);
  }

  unlock(at: number): void {
    store32(at, 0)
    note(at)
  }

  // ---- under it ---------------------------------------------------------------------------------------------------

  isOf(at: number, { space, page, offset }: Place): boolean {
    return peek32(at + AT.space) === space && peekF64(at + AT.page) === page && peek32(at + AT.offset) === offset
  }

  /** Gives the slot to `place`, with no value known. No store is under way. */
  take(at: number, { space, page, offset }: Place): void {
    poke32(at + AT.space, space)
    pokeF64(at + AT.page, page)
    poke32(at + AT.offset, offset)
    this.forget(at)
  }

  forget(at: number): void {
    poke32(at + AT.known, 0)
    if (peek32(at + AT.writers) > 0) poke32(at + AT.mixed, 1)
    this.#newVersion(at)
  }

  /** The place holds `value` since `clock`. */
  know(at: number, value: number, clock: number): void {
    poke32(at + AT.value, value)
    poke32(at + AT.clock, clock)
    poke32(at + AT.known, 1)
  }

  /** A store begins: the slot is the place's, unless another one's store is under way there. */
  begin(at: number, place: Place): void {
    if (peek32(at + AT.writers) === 0) {
      if (!this.isOf(at, place)) this.take(at, place)
      poke32(at + AT.mixed, 0)
    } else poke32(at + AT.mixed, 1)
    poke32(at + AT.known, 0)
    poke32(at + AT.writers, peek32(at + AT.writers) + 1)
    this.#newVersion(at)
  }

  /** It has ended; true when it was alone, so that its value is the place's. */
  end(at: number, place: Place): boolean {
    poke32(at + AT.writers, peek32(at + AT.writers) - 1)
    this.#newVersion(at)
    return peek32(at + AT.mixed) === 0 && this.isOf(at, place)
  }

  #newVersion(at: number): void {
    poke32(at + AT.version, (peek32(at + AT.version) + 1) | 0)
  }
}

/** Counts calls that take contents away. */
export function bump(at: number): void {
  add32(at, 1)
  note(at)
}
