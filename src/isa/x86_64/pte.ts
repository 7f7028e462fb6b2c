/**
 * x86-64 page-table entries of every level: one 64-bit word that is empty, points to a table, maps memory, or keeps
 * what used to be mapped (swap.ts).
 *
 * Source: Intel SDM vol. 3A, "Paging", formats of paging-structure entries; Linux v7.0
 * arch/x86/include/asm/{pgtable_types,pgtable,pgtable-invert}.h and arch/x86/mm/pgprot.c. Names are the kernel's
 * (pte_mkdirty() is pteMkdirty()). Pure: words in, words or fields out; loading and storing is machine/atomics.
 *
 * Configured: soft-dirty, shadow stacks as far as keeping Write=0,Dirty=1 unused needs them, L1TF pfn inversion.
 * Left out: shadow-stack vmas, protection keys, cache modes, memory encryption, kernel mappings, 5 levels, PTI. None of
 * them changes when an entry is written or which states it passes through, which is where races live.
 *
 * A small geometry has a smaller huge page, so the pfn field of a huge entry starts lower. The functions that touch
 * that field take `hpagePmdNr`, base pages per huge page; with 512 the words are the real ones, bit for bit.
 *
 * Written for V8: a result is `asUintN(64, …)` of one operation on masks that are literals or unexported constants of
 * this file, which optimises to a machine word (2 ns; 20 without the wrapper, 4 with exported masks). Fields
 * leave the word through a Uint32Array over a BigUint64Array, since Number(bigint) costs 14 ns.
 */
import { assert, fail } from '../../base/assert.js'
import type { Pfn, PteWord, Table } from '../../base/units.js'
import type { UpperLevel } from '../../arch/level.js'

//                                     in a leaf                                   in a table entry
export const PAGE_PRESENT = 1n << 0n //  clear: the walker faults, other bits are ours   same
export const PAGE_RW = 1n << 1n //       clear: a store faults                           same, for everything below
export const PAGE_USER = 1n << 2n //     clear: a user-mode access faults                same, for everything below
export const PAGE_PWT = 1n << 3n //      cache mode                                      cache mode of the table
export const PAGE_PCD = 1n << 4n //      cache mode                                      cache mode of the table
export const PAGE_ACCESSED = 1n << 5n // set by the walker, cleared by reclaim ("young") set by the walker
export const PAGE_DIRTY = 1n << 6n //    set by the walker on the first store            ignored; Linux sets it
export const PAGE_PSE = 1n << 7n //      pud, pmd: this is a leaf; pte: cache mode (PAT) must be clear
export const PAGE_GLOBAL = 1n << 8n //   present: survives a switch of address space     ignored
export const PAGE_PROTNONE = 1n << 8n // not present: mapped, but for nobody (PROT_NONE, NUMA hint)
export const PAGE_SPECIAL = 1n << 9n //  software: no struct page semantics (zero page)  ignored
export const PAGE_UFFD_WP = 1n << 10n // software: userfaultfd write protection          ignored
export const PAGE_SOFT_DIRTY = 1n << 11n // software: written since the last clear_refs  ignored
export const PAGE_SAVED_DIRTY = 1n << 58n // software: dirty of an entry that is not writable
export const PAGE_NX = 1n << 63n //      set: an instruction fetch faults                same, for everything below
/** Bits 12 … 51: frame of a base page or of the next table. */
export const PTE_PFN_MASK = 0xf_ffff_ffff_f000n
/** Flags of every entry that points to a table: present, writable, user, accessed, dirty. */
export const PAGE_TABLE = 0x67n

export const PAGE_NONE = PAGE_PROTNONE | PAGE_ACCESSED
export const PAGE_READONLY_EXEC = PAGE_PRESENT | PAGE_USER | PAGE_ACCESSED
export const PAGE_READONLY = PAGE_READONLY_EXEC | PAGE_NX
export const PAGE_SHARED_EXEC = PAGE_READONLY_EXEC | PAGE_RW
export const PAGE_SHARED = PAGE_SHARED_EXEC | PAGE_NX

