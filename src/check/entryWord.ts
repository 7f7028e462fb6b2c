/** Halves of page-table words: what bookkeeping looks at, see word.ts of an architecture. */
import { peek32 } from '../machine/image/image.js'

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Int32Array(word.buffer)

/** Low half of a word. */
export function lowHalf(entry: bigint): number {
  word[0] = entry
  return half[0] as number
}

/** Low half of the word at `at`. Not atomic with the high half, which nobody here looks at. */
export const lowHalfAt = (at: number): number => peek32(at)
