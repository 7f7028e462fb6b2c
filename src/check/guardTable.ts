/**
 * What is asked of an access, by the word that it goes to: one number, which the check of every peek and poke looks up
 * before anything else. Few words need more than the number, since most are for all, or private to a CPU.
 *
 * Equal blocks of 64 bytes have one row of the table: all struct pages have one row, all structures of two blocks two.
 * A private word names its CPU, so the areas of CPUs have rows of their own.
 */
import { assert } from '../base/assert.js'
import { always, hardware, laboratory, lockWord, type Guard } from '../machine/image/guard.js'
import type { Layout, Region } from '../machine/image/layout.js'

/** Nothing is asked. */
export const ANYONE = 0
/** The guards of the word are asked. */
const ASK = 1
/** Nothing is asked of CPU n at PRIVATE + n, and of others what ASK says. */
export const PRIVATE = 2
const PRIVATE_MAX = 0xff

const BLOCK_SHIFT = 6
const BLOCK_BYTES = 1 << BLOCK_SHIFT
const BLOCK_WORDS = BLOCK_BYTES / 4
/** A row has the numbers of reads, then those of writes. */
const ROW_SHIFT = 5
const WORD_MASK = BLOCK_WORDS - 1

/** What kernel code may touch as it likes: it belongs to others, or has its own argument. */
const FREE: ReadonlySet<Guard> = new Set([hardware, laboratory, lockWord])

/** A region as the check uses it. */
export interface Checked {
  readonly region: Region
  /** By word of the structure: the guards of the fields that cover it, null where nothing is asked. */
  readonly words: readonly (readonly Guard[] | null)[]
}

export class GuardTable {
  /** By block of 64 bytes below the frames: its row. Row 0 asks nothing. */
  readonly #rows: Uint16Array
  readonly #numbers: Uint8Array
  /** By row, the region that it is of. */
  readonly #regions: (Checked | null)[] = [null]

  constructor({ regions, frameBase }: Layout) {
    this.#rows = new Uint16Array(Math.ceil(frameBase / BLOCK_BYTES))
    const numbers: number[] = new Array<number>(2 * BLOCK_WORDS).fill(ANYONE)
    for (const region of regions) {
      const words = wordsOf(region)
      if (words.some((guards) => guards !== null)) this.#place({ region, words }, numbers)
    }
    this.#numbers = Uint8Array.from(numbers)
  }

  /** The number for a read of the word at `addr`, below the frames. */
  ofRead(addr: number): number {
    return this.#numbers[
      ((this.#rows[addr >>> BLOCK_SHIFT] as number) << ROW_SHIFT) | ((addr >>> 2) & WORD_MASK)
    ] as number
  }

  /** The number for a write. */
  ofWrite(addr: number): number {
    return this.#numbers[
      ((this.#rows[addr >>> BLOCK_SHIFT] as number) << ROW_SHIFT) | BLOCK_WORDS | ((addr >>> 2) & WORD_MASK)
    ] as number
  }

  /** The region of the word at `addr`, of which something is asked. */
  regionOf(addr: number): Checked {
    return this.#regions[this.#rows[addr >>> BLOCK_SHIFT] as number] as Checked
  }

  /** Gives the blocks of a region their rows, the same ones after each period. */
  #place(checked: Checked, numbers: number[]): void {
    const { base, struct, count } = checked.region
    assert(base % BLOCK_BYTES === 0, 'a region begins with a block')
    const blocks = Math.ceil((struct.size * count) / BLOCK_BYTES)
    const isOfCpus = checked.words.some((guards) => guards?.some(({ ownCpu }) => ownCpu))
    const period = isOfCpus ? blocks : Math.min(blocks, blocksPerPeriod(struct.size))
    const first = this.#regions.length
    for (let word = 0; word < period * BLOCK_WORDS; word += BLOCK_WORDS) {
      this.#regions.push(checked)
      for (const write of [false, true])
        for (let at = word; at < word + BLOCK_WORDS; at++) numbers.push(numberOf(checked, at, write))
    }
    const begin = base >>> BLOCK_SHIFT
    for (let block = 0; block < blocks; block++) this.#rows[begin + block] = first + (block % period)
  }
}

/** Blocks after which an array of structures of `size` bytes looks the same. */
function blocksPerPeriod(size: number): number {
  let period = 1
  while ((period * BLOCK_BYTES) % size !== 0) period++
  return period
}

/** The number of word `at` of the region. */
function numberOf({ words }: Checked, at: number, write: boolean): number {
  const guards = words[at % words.length] as readonly Guard[] | null
  if (guards === null || guards.some((guard) => (write ? guard.mayWrite : guard.mayRead) === always)) return ANYONE
  const index = Math.floor(at / words.length)
  return guards.some(({ ownCpu }) => ownCpu) && PRIVATE + index <= PRIVATE_MAX ? PRIVATE + index : ASK
}

function wordsOf({ struct }: Region): (readonly Guard[] | null)[] {
  const fields = [...struct.fields.values()]
  return Array.from({ length: struct.size / 4 }, (_, word) => {
    const covering = fields.filter(([at, width]) => word * 4 >= at && word * 4 < at + width).map(([, , guard]) => guard)
    return covering.length === 0 || covering.some((guard) => FREE.has(guard)) ? null : covering
  })
}
