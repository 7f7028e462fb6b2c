/**
 * The legal forms of a radix entry, and its legal changes: rules for the oracles, as in x86_64/legal.ts.
 *
 * Sources: Power ISA v3.1B book III, "Radix Tree Translation" (reserved bits); Linux v7.0
 * arch/powerpc/mm/book3s64/{pgtable,radix_pgtable}.c.
 */
import type { PteWord } from '../../base/units.js'
import { entryTable, PAGE_INVALID, PAGE_PRESENT, PAGE_PTE, pmdLeaf, ptePfn, pteProtnone, pteSame } from './pte.js'
import { isMigrationEntry, isSwapPte, swpOffsetPfn } from './swap.js'

const NAMES: readonly string[] = ['pte', 'pte', 'pmd', 'pud', 'pgd']
export const levelName = (level: number): string => NAMES[level] as string

const has = (entry: bigint, bits: bigint): boolean => (entry & bits) !== 0n
const isTable = (level: number, entry: PteWord): boolean =>
  level > 1 && has(entry, PAGE_PRESENT) && !has(entry, PAGE_PTE)
const isLeaf = (level: number, entry: PteWord): boolean => level <= 2 && pmdLeaf(entry)

/** Why `entry` may not stand in a table of `level` (1 … 4), or null. `limit`: frames of the machine, or tables. */
export function illegalEntry(level: number, entry: PteWord, limit: number, hpagePmdNr: number): string | null {
  if (entry === 0n) return null
  if (has(entry, PAGE_PRESENT) && has(entry, PAGE_INVALID)) return 'PRESENT and INVALID at once'
  if (isTable(level, entry)) {
    if ((entry & 0xffn) !== (level === 2 ? 5n : 9n)) return 'a table entry with a wrong size of the table below'
    return entryTable(entry) < limit ? null : 'a table beyond the end of memory'
  }
  if (level > 2) return 'neither empty nor a table at a level that has nothing else'
  if (!has(entry, PAGE_PTE)) return 'neither empty nor a table nor a leaf nor a swap word'
  if (isSwapPte(entry)) return illegalSwap(entry, limit)
  if (has(entry, 0x878n)) return 'reserved or unused bits set in a leaf'
  if (has(entry, 0x2n) && !has(entry, 0x4n)) return 'a leaf that may be written and not read'
  const span = level === 2 ? hpagePmdNr : 1
  if (ptePfn(entry) % span !== 0) return 'a huge leaf that is not aligned to its size'
  return ptePfn(entry) + span <= limit ? null : 'a leaf beyond the end of memory'
}

function illegalSwap(entry: PteWord, frames: number): string | null {
  if (!isMigrationEntry(entry)) return 'a swap word that is no migration entry'
  return swpOffsetPfn(entry) < frames ? null : 'a migration entry beyond the end of memory'
}

/** Why nothing may turn `old` into `next` with one change, or null. Both words are legal. */
export function illegalChange(level: number, old: PteWord, next: PteWord, _hpagePmdNr: number): string | null {
  if (pteSame(old, next)) return null
  if (isTable(level, old)) return changeOfTable(level, old, next)
  if (!isLeaf(level, old)) return null
  if (isLeaf(level, next) && ptePfn(old) !== ptePfn(next)) return 'a leaf changed its frame without being cleared first'
  if (level === 2 && has(old, PAGE_PRESENT) && !pteProtnone(old) && isTable(level, next))
    return 'a usable huge leaf replaced by a table without being invalidated first'
  return null
}

function changeOfTable(level: number, old: PteWord, next: PteWord): string | null {
  if (next === 0n) return null
  if (!isTable(level, next)) return 'a table pointer replaced by a leaf or a swap word without being cleared first'
  return entryTable(old) === entryTable(next) ? null : 'a table pointer replaced by another without being cleared first'
}

export const illegalInUse = (_level: number, _old: PteWord, _next: PteWord): string | null => null
