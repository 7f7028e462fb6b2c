/** Masks of at most 32 members. */

/** Number of the lowest set bit; `mask` is not 0. */
export const lowestBit = (mask: number): number => 31 - Math.clz32(mask & -mask)

/** How many bits are set. */
export function countBits(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}
