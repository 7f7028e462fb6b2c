/**
 * powerpc book3s64 radix page-table entries, as numbers (in memory they are big-endian, which nothing here depends on).
 *
 * Source: Power ISA v3.1B book III, "Radix Tree Translation"; Linux v7.0
 * arch/powerpc/include/asm/book3s/64/{pgtable,radix}.h. Pages are of 64 KiB. A table lies on 256 bytes, which is what a
 * PTE table has; many share a page (isa/powerpc/fragments.ts). The number of a table counts in units of 256 bytes and
 * is in the entry.
 *
 * Present and leaf are at the top of the word; INVALID says "still mapped, the hardware must not use it" while an entry
 * is changed. Hardware keeps R and C (accessed, dirty). A small geometry has smaller huge pages, and nothing else
 * changes: no bit of the word is in the way of the frame number.
 *
 * Left out: the hash MMU, memory keys, attributes of I/O memory.
 */
import { fail } from '../../base/assert.js'
import type { Pfn, PteWord, Table } from '../../base/units.js'
import type { UpperLevel } from '../../arch/level.js'

export const PAGE_PRESENT = 1n << 63n
export const PAGE_PTE = 1n << 62n //      a leaf, at every level
export const PAGE_INVALID = 1n << 61n //  not PRESENT: mapped, and being changed
export const PAGE_SPECIAL = 0x400n
export const PAGE_SOFT_DIRTY = 0x200n
export const PAGE_ACCESSED = 0x100n //    R
export const PAGE_DIRTY = 0x080n //       C
export const PAGE_READ = 0x4n
export const PAGE_WRITE = 0x2n
export const PAGE_EXEC = 0x1n

const BASE = PAGE_PRESENT | PAGE_ACCESSED
// prettier-ignore
const protectionMap = [ // by SHARED EXEC WRITE READ
  0n, 4n, 4n, 4n, 1n, 5n, 5n, 5n,
  0n, 4n, 6n, 6n, 1n, 5n, 7n, 7n,
] as const

/** Protection bits for a vma with `vmFlags`; only VM_READ, VM_WRITE, VM_EXEC and VM_SHARED count. */
export const vmGetPageProt = (vmFlags: number): bigint => BASE | protectionMap[vmFlags & 15]!

export const PTE_EMPTY = 0n as PteWord
export const PMD_EMPTY = 0n as PteWord
export const emptyEntry = (_level: number): PteWord => PTE_EMPTY

const asUintN = BigInt.asUintN
const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer)
const has = (value: bigint, bit: bigint): boolean => asUintN(64, value & bit) !== 0n
const clear = (value: bigint, bits: bigint): PteWord => asUintN(64, value & asUintN(64, ~bits)) as PteWord
const set = (value: bigint, bits: bigint): PteWord => asUintN(64, value | bits) as PteWord

const RPN = 0x001f_ffff_ffff_0000n
const PAGE_SHIFT = 16n
const RIGHTS = PAGE_READ | PAGE_WRITE | PAGE_EXEC

// ---- pte

export function pfnPte(pfn: Pfn, prot: bigint): PteWord {
  if (!(pfn >= 0 && pfn < 2 ** 37)) fail(`pfn ${pfn} is not in 0..2^37-1`)
  return asUintN(64, (BigInt(pfn) << PAGE_SHIFT) | prot | PAGE_PTE) as PteWord
}

export function ptePfn(pte: PteWord): Pfn {
  word[0] = asUintN(64, pte & RPN)
  return (half[1]! * 0x10000 + (half[0]! >>> 16)) as Pfn
}

const KEPT = RPN | PAGE_DIRTY | PAGE_ACCESSED | PAGE_PTE | PAGE_SOFT_DIRTY | PAGE_SPECIAL

/** Keeps frame, R, C, soft-dirty, special; the rest from `prot`. */
export const pteModify = (pte: PteWord, prot: bigint): PteWord => set(asUintN(64, pte & KEPT), prot)

/** Empty. R and C do not count. */
export const pteNone = (pte: PteWord): boolean => clear(pte, PAGE_ACCESSED | PAGE_DIRTY) === 0n
export const ptePresent = (pte: PteWord): boolean =>
  has(pte, PAGE_PTE) && asUintN(64, pte & (PAGE_PRESENT | PAGE_INVALID)) !== 0n
export const pteProtnone = (pte: PteWord): boolean =>
  asUintN(64, pte & (PAGE_PRESENT | PAGE_PTE | RIGHTS)) === (PAGE_PRESENT | PAGE_PTE)
