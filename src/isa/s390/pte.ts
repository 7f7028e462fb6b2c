/**
 * s390 page-table, segment-table and region-table entries.
 *
 * Source: z/Architecture Principles of Operation, "Dynamic Address Translation"; Linux v7.0
 * arch/s390/include/asm/pgtable.h. Masks are values of the 64-bit word; the manual counts bits from the left (its bit n
 * is 1 << (63 - n)).
 *
 * What differs from x86-64, and matters to whoever changes entries:
 *
 * - An empty entry is not zero: it is the invalid bit of its level, and above the PTE the table's type (TT).
 * - The hardware keeps no accessed and dirty bits. An old entry is an invalid one and a clean entry a protected one, so
 *   that the first access faults; READ, WRITE, YOUNG and DIRTY are software's.
 * - A PTE and a huge segment entry keep the same facts at different places, and so do their swap words (swap.ts).
 * - Every entry above the PTE says what kind of table it is in. That is how levels fold at run time.
 *
 * A small geometry has a smaller huge page, whose frame number would run into the software bits: a huge entry holds
 * `pfn / hpagePmdNr` in the place of the 1 MiB frame address. With 256 pages the words are the real ones, bit for bit.
 * A table entry holds the number of a table of 2 KiB, which is its address.
 *
 * Left out: storage keys, guest state (pgste), 2 GiB leaves in a region table, uffd (s390 has none).
 */
import { fail } from '../../base/assert.js'
import type { Pfn, PteWord, Table } from '../../base/units.js'
import type { UpperLevel } from '../../arch/level.js'

//                                  in a PTE
export const PAGE_LARGE = 0x800n //    software: this PTE value is a huge entry; in memory a valid PTE must not have it
export const PAGE_INVALID = 0x400n //  no translation: the access faults
export const PAGE_PROTECT = 0x200n //  a store faults
export const PAGE_NOEXEC = 0x100n //   an instruction fetch faults
export const PAGE_SPECIAL = 0x040n
export const PAGE_WRITE = 0x020n //    software: the mapping may be written
export const PAGE_READ = 0x010n //     software: the mapping may be read; without it PROT_NONE
export const PAGE_DIRTY = 0x008n
export const PAGE_YOUNG = 0x004n
export const PAGE_SOFT_DIRTY = 0x002n
export const PAGE_PRESENT = 0x001n

//                                     in a segment-table entry
export const SEGMENT_WRITE = 0x8000n // software bits of a huge entry
export const SEGMENT_READ = 0x4000n
export const SEGMENT_DIRTY = 0x2000n
export const SEGMENT_YOUNG = 0x1000n
export const SEGMENT_LARGE = 0x400n // maps 1 MiB
export const SEGMENT_PROTECT = 0x200n
export const SEGMENT_NOEXEC = 0x100n
export const SEGMENT_INVALID = 0x20n
export const SEGMENT_COMMON = 0x10n // with INVALID: a swap word
export const SEGMENT_SOFT_DIRTY = 0x2n
export const SEGMENT_PRESENT = 0x1n

/** Table type, in every entry above the PTE. */
export const TYPE_MASK = 0x0cn
export const REGION_INVALID = 0x20n

export const PTE_EMPTY = PAGE_INVALID as PteWord
export const PMD_EMPTY = SEGMENT_INVALID as PteWord

const NONE = 0x601n
const RO = 0x711n
const RX = 0x611n
const RW = 0x731n
const RWX = 0x631n
// prettier-ignore
const protectionMap = [ // by SHARED EXEC WRITE READ
  NONE, RO, RO, RO, RX, RX, RX, RX,
  NONE, RO, RW, RW, RX, RX, RWX, RWX,
] as const

/** Protection of a PTE for a vma with `vmFlags`; only VM_READ, VM_WRITE, VM_EXEC and VM_SHARED count. */
export function vmGetPageProt(vmFlags: number): bigint {
  return protectionMap[vmFlags & 15]!
}

const asUintN = BigInt.asUintN
const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer)
const has = (value: bigint, bit: bigint): boolean => asUintN(64, value & bit) !== 0n
const clear = (value: bigint, bits: bigint): bigint => asUintN(64, value & asUintN(64, ~bits))

const PFN_MASK = 0xffff_ffff_ffff_f000n
const PFN_LIMIT = 2 ** 40

// ---- pte

/** Entry for frame `pfn` with protection `prot`: young, and valid if it may be read. */
export function pfnPte(pfn: Pfn, prot: bigint): PteWord {
  if (!(pfn >= 0 && pfn < PFN_LIMIT)) fail(`pfn ${pfn} is not in 0..2^40-1`)
  if (has(prot, PFN_MASK)) fail(`pfnPte: prot 0x${prot.toString(16)} covers the pfn`)
  return pteMkyoung(asUintN(64, (BigInt(pfn) << 12n) | prot) as PteWord)
}

export function ptePfn(pte: PteWord): Pfn {
  word[0] = pte
  return (half[1]! * 0x100000 + (half[0]! >>> 12)) as Pfn
}

