/** Masks of at most 32 members. */

/** Number of the lowest set bit; `mask` is not 0. */
export const lowestBit = (mask: number): number => 31 - Math.clz32(mask & -mask)

/** How many bits are set. */
export function countBits(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}

/** Number of the `n`-th set bit, from the lowest, which is the 0th. There are more than `n`. */
export function nthBit(mask: number, n: number): number {
  let rest = mask
  for (let i = 0; i < n; i++) rest &= rest - 1
  return lowestBit(rest)
}