export const pteWrite = (pte: PteWord): boolean => has(pte, PAGE_WRITE)
export const pteDirty = (pte: PteWord): boolean => has(pte, PAGE_DIRTY)
export const pteYoung = (pte: PteWord): boolean => has(pte, PAGE_ACCESSED)
export const pteSpecial = (pte: PteWord): boolean => has(pte, PAGE_SPECIAL)
export const pteSame = (a: PteWord, b: PteWord): boolean => asUintN(64, a ^ b) === 0n
export const pteAccessible = (pte: PteWord, _flushPending: boolean): boolean => ptePresent(pte)

/** Not of an entry that is being changed: 33258a1db165, v5.3. */
export const pteAccessPermitted = (pte: PteWord, write: boolean): boolean =>
  has(pte, PAGE_PRESENT) && has(pte, PAGE_READ) && (!write || has(pte, PAGE_WRITE))

export const pteMkyoung = (pte: PteWord): PteWord => set(pte, PAGE_ACCESSED)
export const pteMkold = (pte: PteWord): PteWord => clear(pte, PAGE_ACCESSED)
export const pteMkdirty = (pte: PteWord): PteWord => set(pte, PAGE_DIRTY | PAGE_SOFT_DIRTY)
export const pteMkclean = (pte: PteWord): PteWord => clear(pte, PAGE_DIRTY)
export const pteMkwrite = (pte: PteWord): PteWord => set(pte, PAGE_READ | PAGE_WRITE)
export const pteWrprotect = (pte: PteWord): PteWord => clear(pte, PAGE_WRITE)
export const pteMkspecial = (pte: PteWord): PteWord => set(pte, PAGE_SPECIAL)

/** May a TLB hold what `pte` no longer grants? */
export function pteNeedsFlush(old: PteWord, pte: PteWord): boolean {
  return has(old, PAGE_PRESENT) && has(clear(old, pte), RIGHTS | PAGE_PRESENT | PAGE_DIRTY | RPN)
}

// ---- pmd: the same bits

export function pfnPmd(pfn: Pfn, prot: bigint, hpagePmdNr: number): PteWord {
  if (pfn % hpagePmdNr !== 0) fail(`pfnPmd: no huge page of ${hpagePmdNr} starts at pfn ${pfn}`)
  return pfnPte(pfn, prot)
}

export const pmdPfn = (pmd: PteWord, _hpagePmdNr: number): Pfn => ptePfn(pmd)
export const pmdModify = (pmd: PteWord, prot: bigint, _hpagePmdNr: number): PteWord => pteModify(pmd, prot)
/** What pmdp_invalidate() leaves: not usable for the hardware, present for software. */
export const pmdMkinvalid = (pmd: PteWord, _hpagePmdNr: number): PteWord => set(clear(pmd, PAGE_PRESENT), PAGE_INVALID)

export const pmdNone = (pmd: PteWord): boolean => asUintN(64, pmd) === 0n
export const pmdPresent = (pmd: PteWord): boolean => has(pmd, PAGE_PRESENT | PAGE_INVALID)
export const pmdLeaf = (pmd: PteWord): boolean => has(pmd, PAGE_PTE) && pmdPresent(pmd)
export const pmdTransHuge = pmdLeaf
export const pmdBad = (pmd: PteWord): boolean => has(pmd, 0x6000_0000_0000_00e0n)
export const pmdProtnone = pteProtnone
export const pmdWrite = pteWrite
export const pmdDirty = pteDirty
export const pmdYoung = pteYoung
export const pmdSame = pteSame
export const pmdAccessPermitted = pteAccessPermitted
/** Nothing: pfnPmd() has made a leaf. */
export const pmdMkhuge = (pmd: PteWord): PteWord => pmd
export const pmdMkyoung = pteMkyoung
export const pmdMkold = pteMkold
export const pmdMkclean = pteMkclean
export const pmdMkdirty = pteMkdirty
export const pmdMkwrite = pteMkwrite
export const pmdWrprotect = pteWrprotect

// ---- entries that point to tables

/** log2 of the entries of the table below: 5 of a page table, 9 of the others. */
const nextIndexSize = (level: number): bigint => (level === 2 ? 5n : 9n)

/** Entry of a table of `level` that points to table `nr`, at nr × 256. */
export const tableEntry = (level: UpperLevel, nr: Table): PteWord =>
  asUintN(64, PAGE_PRESENT | (BigInt(nr) << 8n) | nextIndexSize(level)) as PteWord

export function entryTable(entry: PteWord): Table {
  word[0] = asUintN(64, entry & 0x3fff_ffff_ffff_ff00n)
  return (half[1]! * 0x100_0000 + (half[0]! >>> 8)) as Table
}