/** Changes the protection; frame, young, dirty, soft-dirty and special stay. */
export function pteModify(pte: PteWord, prot: bigint): PteWord {
  let next = asUintN(64, pte & (PFN_MASK | PAGE_SPECIAL | PAGE_DIRTY | PAGE_YOUNG | PAGE_SOFT_DIRTY)) | prot
  if (has(next, PAGE_YOUNG) && has(next, PAGE_READ)) next = clear(next, PAGE_INVALID)
  if (has(next, PAGE_DIRTY) && has(next, PAGE_WRITE)) next = clear(next, PAGE_PROTECT)
  return next as PteWord
}

export const pteNone = (pte: PteWord): boolean => pteSame(pte, PTE_EMPTY)
export const ptePresent = (pte: PteWord): boolean => has(pte, PAGE_PRESENT)
export const pteProtnone = (pte: PteWord): boolean => asUintN(64, pte & 0x11n) === 0x1n
export const pteWrite = (pte: PteWord): boolean => has(pte, PAGE_WRITE)
export const pteDirty = (pte: PteWord): boolean => has(pte, PAGE_DIRTY)
export const pteYoung = (pte: PteWord): boolean => has(pte, PAGE_YOUNG)
export const pteSpecial = (pte: PteWord): boolean => has(pte, PAGE_SPECIAL)
export const pteSame = (a: PteWord, b: PteWord): boolean => asUintN(64, a ^ b) === 0n
/** A CPU may hold a translation of this entry: it is not invalid. */
export const pteAccessible = (pte: PteWord, _flushPending: boolean): boolean => !has(pte, PAGE_INVALID)
/** What gup_fast asks of a PTE. */
export const pteAccessPermitted = (pte: PteWord, write: boolean): boolean =>
  asUintN(64, pte & (PAGE_PRESENT | PAGE_READ)) === 0x11n && (!write || has(pte, PAGE_WRITE))

export const pteMkyoung = (pte: PteWord): PteWord =>
  asUintN(64, (has(pte, PAGE_READ) ? clear(pte, PAGE_INVALID) : pte) | PAGE_YOUNG) as PteWord
export const pteMkold = (pte: PteWord): PteWord => asUintN(64, clear(pte, PAGE_YOUNG) | PAGE_INVALID) as PteWord
export const pteMkdirty = (pte: PteWord): PteWord =>
  asUintN(64, (has(pte, PAGE_WRITE) ? clear(pte, PAGE_PROTECT) : pte) | PAGE_DIRTY | PAGE_SOFT_DIRTY) as PteWord
export const pteMkclean = (pte: PteWord): PteWord => asUintN(64, clear(pte, PAGE_DIRTY) | PAGE_PROTECT) as PteWord
export const pteMkwrite = (pte: PteWord): PteWord =>
  asUintN(64, (has(pte, PAGE_DIRTY) ? clear(pte, PAGE_PROTECT) : pte) | PAGE_WRITE) as PteWord
export const pteWrprotect = (pte: PteWord): PteWord => asUintN(64, clear(pte, PAGE_WRITE) | PAGE_PROTECT) as PteWord
export const pteMkspecial = (pte: PteWord): PteWord => asUintN(64, pte | PAGE_SPECIAL) as PteWord

/** May a TLB hold what `pte` no longer grants? Whoever made the entry invalid has purged, or owes the whole mm. */
export const pteNeedsFlush = (old: PteWord, _pte: PteWord): boolean => !has(old, PAGE_INVALID)

// ---- pmd: a huge segment entry

/** Protections of a huge entry by that of a PTE: exact comparison, and whatever is none of them is RWX. */
function segmentProt(prot: bigint): bigint {
  if (prot === NONE) return 0x221n
  if (prot === RO) return 0x4301n
  if (prot === RX) return 0x4201n
  return prot === RW ? 0xc101n : 0xc001n
}

const SEGMENT_FRAME = 0xffff_ffff_fff0_0000n

/** Segment entry before pmdMkhuge(), for a frame that starts a huge page. */
export function pfnPmd(pfn: Pfn, prot: bigint, hpagePmdNr: number): PteWord {
  if (pfn % hpagePmdNr !== 0) fail(`pfnPmd: no huge page of ${hpagePmdNr} starts at pfn ${pfn}`)
  return asUintN(64, (BigInt(pfn / hpagePmdNr) << 20n) | segmentProt(prot)) as PteWord
}

export function pmdPfn(pmd: PteWord, hpagePmdNr: number): Pfn {
  word[0] = pmd
  return ((half[1]! * 0x1000 + (half[0]! >>> 20)) * hpagePmdNr) as Pfn
}

export function pmdModify(pmd: PteWord, prot: bigint, _hpagePmdNr: number): PteWord {
  const kept = SEGMENT_FRAME | SEGMENT_DIRTY | SEGMENT_YOUNG | SEGMENT_LARGE | SEGMENT_SOFT_DIRTY
  let next = asUintN(64, asUintN(64, pmd & kept) | segmentProt(prot))
  if (!has(next, SEGMENT_DIRTY)) next = asUintN(64, next | SEGMENT_PROTECT)
  if (!has(next, SEGMENT_YOUNG)) next = asUintN(64, next | SEGMENT_INVALID)
  return next as PteWord
}

