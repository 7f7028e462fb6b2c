/**
 * The legal forms of an s390 entry, and its legal changes: rules for the oracles, as in x86_64/legal.ts.
 *
 * Sources: z/Architecture Principles of Operation, "Dynamic Address Translation" (translation-specification exceptions)
 * and the comment in arch/s390/include/asm/tlb.h: a valid entry that any CPU's address space reaches is changed by
 * IPTE, IDTE, CSP or RDP only, but for the low byte of a PTE.
 *
 * IPTE and IDTE make an entry invalid and change nothing else of it, so the rule shows in the two words: what follows a
 * valid leaf is the same leaf with the invalid bit. Left out: that a store sets that bit and nobody purges (the lazy
 * flush does so on purpose; a TLB that goes on using it is the business of the oracle for stale translations), and that
 * a store clears PROTECT (which RDP may, and a store may not).
 */
import { highHalf, lowHalf } from '../../arch/halves.js'
import type { PteWord } from '../../base/units.js'
import { emptyEntry, pmdLeaf, pmdPfn, ptePfn, pteSame } from './pte.js'
import { isMigrationEntry, isSwapPmd, isSwapPte, swpOffsetPfn } from './swap.js'

const NAMES: readonly string[] = ['pte', 'pte', 'pmd', 'pud', 'p4d', 'pgd']

/** Name of a level by its number, as reports and oracles write it. */
export const levelName = (level: number): string => NAMES[level] as string

const PTE_INVALID = 0x400
const SEGMENT_INVALID = 0x20

/** Why `entry` may not stand in a table of `level` (1 … 5), or null. `limit`: frames of the machine, or tables. */
export function illegalEntry(level: number, entry: PteWord, limit: number, hpagePmdNr: number): string | null {
  if (pteSame(entry, emptyEntry(level))) return null
  if (level === 1) return illegalPte(entry, limit)
  if (level === 2) return illegalSegment(entry, limit, hpagePmdNr)
  return illegalRegion(level, entry, limit)
}

function illegalPte(entry: PteWord, frames: number): string | null {
  const low = lowHalf(entry)
  if ((low & 0x1) === 0) return isSwapPte(entry) ? illegalMigration(entry, frames) : NEITHER
  if ((low & 0x800) !== 0) return 'LARGE set in a PTE: a translation-specification exception'
  if ((low & 0x80) !== 0) return 'UNUSED set in a present PTE'
  const valid = (low & PTE_INVALID) === 0
  if (valid && (low & 0x10) === 0) return 'a valid PTE of a mapping that may not be read'
  if (valid && (low & 0x4) === 0) return 'a valid PTE that is not young'
  if ((low & 0x200) === 0 && (low & 0x28) !== 0x28) return 'a PTE without PROTECT that is not writable and dirty'
  return ptePfn(entry) < frames ? null : 'a leaf beyond the end of memory'
}

function illegalSegment(entry: PteWord, limit: number, hpagePmdNr: number): string | null {
  const low = lowHalf(entry)
  if ((low & 0xc) !== 0) return 'table type of a region in a segment entry'
  if ((low & 0x1) === 0)
    return isSwapPmd(entry) ? (isMigrationEntry(entry) ? null : 'a swap word that is no migration entry') : NEITHER
  if (pmdLeaf(entry)) return illegalHuge(low, entry, limit, hpagePmdNr)
  if ((low & 0x7de) !== 0) return 'bits set in a segment entry for a page table'
  return tableOf(entry) < limit ? null : 'a table beyond the end of memory'
}

function illegalHuge(low: number, entry: PteWord, frames: number, hpagePmdNr: number): string | null {
  const valid = (low & SEGMENT_INVALID) === 0
  if ((low & 0x10) !== 0) return 'COMMON set in a present segment entry'
  if (valid && (low & 0x4000) === 0) return 'a valid segment entry of a mapping that may not be read'
  if (valid && (low & 0x1000) === 0) return 'a valid segment entry that is not young'
  if ((low & 0x200) === 0 && (low & 0xa000) !== 0xa000)
    return 'a segment entry without PROTECT that is not writable and dirty'
  return pmdPfn(entry, hpagePmdNr) + hpagePmdNr <= frames ? null : 'a leaf beyond the end of memory'
}

