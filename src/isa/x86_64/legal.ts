/**
 * The legal forms of an x86-64 page-table entry of the model, and its legal changes: rules for the oracles.
 *
 * Sources: Intel SDM vol. 3A, "Paging" (reserved bits); Intel SDM vol. 3A, "Invalidation of TLBs and Paging-Structure
 * Caches" (one address must not be huge and small at once); Linux v7.0, what pXd_populate(), set_pte_at() and their
 * callers store. A rule is here only if mainline never breaks it, so that an answer is a finding, not a style remark.
 *
 * Judged are single words and single changes of one word. Left out, because they need more than the word: which lock is
 * held, whether a TLB flush came in between, and that a mapping which is not being destroyed never reads as empty
 * (invariant I1 of huge pages). Other oracles have those. Left out as unused by the model: leaves in a pud, uncached
 * memory, protection keys, shadow stacks, device-private pages, kernel mappings. Their bits are reported, since only a
 * stray store would set them.
 *
 * Answers are fixed text in the form "what is wrong", or null.
 */
import { highHalf, lowHalf } from '../../arch/halves.js'
import type { PteWord } from '../../base/units.js'
import type { LevelName } from '../../arch/level.js'
import { pmdPfn, pteDirty, pteSame } from './pte.js'
import {
  isMigrationEntry,
  MAX_SWAPFILES,
  pteSwpExclusive,
  SWP_HWPOISON,
  SWP_PFN_BITS,
  SWP_PTE_MARKER,
  swpOffset,
  swpOffsetPfn,
  swpType,
} from './swap.js'

// Bits of the low half, as in pte.ts.
const PRESENT = 0x001
const RW = 0x002
const USER = 0x004
const PWT = 0x008
const PCD = 0x010
const ACCESSED = 0x020
const DIRTY = 0x040
const PSE = 0x080
const GLOBAL = 0x100
const PROTNONE = 0x100
const UFFD_WP = 0x400
const FLAGS = 0xfff
const SWAP_ZEROES = 0x0f0 // a swap word has nothing in bits 4 … 7
// Bits of the high half.
const NX = 0x8000_0000
const TABLE_UNUSED = 0x7ff0_0000 // 52 … 62
const LEAF_UNUSED = 0x7bf0_0000 //  the same but for 58, which is saved-dirty

/** arch_max_swapfile_size() where L1TF is mitigated, in pages; a mapping that lost its P bit decodes above it. */
const MAX_SWAP_OFFSET = 2 ** 36

/**
 * Why `entry` may not stand in a table of `level`, or null. `frameCount`: frames of the machine; `hpagePmdNr`: base
 * pages per huge page.
 */
export function illegalEntry(level: LevelName, entry: PteWord, frameCount: number, hpagePmdNr: number): string | null {
  switch (kindOf(level, entry)) {
    case 'empty':
      return (lowHalf(entry) & (ACCESSED | DIRTY)) === 0 ? null : 'accessed or dirty set in an empty entry'
    case 'table':
      return illegalTable(level, entry, frameCount)
    case 'swap':
      return illegalSwap(level, entry, frameCount, hpagePmdNr)
    case 'leaf':
      return illegalUsable(entry) ?? illegalLeaf(level, entry, frameCount, hpagePmdNr)
    case 'protnone':
      return illegalProtnone(level, entry) ?? illegalLeaf(level, entry, frameCount, hpagePmdNr)
    case 'invalid':
      return illegalLeaf(level, entry, frameCount, hpagePmdNr)
  }
}

/** Why no CPU and no kernel code may turn `old` into `next` with one store, or null. Both words are legal. */
export function illegalChange(level: LevelName, old: PteWord, next: PteWord, hpagePmdNr: number): string | null {
  if (pteSame(old, next)) return null
  if ((lowHalf(old) & PRESENT) === 0 && onlyAddsAccessedOrDirty(old, next))
    return 'accessed or dirty set in an entry that is not present'
  const span = spanOf(level, hpagePmdNr)
  switch (kindOf(level, old)) {
    case 'empty':
      return kindOf(level, next) === 'invalid' ? 'an invalidated huge leaf where nothing was mapped' : null
    case 'table':
      return changeOfTable(level, old, next)
    case 'swap':
      return changeOfSwap(level, old, next)
    case 'leaf':
      return changeOfUsable(level, old, next) ?? changeOfFrame(level, old, next, span)
    case 'protnone':
    case 'invalid':
      return changeOfFrame(level, old, next, span)
  }
}

