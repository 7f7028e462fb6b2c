/**
 * s390 entries, as far as bookkeeping needs them: see x86_64/word.ts. `low` is the low half of a word; frames are below
 * 2^19, so it has all of a frame's number.
 */
import { peek32 } from '../../machine/image/image.js'
import { Level } from '../../arch/level.js'

const NONE = -1

/** Frame that a PTE maps, for somebody or nobody; -1: none. */
export const pteFrame = (low: number): number => ((low & 0x1) !== 0 ? low >>> 12 : NONE)

/** First frame that a huge segment entry maps, invalidated ones included; -1: none. */
export const hugeFrame = (low: number, hugePages: number): number =>
  (low & 0x401) === 0x401 ? (low >>> 20) * hugePages : NONE

/**
 * Number of the table that an entry above the PTE level points to; -1: none. Also of one that IDTE has made invalid: it
 * is present, and software walks through it until the empty entry is stored.
 */
export function tableFrame(low: number): number {
  if ((low & 0x1) === 0) return NONE
  return (low & 0xc) === 0 && (low & 0x400) !== 0 ? NONE : low >>> 11
}

/** The hardware can load it. */
export const isUsable = (level: number, low: number): boolean =>
  level === Level.pte ? (low & 0x401) === 0x1 : (low & 0x21) === 0x1
export const isHuge = (low: number): boolean => (low & 0x401) === 0x401
/** Usable for stores once it is dirty. */
export const isWritable = (level: number, low: number): boolean => (low & (level === Level.pte ? 0x20 : 0x8000)) !== 0
/** Mapped for nobody: PROT_NONE or a NUMA hint. Of a leaf. */
export const isProtnone = (level: number, low: number): boolean => (low & (level === Level.pte ? 0x10 : 0x4000)) === 0

/** A huge leaf that pmdp_invalidate() has made unusable, though it is young and may be read. */
export const isInvalidated = (low: number): boolean => (low & 0x5421) === 0x5421

const EMPTY: readonly number[] = [0, 0x400, 0x20, 0x24, 0x28, 0x2c]
/** The word with these halves is what an empty entry of `level` is. */
export const isEmptyWord = (level: number, low: number, high: number): boolean => low === EMPTY[level] && high === 0

/** What the functions of this file look at: here the low half. A word of a table may be read while it changes. */
export function brief(entry: bigint): number {
  word[0] = entry
  return half[0] as number
}

export const briefAt = (at: number): number => peek32(at)

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Int32Array(word.buffer)
