/**
 * The contents of an x86-64 entry that is neither empty nor present: a swap slot, a page on its way to another frame, a
 * poisoned page, a marker. One format for pte and pmd.
 *
 * Source: Linux v7.0 arch/x86/include/asm/pgtable_64.h (layout), include/linux/swapops.h and leafops.h (types). The
 * kernel keeps a generic entry (type, offset) beside the entry word and converts; here the word is the only form, so
 * make_writable_migration_entry() with swp_entry_to_pte() is makeWritableMigrationEntry(), and questions about an entry
 * are asked of the word. Flags are outside type and offset, as in the kernel.
 *
 *   63    59 58                                            9 8 7 6 5 4 3 2 1 0
 *   ┌───────┬───────────────────────────────────────────────┬─┬─┬─────┬─┬─┬─┬─┐
 *   │ type  │ offset, inverted (L1TF)                       │0│0│  0  │E│U│S│0│  E exclusive · U uffd-wp · S soft-dirty
 *   └───────┴───────────────────────────────────────────────┴─┴─┴─────┴─┴─┴─┴─┘  8 PROTNONE · 7 PSE · 0 PRESENT
 *
 * A migration entry's offset is pfn | young << P | dirty << P+1 with P = MAX_PHYSMEM_BITS - PAGE_SHIFT, which is
 * 46 - 12 = 34 with 4 levels: bits 34 and 35 of 50. (Even the 40 bits of a 52-bit address would leave room.)
 *
 * Left out: device-private entries (types 28 … 30 are named so that nothing else takes them), and the offset of a swap
 * slot has no limit but its width here (see MAX_SWAP_OFFSET in legal.ts).
 */
import { fail } from '../../base/assert.js'
import type { Pfn, PteWord } from '../../base/units.js'

/** Types below are swap areas. */
export const MAX_SWAPFILES = 24
export const SWP_HWPOISON = 24
export const SWP_MIGRATION_READ = 25
export const SWP_MIGRATION_READ_EXCLUSIVE = 26
export const SWP_MIGRATION_WRITE = 27
export const SWP_DEVICE_WRITE = 28
export const SWP_DEVICE_READ = 29
export const SWP_DEVICE_EXCLUSIVE = 30
export const SWP_PTE_MARKER = 31

export const PTE_MARKER_UFFD_WP = 1
export const PTE_MARKER_POISONED = 2
export const PTE_MARKER_GUARD = 4

export const PAGE_SWP_SOFT_DIRTY = 1n << 1n
export const PAGE_SWP_UFFD_WP = 1n << 2n
export const PAGE_SWP_EXCLUSIVE = 1n << 3n

export const SWP_TYPE_BITS = 5
export const SWP_OFFSET_BITS = 50
/** Offset bits of a pfn in a migration entry; young and dirty are the two above. */
export const SWP_PFN_BITS = 34

const OFFSET_LIMIT = 2 ** SWP_OFFSET_BITS
const PFN_LIMIT = 2 ** SWP_PFN_BITS

const asUintN = BigInt.asUintN
const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer) // the same word: low half, high half (pte.ts asserts the order)

// ---- any entry

/** Word for swap type `type` (0 … 31) and `offset` (0 … 2^50-1), no flags. Type 0 with all ones is the empty word. */
export function makeSwapPte(type: number, offset: number): PteWord {
  if (!(offset >= 0 && offset < OFFSET_LIMIT)) fail(`makeSwapPte: offset ${offset} is not in 0..2^50-1`)
  if (!(type >= 0 && type < 1 << SWP_TYPE_BITS)) fail(`makeSwapPte: type ${type} is not in 0..31`)
  const high = Math.floor(offset / 0x80_0000)
  half[0] = ~(offset - high * 0x80_0000) << 9
  half[1] = (type << 27) | (~high & 0x7ff_ffff)
  return word[0]! as PteWord
}

/** Neither empty nor present: the word is in the format of this file. */
export function isSwapPte(pte: PteWord): boolean {
  word[0] = pte
  return (half[0]! & 0x101) === 0 && ((half[0]! & ~0x60) | half[1]!) !== 0
}

/** The same of a pmd, whose PSE bit means present. */
export function isSwapPmd(pmd: PteWord): boolean {
  word[0] = pmd
  return (half[0]! & 0x181) === 0 && ((half[0]! & ~0x60) | half[1]!) !== 0
}

/** Both levels have one format: see s390/swap.ts for one where they have not. */
export const swpToPmd = (pte: PteWord): PteWord => pte
export const pmdToSwp = (pmd: PteWord): PteWord => pmd

/** Type of a swap word. */
export function swpType(pte: PteWord): number {
  word[0] = pte
  return half[1]! >>> 27
}

/** Offset of a swap word; of a migration entry with its young and dirty bits, see swpOffsetPfn(). */
export function swpOffset(pte: PteWord): number {
  word[0] = pte
  return (~half[1]! & 0x7ff_ffff) * 0x80_0000 + (~half[0]! >>> 9)
}

// ---- migration entries

/** A page that was mapped read-only and may be shared. `offset`: its pfn, or another migration entry's whole offset. */
export const makeReadableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_READ, offset)
/** Read-only, and no other process maps it (PageAnonExclusive). */
export const makeReadableExclusiveMigrationEntry = (offset: number): PteWord =>
  makeSwapPte(SWP_MIGRATION_READ_EXCLUSIVE, offset)
export const makeWritableMigrationEntry = (offset: number): PteWord => makeSwapPte(SWP_MIGRATION_WRITE, offset)

/** A migration entry of any kind; false for present and empty words. True of a pmd on the same terms. */
export function isMigrationEntry(pte: PteWord): boolean {
  word[0] = pte
  const type = half[1]! >>> 27
  return (half[0]! & 0x181) === 0 && type >= SWP_MIGRATION_READ && type <= SWP_MIGRATION_WRITE
}

export const isReadableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_READ)
export const isReadableExclusiveMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_READ_EXCLUSIVE)
export const isWritableMigrationEntry = (pte: PteWord): boolean => isTyped(pte, SWP_MIGRATION_WRITE)

/** Frame of a migration or hwpoison entry. */
export const swpOffsetPfn = (pte: PteWord): Pfn => (swpOffset(pte) % PFN_LIMIT) as Pfn

// The offset is stored inverted: setting one of its bits clears one of the word's.
const YOUNG = 1n << BigInt(9 + SWP_PFN_BITS)
const DIRTY = 1n << BigInt(9 + SWP_PFN_BITS + 1)
const NOT_YOUNG = asUintN(64, ~YOUNG)
const NOT_DIRTY = asUintN(64, ~DIRTY)

export const makeMigrationEntryYoung = (pte: PteWord): PteWord => asUintN(64, pte & NOT_YOUNG) as PteWord
export const makeMigrationEntryDirty = (pte: PteWord): PteWord => asUintN(64, pte & NOT_DIRTY) as PteWord
export const isMigrationEntryYoung = (pte: PteWord): boolean => isMigrationEntry(pte) && asUintN(64, pte & YOUNG) === 0n
export const isMigrationEntryDirty = (pte: PteWord): boolean => isMigrationEntry(pte) && asUintN(64, pte & DIRTY) === 0n

// ---- flags of any swap word

/** The page that was swapped out belongs to this process alone. Migration entries have a type for that instead. */
export const pteSwpExclusive = (pte: PteWord): boolean => asUintN(64, pte & 0x8n) !== 0n

/** A swap word of exactly this type. */
function isTyped(pte: PteWord, type: number): boolean {
  word[0] = pte
  return (half[0]! & 0x181) === 0 && half[1]! >>> 27 === type
}