/** What pmdp_invalidate() stores: unusable for the hardware, still present for software. */
export const pmdMkinvalid = (pmd: PteWord, _hpagePmdNr: number): PteWord =>
  asUintN(64, pmd | SEGMENT_INVALID) as PteWord

export const pmdNone = (pmd: PteWord): boolean => pteSame(pmd, PMD_EMPTY)
export const pmdPresent = (pmd: PteWord): boolean => has(pmd, SEGMENT_PRESENT)
export const pmdLeaf = (pmd: PteWord): boolean => asUintN(64, pmd & 0x401n) === 0x401n
export const pmdTransHuge = pmdLeaf
export function pmdBad(pmd: PteWord): boolean {
  return has(pmd, TYPE_MASK) || pmdLeaf(pmd) || has(pmd, 0x1c0n)
}
export const pmdProtnone = (pmd: PteWord): boolean => pmdLeaf(pmd) && !has(pmd, SEGMENT_READ)
export const pmdWrite = (pmd: PteWord): boolean => has(pmd, SEGMENT_WRITE)
export const pmdDirty = (pmd: PteWord): boolean => has(pmd, SEGMENT_DIRTY)
export const pmdYoung = (pmd: PteWord): boolean => has(pmd, SEGMENT_YOUNG)
export const pmdSame = pteSame
/**
 * What gup_fast asks of a huge entry: not one that pmdp_invalidate() has made invalid. Upstream (v7.0) asks only
 * whether it is present, which it is; then a page can be pinned whose exclusive flag is being taken away. powerpc had
 * the same and asks since 33258a1db165 (v5.3). See bug/s390.ts.
 */
export const pmdAccessPermitted = (pmd: PteWord, write: boolean): boolean =>
  asUintN(64, pmd & (SEGMENT_READ | SEGMENT_INVALID)) === SEGMENT_READ && (!write || has(pmd, SEGMENT_WRITE))

export const pmdMkhuge = (pmd: PteWord): PteWord =>
  asUintN(64, pmd | SEGMENT_LARGE | SEGMENT_YOUNG | SEGMENT_PROTECT) as PteWord
export const pmdMkyoung = (pmd: PteWord): PteWord =>
  asUintN(64, (has(pmd, SEGMENT_READ) ? clear(pmd, SEGMENT_INVALID) : pmd) | SEGMENT_YOUNG) as PteWord
export const pmdMkold = (pmd: PteWord): PteWord => asUintN(64, clear(pmd, SEGMENT_YOUNG) | SEGMENT_INVALID) as PteWord
export const pmdMkclean = (pmd: PteWord): PteWord => asUintN(64, clear(pmd, SEGMENT_DIRTY) | SEGMENT_PROTECT) as PteWord
export const pmdMkdirty = (pmd: PteWord): PteWord =>
  asUintN(
    64,
    (has(pmd, SEGMENT_WRITE) ? clear(pmd, SEGMENT_PROTECT) : pmd) | SEGMENT_DIRTY | SEGMENT_SOFT_DIRTY,
  ) as PteWord
export const pmdMkwrite = (pmd: PteWord): PteWord =>
  asUintN(64, (has(pmd, SEGMENT_DIRTY) ? clear(pmd, SEGMENT_PROTECT) : pmd) | SEGMENT_WRITE) as PteWord
export const pmdWrprotect = (pmd: PteWord): PteWord =>
  asUintN(64, clear(pmd, SEGMENT_WRITE) | SEGMENT_PROTECT) as PteWord

// ---- entries that point to tables

/** Type and length bits of an entry in a table of `level`: of a segment table, region-third, -second, -first. */
const TABLE_BITS: readonly bigint[] = [0n, 0n, 0x01n, 0x07n, 0x0bn, 0x0fn]
const EMPTY: readonly bigint[] = [0n, PTE_EMPTY, PMD_EMPTY, 0x24n, 0x28n, 0x2cn]

/** What an empty entry of a table of `level` is: 1 a PTE … 5 a region-first entry. */
export const emptyEntry = (level: number): PteWord => EMPTY[level] as PteWord

/** Entry of a table of `level` that points to table `nr`. */
export const tableEntry = (level: UpperLevel, nr: Table): PteWord =>
  asUintN(64, (BigInt(nr) << 11n) | (TABLE_BITS[level] as bigint)) as PteWord

/** Number of the table that a present table entry points to. */
export function entryTable(entry: PteWord): Table {
  word[0] = entry
  return (half[1]! * 0x200000 + (half[0]! >>> 11)) as Table
}

/**
 * Level of the table that this entry above the PTE says it is in: 2 for a segment table … 5 for a region-first table.
 */
export function tableType(entry: PteWord): number {
  word[0] = entry
  return ((half[0]! & 0xc) >>> 2) + 2
}

/** Nothing hangs here: of an entry in a region table. */
export const upperNone = (entry: PteWord): boolean => has(entry, REGION_INVALID)
