/**
 * The contents of a radix entry that is neither empty nor present. One format for PTE and PMD.
 *
 * Source: Linux v7.0 arch/powerpc/include/asm/book3s/64/pgtable.h.
 *
 *   62 leaf, always set · 63, 61 clear · 52 … 16 offset · 0x200 soft-dirty · 0x20 E · 4 … 0 type
 */
import { fail } from '../../base/assert.js'
import type { Pfn, PteWord } from '../../base/units.js'
import { PAGE_PTE } from './pte.js'

export const SWP_MIGRATION_READ = 25
export const SWP_MIGRATION_READ_EXCLUSIVE = 26
export const SWP_MIGRATION_WRITE = 27
export const SWP_OFFSET_BITS = 37
/** Offset bits of a pfn in a migration entry; young and dirty are the two above. */
export const SWP_PFN_BITS = 35

const PFN_LIMIT = 2 ** SWP_PFN_BITS
const YOUNG = 2 ** SWP_PFN_BITS
const DIRTY = 2 ** (SWP_PFN_BITS + 1)

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer)

/** Word for swap type `type` (0 … 31) and `offset` (0 … 2^37-1), no flags. */
export function makeSwapPte(type: number, offset: number): PteWord {
  if (!(offset >= 0 && offset < 2 ** SWP_OFFSET_BITS)) fail(`makeSwapPte: offset ${offset} is not in 0..2^37-1`)
  if (!(type >= 0 && type < 32)) fail(`makeSwapPte: type ${type} is not in 0..31`)
  return BigInt.asUintN(64, PAGE_PTE | (BigInt(offset) << 16n) | BigInt(type)) as PteWord
}

export const swpToPmd = (pte: PteWord): PteWord => pte
export const pmdToSwp = (pmd: PteWord): PteWord => pmd

/** The leaf bit, and neither PRESENT nor INVALID. */
export function isSwapPte(pte: PteWord): boolean {
  word[0] = pte
  return (half[1]! & 0xe000_0000) >>> 0 === 0x4000_0000
}
export const isSwapPmd = isSwapPte

export function swpType(pte: PteWord): number {
  word[0] = pte
  return half[0]! & 0x1f
}

export function swpOffset(pte: PteWord): number {
  word[0] = pte
  return (half[1]! & 0x1f_ffff) * 0x1_0000 + (half[0]! >>> 16)
}

export const makeReadableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_READ, offset)
export const makeReadableExclusiveMigrationEntry = (offset: number): PteWord =>
  makeSwapPte(SWP_MIGRATION_READ_EXCLUSIVE, offset)
export const makeWritableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_WRITE, offset)

export const isMigrationEntry = (pte: PteWord): boolean =>
  isSwapPte(pte) && swpType(pte) >= SWP_MIGRATION_READ && swpType(pte) <= SWP_MIGRATION_WRITE
const isTyped = (pte: PteWord, type: number): boolean => isSwapPte(pte) && swpType(pte) === type
export const isReadableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_READ)
export const isReadableExclusiveMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_READ_EXCLUSIVE)
export const isWritableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_WRITE)

export const swpOffsetPfn = (pte: PteWord): Pfn => (swpOffset(pte) % PFN_LIMIT) as Pfn

const withOffset = (pte: PteWord, bit: number): PteWord => BigInt.asUintN(64, pte | (BigInt(bit) << 16n)) as PteWord
const offsetHas = (pte: PteWord, bit: number): boolean => Math.floor(swpOffset(pte) / bit) % 2 === 1
export const makeMigrationEntryYoung = (pte: PteWord): PteWord => withOffset(pte, YOUNG)
export const makeMigrationEntryDirty = (pte: PteWord): PteWord => withOffset(pte, DIRTY)
export const isMigrationEntryYoung = (pte: PteWord): boolean => isMigrationEntry(pte) && offsetHas(pte, YOUNG)
export const isMigrationEntryDirty = (pte: PteWord): boolean => isMigrationEntry(pte) && offsetHas(pte, DIRTY)
