/**
 * Page-table words, as far as bookkeeping needs them and faster than the predicates of pte.ts: which frame or table a
 * word points to. Frames are below 2^19, so the low half of a word has all of the number; bits that do not belong into
 * the rest are for illegalEntry() to find.
 */
import { peek32 } from '../../machine/image/image.js'
const NONE = -1
const PRESENT = 0x1
const RW = 0x2
const PSE = 0x80
const PROTNONE = 0x100
const MAPPED = 0x101 // present, or PROT_NONE

/** Frame that a PTE maps, for somebody or nobody; -1: none. `low`: its low half. */
export function pteFrame(low: number): number {
  if ((low & MAPPED) === 0) return NONE
  return (low & PRESENT) !== 0 ? low >>> 12 : ~low >>> 12
}

/** First frame that a huge PMD maps, invalidated ones included; -1: none. */
export function hugeFrame(low: number, hugePages: number): number {
  if ((low & PSE) === 0) return NONE
  const frame = (low & PRESENT) !== 0 ? low : ~low
  return (frame & (-hugePages << 12)) >>> 12
}

/** Number of the table that an entry above the PTE level points to; -1: none. */
export function tableFrame(low: number): number {
  return (low & (PRESENT | PSE)) === PRESENT ? low >>> 12 : NONE
}

/** The hardware can load it. */
export const isUsable = (_level: number, low: number): boolean => (low & PRESENT) !== 0
export const isHuge = (low: number): boolean => (low & PSE) !== 0
/** Usable for stores, or after the hardware's right comes back. */
export const isWritable = (_level: number, low: number): boolean => (low & RW) !== 0
/** Mapped for nobody: PROT_NONE or a NUMA hint. Of a leaf. */
export const isProtnone = (_level: number, low: number): boolean => (low & PROTNONE) !== 0
/** A huge leaf that pmdp_invalidate() has made unusable, and that nobody has replaced yet. */
export const isInvalidated = (low: number): boolean => (low & MAPPED) === 0 && (low & PSE) !== 0
/** The word with these halves is what an empty entry of `level` is. */
export const isEmptyWord = (_level: number, low: number, high: number): boolean => low === 0 && high === 0

/** What the functions of this file look at: here the low half. A word of a table may be read while it changes. */
export function brief(entry: bigint): number {
  word[0] = entry
  return half[0] as number
}

export const briefAt = (at: number): number => peek32(at)

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Int32Array(word.buffer)