const NAMES: readonly LevelName[] = ['pte', 'pte', 'pmd', 'pud', 'pgd']

/** The same rules by number of the level (1 a PTE … 4 the top), as generic oracles ask for them. */
export const byNumber = {
  levelName: (level: number): string => NAMES[level] as string,
  illegalEntry: (level: number, entry: PteWord, limit: number, hpagePmdNr: number): string | null =>
    illegalEntry(NAMES[level] as LevelName, entry, limit, hpagePmdNr),
  illegalChange: (level: number, old: PteWord, next: PteWord, hpagePmdNr: number): string | null =>
    illegalChange(NAMES[level] as LevelName, old, next, hpagePmdNr),
  /** Changes that are wrong only while a CPU may be using the table; on x86-64 none is. */
  illegalInUse: (_level: number, _old: PteWord, _next: PteWord): string | null => null,
}

// ---- changes

/**
 * A table is unlinked before anything else takes its slot, at every level: CPUs cache pointers to tables, and a walker
 * that re-reads the slot must find it changed to nothing (collapse, retraction, freeing) before it finds it changed to
 * something.
 */
function changeOfTable(level: LevelName, old: PteWord, next: PteWord): string | null {
  const kind = kindOf(level, next)
  if (kind === 'empty') return null
  if (kind !== 'table') return 'a table pointer replaced by a leaf or a swap word without being cleared first'
  return pmdPfn(old, 1) === pmdPfn(next, 1) ? null : 'a table pointer replaced by another without being cleared first'
}

/** What may not happen to a leaf that CPUs may be loading into their TLBs at this moment. */
function changeOfUsable(level: LevelName, old: PteWord, next: PteWord): string | null {
  const kind = kindOf(level, next)
  if (kind === 'table') return 'a usable huge leaf replaced by a table without being invalidated first'
  if (kind === 'leaf' && pteDirty(old) && !pteDirty(next))
    return 'dirty dropped from a usable leaf: a CPU that has it in its TLB will not set it again'
  return null
}

/** A leaf keeps its frame until it is cleared, or is a migration entry (which then names the same frame). */
function changeOfFrame(level: LevelName, old: PteWord, next: PteWord, span: number): string | null {
  const kind = kindOf(level, next)
  if (kind === 'leaf' || kind === 'protnone' || kind === 'invalid')
    return pmdPfn(old, span) === pmdPfn(next, span) ? null : 'a leaf changed its frame without being cleared first'
  if (kind === 'swap' && isMigrationEntry(next) && pmdPfn(old, span) !== swpOffsetPfn(next))
    return 'a migration entry names another frame than the leaf it replaces'
  return null
}

/** A migration entry may become anything that the page's new place asks for, but not another page's migration entry. */
function changeOfSwap(level: LevelName, old: PteWord, next: PteWord): string | null {
  if (kindOf(level, next) === 'invalid') return 'an invalidated huge leaf where nothing was mapped'
  if (isMigrationEntry(old) && isMigrationEntry(next) && swpOffsetPfn(old) !== swpOffsetPfn(next))
    return 'a migration entry changed its frame'
  return null
}

/** The walker's own kind of update; it re-checks P in the same operation, so it never hits a non-present entry. */
function onlyAddsAccessedOrDirty(old: PteWord, next: PteWord): boolean {
  const changed = lowHalf(old) ^ lowHalf(next)
  return highHalf(old) === highHalf(next) && (changed & ~(ACCESSED | DIRTY)) === 0 && (lowHalf(next) & changed) !== 0
}

// ---- entries

function illegalTable(level: LevelName, entry: PteWord, frameCount: number): string | null {
  const low = lowHalf(entry)
  const high = highHalf(entry)
  if ((low & PSE) !== 0)
    return level === 'pgd'
      ? 'PSE set in a pgd, where it is reserved'
      : 'PSE set in a pud, and nothing maps so much at once'
  if ((high & NX) !== 0) return 'NX set in a table entry'
  if ((low & RW) === 0) return 'a table entry without RW'
  if ((low & USER) === 0) return 'a table entry without USER'
  if ((low & FLAGS & ~ACCESSED) !== (0x67 & ~ACCESSED) || (high & TABLE_UNUSED) !== 0)
    return 'flags of a table entry are not 0x67'
  return pmdPfn(entry, 1) < frameCount ? null : 'a table beyond the end of memory'
}

function illegalUsable(entry: PteWord): string | null {
  const low = lowHalf(entry)
  if ((low & USER) === 0) return 'a usable leaf without USER'
  return (low & GLOBAL) === 0 ? null : 'a usable leaf that is global'
}