export const VM_READ = 1
export const VM_WRITE = 2
export const VM_EXEC = 4
export const VM_SHARED = 8

// prettier-ignore
const protectionMap = [ // by SHARED EXEC WRITE READ; a private writable mapping starts read-only, for copy-on-write
  PAGE_NONE, PAGE_READONLY,      PAGE_READONLY,      PAGE_READONLY,
  PAGE_READONLY_EXEC, PAGE_READONLY_EXEC, PAGE_READONLY_EXEC, PAGE_READONLY_EXEC,
  PAGE_NONE, PAGE_READONLY,      PAGE_SHARED,        PAGE_SHARED,
  PAGE_READONLY_EXEC, PAGE_READONLY_EXEC, PAGE_SHARED_EXEC,   PAGE_SHARED_EXEC,
] as const

/** Protection bits for a vma with `vmFlags`; only VM_READ, VM_WRITE, VM_EXEC and VM_SHARED count. */
export function vmGetPageProt(vmFlags: number): bigint {
  return protectionMap[vmFlags & 15]!
}

/** What an empty entry of `level` is. */
export const emptyEntry = (_level: number): PteWord => 0n as PteWord
export const PTE_EMPTY = 0n as PteWord
export const PMD_EMPTY = 0n as PteWord

const asUintN = BigInt.asUintN
const word = new BigUint64Array(1) // scratch: written and read within one function
const half = new Uint32Array(word.buffer) // the same word: low half, high half
word[0] = 1n
assert(half[0] === 1, 'page-table words are taken apart on little-endian hosts only')

const PFN_LIMIT = 2 ** 40
const ALL = 0xffff_ffff_ffff_ffffn
const FIELD = PTE_PFN_MASK
const NOT_FIELD = asUintN(64, ~FIELD)
const NOT_RW = asUintN(64, ~PAGE_RW)
const NOT_ACCESSED = asUintN(64, ~PAGE_ACCESSED)
const NOT_DIRTY = asUintN(64, ~PAGE_DIRTY)
const NOT_RW_DIRTY = asUintN(64, ~(PAGE_RW | PAGE_DIRTY))
const DIRTY_BITS = PAGE_DIRTY | PAGE_SAVED_DIRTY
const NOT_DIRTY_BITS = asUintN(64, ~DIRTY_BITS)
const SAVED = PAGE_SAVED_DIRTY
const NOT_SAVED = asUintN(64, ~SAVED)
const SAVED_SOFT = PAGE_SAVED_DIRTY | PAGE_SOFT_DIRTY
const NOT_PRESENT_PROTNONE = asUintN(64, ~(PAGE_PRESENT | PAGE_PROTNONE))
/** What a change of protection keeps. Bit 7 is PAT in a pte and PSE in a pmd, and kept in both. */
const CHG =
  FIELD | DIRTY_BITS | PAGE_PCD | PAGE_PWT | PAGE_SPECIAL | PAGE_ACCESSED | PAGE_SOFT_DIRTY | PAGE_UFFD_WP | PAGE_PSE
const NOT_CHG = asUintN(64, ~CHG)

// ---- pte: build and take apart

/**
 * Entry for frame `pfn` (0 ≤ pfn < 2^40) with flag bits `prot`. Without PAGE_PRESENT the frame is stored inverted, so
 * that a CPU with the L1TF flaw speculates into addresses where no memory is.
 */
export function pfnPte(pfn: Pfn, prot: bigint): PteWord {
  const field = pfnField(pfn)
  if (asUintN(64, prot & FIELD) !== 0n) fail(`pfnPte: prot 0x${prot.toString(16)} covers the pfn`)
  if (needsInvert(prot)) return asUintN(64, asUintN(64, field ^ FIELD) | prot) as PteWord
  return asUintN(64, field | prot) as PteWord
}

