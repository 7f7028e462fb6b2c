/**
 * Swap words of the toy: one format for PTE and PMD. An offset is a frame, with young and dirty above its twenty bits.
 */
import type { Pfn, PteWord } from '../../../dist/src/base/units.js'
import { SWAP } from './pte.js'

const [READABLE, EXCLUSIVE, WRITABLE] = [25, 26, 27]
const YOUNG = 1n << 37n
const DIRTY = 1n << 38n

const swapWord = (type: number, offset: number): PteWord => {
  const above = BigInt(Math.floor(offset / 2 ** 20)) << 37n
  return (SWAP | (BigInt(type) << 32n) | above | (BigInt(offset % 2 ** 20) << 12n)) as PteWord
}

export const isSwapPte = (pte: PteWord): boolean => (pte & SWAP) !== 0n
export const isSwapPmd = isSwapPte
export const swpToPmd = (pte: PteWord): PteWord => pte
export const pmdToSwp = (pmd: PteWord): PteWord => pmd
export const swpType = (pte: PteWord): number => Number((pte >> 32n) & 31n)
export const swpOffsetPfn = (pte: PteWord): Pfn => Number((pte >> 12n) & 0xf_ffffn) as Pfn
export const swpOffset = (pte: PteWord): number => Number((pte >> 37n) & 3n) * 2 ** 20 + swpOffsetPfn(pte)

const isTyped = (pte: PteWord, type: number): boolean => isSwapPte(pte) && swpType(pte) === type
export const isReadableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, READABLE)
export const isReadableExclusiveMigrationEntry = (pte: PteWord): boolean => isTyped(pte, EXCLUSIVE)
export const isWritableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, WRITABLE)
export const isMigrationEntry = (pte: PteWord): boolean =>
  isSwapPte(pte) && swpType(pte) >= READABLE && swpType(pte) <= WRITABLE
export const makeReadableMigrationEntry = (offset: number): PteWord => swapWord(READABLE, offset)
export const makeReadableExclusiveMigrationEntry = (offset: number): PteWord => swapWord(EXCLUSIVE, offset)
export const makeWritableMigrationEntry = (offset: number): PteWord => swapWord(WRITABLE, offset)
export const isMigrationEntryYoung = (pte: PteWord): boolean => isMigrationEntry(pte) && (pte & YOUNG) !== 0n
export const isMigrationEntryDirty = (pte: PteWord): boolean => isMigrationEntry(pte) && (pte & DIRTY) !== 0n
export const makeMigrationEntryYoung = (pte: PteWord): PteWord => (pte | YOUNG) as PteWord
export const makeMigrationEntryDirty = (pte: PteWord): PteWord => (pte | DIRTY) as PteWord
