/** Masks of at most 32 members. */

/** Number of the lowest set bit; `mask` is not 0. */
export const lowestBit = (mask: number): number => 31 - Math.clz32(mask & -mask)