/** Frame of a leaf or of the table that a pte-sized field points to; of a swap word, nothing sensible. */
export function ptePfn(pte: PteWord): Pfn {
  word[0] = pte
  let low = half[0]!
  let high = half[1]!
  if ((low & 1) === 0 && (low | high) !== 0) {
    low = ~low
    high = ~high
  }
  return ((high & 0xfffff) * 0x100000 + (low >>> 12)) as Pfn
}

/** Changes the protection to `prot`; frame, young, dirty, soft-dirty, special and cache mode stay. */
export function pteModify(pte: PteWord, prot: bigint): PteWord {
  return settleDirty(pte, withProtection(pte, asUintN(64, pte & CHG), prot, FIELD))
}

// ---- pte: questions

/** Empty. Accessed and dirty do not count: an erratum of some CPUs sets them in entries that are not present. */
export function pteNone(pte: PteWord): boolean {
  word[0] = pte
  return ((half[0]! & ~0x60) | half[1]!) === 0
}

/** Maps memory, if perhaps for nobody (PROT_NONE, NUMA hint). */
export const ptePresent = (pte: PteWord): boolean => asUintN(64, pte & 0x101n) !== 0n
export const pteProtnone = (pte: PteWord): boolean => asUintN(64, pte & 0x101n) === 0x100n
/** Writable; Write=0,Dirty=1 is a shadow stack's page, which its owner may write. */
export const pteWrite = (pte: PteWord): boolean => asUintN(64, pte & 0x2n) !== 0n || asUintN(64, pte & 0x42n) === 0x40n
export const pteDirty = (pte: PteWord): boolean => asUintN(64, pte & DIRTY_BITS) !== 0n
export const pteYoung = (pte: PteWord): boolean => asUintN(64, pte & 0x20n) !== 0n
export const pteSpecial = (pte: PteWord): boolean => asUintN(64, pte & 0x200n) !== 0n
/** Two reads of one entry gave the same word. (`===` on bigints is five times slower.) */
export const pteSame = (a: PteWord, b: PteWord): boolean => asUintN(64, a ^ b) === 0n

/** A CPU may hold a translation of this entry in its TLB. `flushPending`: a change to protnone is not flushed yet. */
export const pteAccessible = (pte: PteWord, flushPending: boolean): boolean =>
  asUintN(64, pte & 0x1n) !== 0n || (flushPending && asUintN(64, pte & 0x100n) !== 0n)

/** User mode may read (or, with `write`, store) through it right now: what gup_fast asks of a leaf. */
export const pteAccessPermitted = (pte: PteWord, write: boolean): boolean =>
  write ? asUintN(64, pte & 0x7n) === 0x7n : asUintN(64, pte & 0x5n) === 0x5n

// ---- pte: changes

/** Not writable. Dirty moves to its software bit, or the entry would read as a shadow stack's page. */
export const pteWrprotect = (pte: PteWord): PteWord =>
  (asUintN(64, pte & 0x40n) !== 0n
    ? asUintN(64, asUintN(64, pte & NOT_RW_DIRTY) | SAVED)
    : asUintN(64, pte & NOT_RW)) as PteWord

/** Writable, as a vma wants it that is no shadow stack: dirty moves back to the hardware's bit. */
export const pteMkwrite = (pte: PteWord): PteWord =>
  (asUintN(64, pte & SAVED) !== 0n
    ? asUintN(64, asUintN(64, pte & NOT_SAVED) | 0x42n)
    : asUintN(64, pte | 0x2n)) as PteWord

/** Dirty and soft-dirty. */
export const pteMkdirty = (pte: PteWord): PteWord =>
  (asUintN(64, pte & 0x2n) !== 0n
    ? asUintN(64, pte | 0x840n)
    : asUintN(64, asUintN(64, pte & NOT_DIRTY) | SAVED_SOFT)) as PteWord

