/** The two 32-bit halves of an entry: a number each, where arithmetic on the bigint would allocate. */
import type { PteWord } from '../base/units.js'

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer)

export function lowHalf(entry: PteWord): number {
  word[0] = entry
  return half[0]!
}

export function highHalf(entry: PteWord): number {
  word[0] = entry
  return half[1]!
}
