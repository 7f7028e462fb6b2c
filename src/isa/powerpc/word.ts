/**
 * Radix entries, as far as bookkeeping needs them: see x86_64/word.ts. What an entry is stands at the top of the word
 * and what it points to at the bottom (frames are below 2^16); brief() brings the three top bits down to places that
 * every proper entry leaves clear.
 */
import { peek32 } from '../../machine/image/image.js'

const NONE = -1
const PRESENT = 0x20
const INVALID = 0x10
const LEAF = 0x40
const OWN = PRESENT | INVALID | LEAF

const fold = (low: number, high: number): number =>
  (low & ~OWN) | ((high >>> 31) & 1 ? PRESENT : 0) | ((high >>> 30) & 1 ? LEAF : 0) | ((high >>> 29) & 1 ? INVALID : 0)

export function brief(entry: bigint): number {
  word[0] = entry
  return fold(half[0] as number, half[1] as number)
}

/** Two loads: the halves may be of different words while the entry changes. */
export const briefAt = (at: number): number => fold(peek32(at), peek32(at + 4))

const isPresent = (low: number): boolean => (low & (PRESENT | INVALID)) !== 0

/** Frame that a PTE maps, for somebody or nobody; -1: none. */
export const pteFrame = (low: number): number => ((low & LEAF) !== 0 && isPresent(low) ? low >>> 16 : NONE)

/** First frame that a huge PMD maps, invalidated ones included; -1: none. */
export const hugeFrame = (low: number, _hugePages: number): number => pteFrame(low)

/** Number of the table that an entry above the PTE level points to; -1: none. */
export const tableFrame = (low: number): number => ((low & (PRESENT | LEAF)) === PRESENT ? low >>> 8 : NONE)

export const isUsable = (_level: number, low: number): boolean => (low & PRESENT) !== 0
export const isHuge = (low: number): boolean => (low & LEAF) !== 0 && isPresent(low)
export const isWritable = (_level: number, low: number): boolean => (low & 0x2) !== 0
export const isProtnone = (_level: number, low: number): boolean => (low & 0x7) === 0
export const isInvalidated = (low: number): boolean => (low & (LEAF | INVALID)) === (LEAF | INVALID)
export const isEmptyWord = (_level: number, low: number, high: number): boolean => low === 0 && high === 0

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Int32Array(word.buffer)