export const pteMkclean = (pte: PteWord): PteWord => asUintN(64, pte & NOT_DIRTY_BITS) as PteWord
export const pteMkyoung = (pte: PteWord): PteWord => asUintN(64, pte | 0x20n) as PteWord
export const pteMkold = (pte: PteWord): PteWord => asUintN(64, pte & NOT_ACCESSED) as PteWord
export const pteMkspecial = (pte: PteWord): PteWord => asUintN(64, pte | 0x200n) as PteWord

// ---- flushes

/**
 * Flags whose loss a TLB must learn of; and those whose every change matters: RW, USER, cache mode, PSE, GLOBAL, NX.
 */
const FLUSH_ON_CLEAR = 0x41n
const FLUSH_ON_CHANGE = (1n << 63n) | 0x19en

/**
 * pte_needs_flush(): may a TLB hold a translation of `old` that `pte` no longer grants? Not of an entry that was not
 * present. The accessed bit does not count: a TLB that keeps it only delays the next setting.
 */
export function pteNeedsFlush(old: PteWord, pte: PteWord): boolean {
  if (asUintN(64, old & 1n) === 0n) return false
  const changed = asUintN(64, old ^ pte)
  const lost = asUintN(64, changed & old)
  return asUintN(64, lost & FLUSH_ON_CLEAR) !== 0n || asUintN(64, changed & FLUSH_ON_CHANGE) !== 0n
}

// ---- pmd: what differs from a pte

/** Huge-page entry before pmdMkhuge(), for a frame that starts a huge page; `prot` as in pfnPte(). */
export function pfnPmd(pfn: Pfn, prot: bigint, hpagePmdNr: number): PteWord {
  if (((pfn | 0) & (hpagePmdNr - 1)) !== 0) fail(`pfnPmd: no huge page of ${hpagePmdNr} starts at pfn ${pfn}`)
  const pte = pfnPte(pfn, prot)
  return needsInvert(prot) ? (asUintN(64, pte & pmdWordMask(hpagePmdNr)) as PteWord) : pte
}

/** Frame of a huge leaf, usable or not, or of the table that the entry points to. */
export function pmdPfn(pmd: PteWord, hpagePmdNr: number): Pfn {
  word[0] = pmd
  let low = half[0]!
  let high = half[1]!
  const fieldMask = (low & 0x80) !== 0 ? -hpagePmdNr << 12 : -1 << 12
  if ((low & 1) === 0 && (low | high) !== 0) {
    low = ~low
    high = ~high
  }
  return ((high & 0xfffff) * 0x100000 + ((low & fieldMask) >>> 12)) as Pfn
}

/** As pteModify(), for a huge leaf. From v6.6 on upstream lost the hardware's dirty bit here, until f7491d7c81db. */
export function pmdModify(pmd: PteWord, prot: bigint, hpagePmdNr: number): PteWord {
  const field = asUintN(64, pmdWordMask(hpagePmdNr) & FIELD)
  return settleDirty(pmd, withProtection(pmd, asUintN(64, pmd & CHG), prot, field))
}

/**
 * Keeps everything but the right to use it: no MMU loads the result, and software still sees a present huge leaf.
 * Applied to a migration entry it damages the offset, as upstream: the caller must have looked.
 */
export function pmdMkinvalid(pmd: PteWord, hpagePmdNr: number): PteWord {
  const field = asUintN(64, pmdWordMask(hpagePmdNr) & FIELD)
  const flagMask = asUintN(64, pmd & 0x80n) !== 0n ? asUintN(64, field ^ ALL) : NOT_FIELD
  const flags = asUintN(64, asUintN(64, pmd & flagMask) & NOT_PRESENT_PROTNONE)
  const stored = needsInvert(pmd) === needsInvert(flags) ? pmd : asUintN(64, pmd ^ FIELD)
  return asUintN(64, asUintN(64, stored & field) | flags) as PteWord
}