function illegalRegion(level: number, entry: PteWord, limit: number): string | null {
  const low = lowHalf(entry)
  if ((low & 0xc) !== (level - 2) << 2) return 'table type of another level: a translation-specification exception'
  if ((low & 0x20) !== 0) return 'an invalid region entry that is not the empty one'
  if ((low & 0x7f3) !== 0x3) return 'bits set in a region entry, or a table that is not of full length'
  return tableOf(entry) < limit ? null : 'a table beyond the end of memory'
}

function illegalMigration(entry: PteWord, frames: number): string | null {
  if (!isMigrationEntry(entry)) return 'a swap word that is no migration entry'
  return swpOffsetPfn(entry) < frames ? null : 'a migration entry beyond the end of memory'
}

/** Why nothing may turn `old` into `next` with one change, or null. Both words are legal. */
export function illegalChange(level: number, old: PteWord, next: PteWord, hpagePmdNr: number): string | null {
  if (pteSame(old, next)) return null
  if (pointsToTable(level, old)) return changeOfTable(level, old, next)
  const frame = frameOf(level, old, hpagePmdNr)
  if (frame < 0) return null
  const after = frameOf(level, next, hpagePmdNr)
  if (after >= 0 && after !== frame) return 'a leaf changed its frame without being cleared first'
  if (level === 2 && isValid(level, old) && pointsToTable(level, next))
    return 'a usable huge leaf replaced by a table without being invalidated first'
  return null
}

/** Why `old` may not become `next` by one change while CPUs may be using the table, or null. */
export function illegalInUse(level: number, old: PteWord, next: PteWord): string | null {
  if (level > 2 || !isValid(level, old) || (level === 2 && !pmdLeaf(old)) || pteSame(old, next)) return null
  const [changed, high] = [lowHalf(old) ^ lowHalf(next), highHalf(old) ^ highHalf(next)]
  if (high === 0 && changed === (level === 1 ? PTE_INVALID : SEGMENT_INVALID)) return null
  if (level === 1 && high === 0 && (changed & ~0xff) === 0) return null
  if (level === 1 && high === 0 && (changed & ~0xff) === 0x200 && (lowHalf(next) & 0x200) === 0) return null // RDP
  return 'a valid entry in use changed by a store: IPTE, IDTE, CSP or RDP may, and nothing else'
}

function changeOfTable(level: number, old: PteWord, next: PteWord): string | null {
  // IDTE, when the table is taken out: the pointer stays and is invalid until the empty entry is stored.
  if (pteSame(next, emptyEntry(level)) || pteSame(next, (old | 0x20n) as PteWord)) return null
  if (!pointsToTable(level, next))
    return 'a table pointer replaced by a leaf or a swap word without being cleared first'
  return tableOf(old) === tableOf(next) ? null : 'a table pointer replaced by another without being cleared first'
}

// ---- parts

const NEITHER = 'neither empty nor present nor a swap word'

function pointsToTable(level: number, entry: PteWord): boolean {
  if (level === 1) return false
  return (lowHalf(entry) & 0x21) === 0x1 && !(level === 2 && pmdLeaf(entry))
}

const isValid = (level: number, entry: PteWord): boolean => (lowHalf(entry) & (level === 1 ? 0x401 : 0x21)) === 0x1

function frameOf(level: number, entry: PteWord, hpagePmdNr: number): number {
  if (level === 1) return (lowHalf(entry) & 1) !== 0 ? ptePfn(entry) : -1
  return level === 2 && pmdLeaf(entry) ? pmdPfn(entry, hpagePmdNr) : -1
}

const tableOf = (entry: PteWord): number => highHalf(entry) * 0x200000 + (lowHalf(entry) >>> 11)