function illegalProtnone(level: LevelName, entry: PteWord): string | null {
  const low = lowHalf(entry)
  const high = highHalf(entry)
  if (level === 'pmd' && (low & PSE) === 0) return 'PROTNONE without PSE in a pmd'
  return (low & (RW | USER)) === 0 && (high & NX) === 0 ? null : 'a PROTNONE leaf that keeps permissions'
}

/** What holds for every leaf, usable or not. */
function illegalLeaf(level: LevelName, entry: PteWord, frameCount: number, hpagePmdNr: number): string | null {
  const low = lowHalf(entry)
  const high = highHalf(entry)
  if (level === 'pte' && (low & PSE) !== 0) return 'PSE set in a pte'
  if ((high & LEAF_UNUSED) !== 0) return 'reserved or unused high bits set in a leaf'
  if ((low & (PWT | PCD)) !== 0) return 'a cache mode that no mapping asks for'
  if ((low & (RW | DIRTY)) === DIRTY) return 'dirty and not writable: a shadow stack page, which no vma asks for'
  if ((low & RW) !== 0 && (low & UFFD_WP) !== 0) return 'writable and write-protected for userfaultfd'
  const span = spanOf(level, hpagePmdNr)
  if (((low >>> 12) & (span - 1)) !== 0) return 'a huge leaf that is not aligned to its size'
  return pmdPfn(entry, span) + span <= frameCount ? null : 'a leaf beyond the end of memory'
}

function illegalSwap(level: LevelName, entry: PteWord, frameCount: number, hpagePmdNr: number): string | null {
  if (level === 'pgd' || level === 'pud') return 'neither empty nor present at a level that has no swap words'
  if ((lowHalf(entry) & SWAP_ZEROES) !== 0) return 'bits set in a swap word that belong to present entries'
  const type = swpType(entry)
  if (type < MAX_SWAPFILES) return illegalSlot(level, entry)
  if (pteSwpExclusive(entry)) return 'exclusive set in a word that names no swap slot'
  if (isMigrationEntry(entry)) return illegalMigration(entry, frameCount, spanOf(level, hpagePmdNr))
  if (level === 'pmd') return 'a poison or marker or device entry in a pmd'
  if (type === SWP_HWPOISON) return swpOffset(entry) < frameCount ? null : 'a poisoned frame beyond the end of memory'
  if (type !== SWP_PTE_MARKER) return 'a device-private entry, of which there are none'
  return swpOffset(entry) >= 1 && swpOffset(entry) <= 7 ? null : 'a marker that marks nothing known'
}

function illegalSlot(level: LevelName, entry: PteWord): string | null {
  if (level === 'pmd') return 'a swap slot in a pmd'
  return swpOffset(entry) < MAX_SWAP_OFFSET
    ? null
    : 'a swap slot beyond any swap area: a leaf that lost its present bit?'
}

function illegalMigration(entry: PteWord, frameCount: number, span: number): string | null {
  if (swpOffset(entry) >= 2 ** (SWP_PFN_BITS + 2)) return 'a migration entry with bits above young and dirty'
  const pfn = swpOffsetPfn(entry)
  if (pfn % span !== 0) return 'a huge migration entry that is not aligned to its size'
  return pfn + span <= frameCount ? null : 'a migration entry beyond the end of memory'
}

// ---- parts

/** 'protnone' and 'invalid' are leaves that no CPU can load: PROT_NONE or a NUMA hint, and pmdp_invalidate(). */
type Kind = 'empty' | 'table' | 'leaf' | 'protnone' | 'invalid' | 'swap'

function kindOf(level: LevelName, entry: PteWord): Kind {
  const low = lowHalf(entry)
  const high = highHalf(entry)
  if ((low & PRESENT) !== 0) return level === 'pte' || (level === 'pmd' && (low & PSE) !== 0) ? 'leaf' : 'table'
  if ((low & ~(ACCESSED | DIRTY)) === 0 && high === 0) return 'empty'
  if (level === 'pgd' || level === 'pud') return 'swap'
  if ((low & PROTNONE) !== 0) return 'protnone'
  return level === 'pmd' && (low & PSE) !== 0 ? 'invalid' : 'swap'
}

/** Base pages that a leaf of `level` maps. */
function spanOf(level: LevelName, hpagePmdNr: number): number {
  return level === 'pmd' ? hpagePmdNr : 1
}