export const pmdMkhuge = (pmd: PteWord): PteWord => asUintN(64, pmd | 0x80n) as PteWord
/** Points to a table or maps memory; true for an invalidated huge leaf too, whose only sign of life is PAGE_PSE. */
export const pmdPresent = (pmd: PteWord): boolean => asUintN(64, pmd & 0x181n) !== 0n
export const pmdLeaf = (pmd: PteWord): boolean => asUintN(64, pmd & 0x80n) !== 0n
/** Not a proper pointer to a table: a leaf, a swap word, or flags that no populated entry has. */
export function pmdBad(pmd: PteWord): boolean {
  word[0] = pmd
  return (((half[0]! & ~0xffff_f024) ^ 0x43) | (half[1]! & 0xfff0_0000)) !== 0
}

export {
  pmdLeaf as pmdTransHuge,
  pteAccessPermitted as pmdAccessPermitted,
  pteAccessible as pmdAccessible,
  pteDirty as pmdDirty,
  pteMkclean as pmdMkclean,
  pteMkdirty as pmdMkdirty,
  pteMkold as pmdMkold,
  pteMkspecial as pmdMkspecial,
  pteMkwrite as pmdMkwrite,
  pteMkyoung as pmdMkyoung,
  pteNone as pmdNone,
  pteProtnone as pmdProtnone,
  pteSame as pmdSame,
  pteSpecial as pmdSpecial,
  pteWrite as pmdWrite,
  pteWrprotect as pmdWrprotect,
  pteYoung as pmdYoung,
}

// ---- table entries, any level

/** Entry of a table of `level` that points to table `nr`; the level does not show in it. */
export const tableEntry = (_level: UpperLevel, nr: Table): PteWord =>
  asUintN(64, pfnField(nr as number as Pfn) | 0x67n) as PteWord

/** Number of the table that a present table entry points to. */
export const entryTable = (entry: PteWord): Table => ptePfn(entry) as number as Table

// ---- parts

/** `pfn` in its place. BigInt() of a small integer is free and of a double is not, hence the two ways. */
function pfnField(pfn: Pfn): bigint {
  if (pfn >= 0 && pfn <= 0x7fff_ffff) return asUintN(64, BigInt(pfn | 0) << 12n)
  if (!(pfn >= 0 && pfn < PFN_LIMIT)) fail(`pfn ${pfn} is not in 0..2^40-1`)
  return asUintN(64, BigInt(pfn) << 12n)
}

/** All ones but for the pfn bits below a huge page's alignment. */
const pmdWordMask = (hpagePmdNr: number): bigint => asUintN(64, asUintN(64, BigInt((hpagePmdNr - 1) << 12)) ^ ALL)

/** The pfn field of `value` is inverted: it is not empty, and not present. */
function needsInvert(value: bigint): boolean {
  word[0] = value
  return (half[0]! & 1) === 0 && (half[0]! | half[1]!) !== 0
}

/** `kept` with the other bits from `prot`, and the pfn in `field` inverted anew if that changed whether it must be. */
function withProtection(old: bigint, kept: bigint, prot: bigint, field: bigint): bigint {
  const value = asUintN(64, kept | asUintN(64, prot & NOT_CHG))
  return needsInvert(old) === needsInvert(value) ? value : asUintN(64, value ^ field)
}

/** Dirty into the bit that goes with being writable or not. `old` keeps a shadow stack's page what it was. */
function settleDirty(old: PteWord, value: bigint): PteWord {
  if (asUintN(64, old & 0x2n) === 0n)
    return (
      asUintN(64, value & 0x2n) !== 0n && asUintN(64, value & SAVED) !== 0n
        ? asUintN(64, asUintN(64, value & NOT_SAVED) | 0x40n)
        : value
    ) as PteWord
  return (asUintN(64, value & 0x42n) === 0x40n ? asUintN(64, asUintN(64, value & NOT_DIRTY) | SAVED) : value) as PteWord
}
