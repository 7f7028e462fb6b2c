/** Entries of the toy by their low halves, which have all of a frame's number. */
import { peek32 } from '../../../dist/src/machine/image/image.js'

const NONE = -1
const [VALID, MAPPED, READ, WRITE, TABLE] = [0x1, 0x2, 0x4, 0x8, 0x80]

export const brief = (entry: bigint): number => Number(BigInt.asIntN(32, entry))
export const briefAt = (at: number): number => peek32(at)
export const pteFrame = (low: number): number => ((low & MAPPED) !== 0 ? low >>> 12 : NONE)
export const hugeFrame = (low: number, _hugePages: number): number => pteFrame(low)
export const tableFrame = (low: number): number => ((low & TABLE) !== 0 ? low >>> 12 : NONE)
export const isUsable = (_level: number, low: number): boolean => (low & VALID) !== 0
export const isHuge = (low: number): boolean => (low & MAPPED) !== 0
export const isWritable = (_level: number, low: number): boolean => (low & WRITE) !== 0
export const isProtnone = (_level: number, low: number): boolean => (low & READ) === 0
export const isInvalidated = (low: number): boolean => (low & (VALID | MAPPED)) === MAPPED
export const isEmptyWord = (_level: number, low: number, high: number): boolean => low === 0 && high === 0
