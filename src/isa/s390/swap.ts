/**
 * The contents of an s390 entry that is neither empty nor present. PTEs and segment entries have formats of their own:
 * bits that a PTE leaves to software are the table type and the invalid bit of a segment entry.
 *
 * Source: Linux v7.0 arch/s390/include/asm/pgtable.h, comments on swap entries.
 *
 *   PTE      63 … 12 offset · 0x800 E · 0x600 both set · 0x7c type · 0x2 soft-dirty · 0x1 clear
 *   segment  63 … 12 offset · 0x7c0 type · 0x30 set (INVALID, COMMON) · 0xc table type · 0x2 soft-dirty · 0x1 clear
 *
 * Generic code asks its questions of words in the format of PTEs, and converts: pmdToSwp(), swpToPmd(). Of a word of a
 * migration entry, types 28 … 30, the formats can be told apart: a segment's has bit 0x80 or 0x100, which PTEs leave
 * clear. So the questions about migration entries below are answered for both.
 *
 * Left out: swap files, markers and poisoned pages in segments; nothing here makes them.
 */
import { fail } from '../../base/assert.js'
import type { Pfn, PteWord } from '../../base/units.js'

/** Types below are swap areas; s390 has neither device-private nor poisoned entries. */
export const MAX_SWAPFILES = 28
export const SWP_MIGRATION_READ = 28
export const SWP_MIGRATION_READ_EXCLUSIVE = 29
export const SWP_MIGRATION_WRITE = 30
export const SWP_PTE_MARKER = 31
export const SWP_OFFSET_BITS = 52
/** Offset bits of a pfn in a migration entry; young and dirty are the two above. */
export const SWP_PFN_BITS = 34

const PFN_LIMIT = 2 ** SWP_PFN_BITS
const YOUNG = 2 ** SWP_PFN_BITS
const DIRTY = 2 ** (SWP_PFN_BITS + 1)

const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer)

/** PTE word for swap type `type` (0 … 31) and `offset` (0 … 2^52-1), no flags. */
export function makeSwapPte(type: number, offset: number): PteWord {
  if (!(offset >= 0 && offset < 2 ** SWP_OFFSET_BITS)) fail(`makeSwapPte: offset ${offset} is not in 0..2^52-1`)
  if (!(type >= 0 && type < 32)) fail(`makeSwapPte: type ${type} is not in 0..31`)
  return BigInt.asUintN(64, (BigInt(offset) << 12n) | BigInt(0x600 | (type << 2))) as PteWord
}

/** The same entry in a segment table: what a migration of a huge page leaves. */
export function swpToPmd(pte: PteWord): PteWord {
  word[0] = pte
  const type = (half[0]! & 0x7c) >>> 2
  half[0] = (half[0]! & 0xffff_f002) | (type << 6) | 0x30
  return word[0] as PteWord
}

/** A segment's swap word in the format of PTEs. */
export function pmdToSwp(pmd: PteWord): PteWord {
  word[0] = pmd
  const type = (half[0]! & 0x7c0) >>> 6
  half[0] = (half[0]! & 0xffff_f002) | 0x600 | (type << 2)
  return word[0] as PteWord
}

export function isSwapPte(pte: PteWord): boolean {
  word[0] = pte
  return (half[0]! & 0x201) === 0x200
}

export function isSwapPmd(pmd: PteWord): boolean {
  word[0] = pmd
  return (half[0]! & 0x011) === 0x010
}

/** Type of a swap word of either format; of types below 28 in the format of PTEs only. */
export function swpType(entry: PteWord): number {
  word[0] = entry
  return isSegmentMigration(half[0]!) ? (half[0]! & 0x7c0) >>> 6 : (half[0]! & 0x7c) >>> 2
}

export function swpOffset(entry: PteWord): number {
  word[0] = entry
  return half[1]! * 0x10_0000 + (half[0]! >>> 12)
}

export const makeReadableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_READ, offset)
export const makeReadableExclusiveMigrationEntry = (offset: number): PteWord =>
  makeSwapPte(SWP_MIGRATION_READ_EXCLUSIVE, offset)
export const makeWritableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_WRITE, offset)

/** A migration entry of any kind, in a PTE or a segment. */
export function isMigrationEntry(entry: PteWord): boolean {
  word[0] = entry
  const low = half[0]!
  if ((low & 1) !== 0) return false
  const type = isSegmentMigration(low) ? (low & 0x7c0) >>> 6 : (low & 0x780) === 0x600 ? (low & 0x7c) >>> 2 : 0
  return type >= SWP_MIGRATION_READ && type <= SWP_MIGRATION_WRITE
}

const isTyped = (entry: PteWord, type: number): boolean => isMigrationEntry(entry) && swpType(entry) === type
export const isReadableMigrationEntry = (entry: PteWord): boolean => isTyped(entry, SWP_MIGRATION_READ)
export const isReadableExclusiveMigrationEntry = (entry: PteWord): boolean =>
  isTyped(entry, SWP_MIGRATION_READ_EXCLUSIVE)
export const isWritableMigrationEntry = (entry: PteWord): boolean => isTyped(entry, SWP_MIGRATION_WRITE)

/** Frame of a migration entry. */
export const swpOffsetPfn = (entry: PteWord): Pfn => (swpOffset(entry) % PFN_LIMIT) as Pfn

const withOffset = (entry: PteWord, bit: number): PteWord => BigInt.asUintN(64, entry | (BigInt(bit) << 12n)) as PteWord
export const makeMigrationEntryYoung = (entry: PteWord): PteWord => withOffset(entry, YOUNG)
export const makeMigrationEntryDirty = (entry: PteWord): PteWord => withOffset(entry, DIRTY)
const offsetHas = (entry: PteWord, bit: number): boolean => Math.floor(swpOffset(entry) / bit) % 2 === 1
export const isMigrationEntryYoung = (entry: PteWord): boolean => isMigrationEntry(entry) && offsetHas(entry, YOUNG)
export const isMigrationEntryDirty = (entry: PteWord): boolean => isMigrationEntry(entry) && offsetHas(entry, DIRTY)

/** INVALID and COMMON without PRESENT, and a type of 28 or more: no PTE of a migration entry looks like that. */
const isSegmentMigration = (low: number): boolean => (low & 0x31) === 0x30 && (low & 0x180) !== 0
