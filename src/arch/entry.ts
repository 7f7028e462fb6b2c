/**
 * Page-table entries of the architecture that this thread's machine has: the kernel's <asm/pgtable.h>.
 *
 * The variables of this module are the contract (EntryFormat); each folder of isa/ implements it in its files pte.ts,
 * swap.ts, word.ts and legal.ts. Names are the kernel's (pte_mkdirty() is pteMkdirty()), and all functions but
 * briefAt() are pure: words in, words or fields out.
 *
 * Generic code imports the names one by one. useArch() sets the variables when a machine is built: imports see the
 * change, each call site meets one function, and V8 inlines it as it would the function itself. That is why useArch()
 * names each of them again: only an assignment by name changes an import, and the same functions as properties of one
 * object make gup_fast a tenth slower. A thread has one machine at a time (machine/image/image.ts says the same of its
 * memory). Before the first machine the names are undefined.
 */
import type { Pfn, PteWord, Table } from '../base/units.js'
import type { UpperLevel } from './level.js'

// ---- whole words ---------------------------------------------------------------------------------------------------

/** An empty PTE. */
export let PTE_EMPTY: PteWord
/** An empty PMD entry. */
export let PMD_EMPTY: PteWord
/** An empty entry of a table of `level`: 1 a PTE … 5. */
export let emptyEntry: (level: number) => PteWord
/** Two reads of one entry gave the same word. (`===` on bigints is five times slower.) */
export let pteSame: (a: PteWord, b: PteWord) => boolean
/** The same of a PMD entry. */
export let pmdSame: (a: PteWord, b: PteWord) => boolean
/** The name of a level, as reports and oracles write it. */
export let levelName: (level: number) => string

// ---- PTE: built and taken apart ------------------------------------------------------------------------------------

/** Protection bits for a VMA with `vmFlags`; only VM_READ, VM_WRITE, VM_EXEC and VM_SHARED count. */
export let vmGetPageProt: (vmFlags: number) => bigint
/** The entry for frame `pfn` with the flag bits `prot`. */
export let pfnPte: (pfn: Pfn, prot: bigint) => PteWord
/** The frame of a present entry. */
export let ptePfn: (pte: PteWord) => Pfn
/** The entry with protection `prot`; frame, young, dirty, soft-dirty and special stay. */
export let pteModify: (pte: PteWord, prot: bigint) => PteWord

// ---- PTE: questions ------------------------------------------------------------------------------------------------

/** Empty, but perhaps for bits that the hardware sets at any time. */
export let pteNone: (pte: PteWord) => boolean
/** Maps memory, if perhaps for nobody (PROT_NONE, NUMA hint). */
export let ptePresent: (pte: PteWord) => boolean
/** Maps memory for nobody. */
export let pteProtnone: (pte: PteWord) => boolean
/** The mapping may be written; the hardware may still fault on the first store. */
export let pteWrite: (pte: PteWord) => boolean
/** The page was written since the entry was last clean. */
export let pteDirty: (pte: PteWord) => boolean
/** The page was accessed since the entry was last old. */
export let pteYoung: (pte: PteWord) => boolean
/** Maps a frame without the semantics of a struct page, as the zero page. */
export let pteSpecial: (pte: PteWord) => boolean
/** A TLB may hold a translation. `flushPending`: a change to protnone is not flushed yet. */
export let pteAccessible: (pte: PteWord, flushPending: boolean) => boolean
/** A user may load or, with `write`, store through it right now: gup_fast asks this of a leaf. */
export let pteAccessPermitted: (pte: PteWord, write: boolean) => boolean
/** A TLB may hold a translation of `old` that `pte` no longer grants. */
export let pteNeedsFlush: (old: PteWord, pte: PteWord) => boolean

// ---- PTE: changes --------------------------------------------------------------------------------------------------

/** Accessed. */
export let pteMkyoung: (pte: PteWord) => PteWord
/** Not accessed. */
export let pteMkold: (pte: PteWord) => PteWord
/** Dirty and soft-dirty. */
export let pteMkdirty: (pte: PteWord) => PteWord
/** Not dirty. */
export let pteMkclean: (pte: PteWord) => PteWord
/** Writable. */
export let pteMkwrite: (pte: PteWord) => PteWord
/** Not writable; dirty stays. */
export let pteWrprotect: (pte: PteWord) => PteWord
/** Special. */
export let pteMkspecial: (pte: PteWord) => PteWord

// ---- PMD entries: huge leaves and pointers to PTE tables. `hpagePmdNr`: base pages of a huge page ------------------

/** The entry, before pmdMkhuge(), for a frame that starts a huge page. */
export let pfnPmd: (pfn: Pfn, prot: bigint, hpagePmdNr: number) => PteWord
/** The first frame of a huge leaf, usable or not. */
export let pmdPfn: (pmd: PteWord, hpagePmdNr: number) => Pfn
/** As pteModify(), of a huge leaf. */
export let pmdModify: (pmd: PteWord, prot: bigint, hpagePmdNr: number) => PteWord
/** Unusable for the hardware, and still a present huge leaf for software. */
export let pmdMkinvalid: (pmd: PteWord, hpagePmdNr: number) => PteWord
/** Empty. */
export let pmdNone: (pmd: PteWord) => boolean
/** Points to a table or maps memory; true of an invalidated huge leaf, too. */
export let pmdPresent: (pmd: PteWord) => boolean
/** Maps a huge page. */
export let pmdLeaf: (pmd: PteWord) => boolean
/** The same: every huge page of the model is a transparent one. */
export let pmdTransHuge: (pmd: PteWord) => boolean
/** No proper pointer to a table. */
export let pmdBad: (pmd: PteWord) => boolean
/** As pteProtnone(). */
export let pmdProtnone: (pmd: PteWord) => boolean
/** As pteWrite(). */
export let pmdWrite: (pmd: PteWord) => boolean
/** As pteDirty(). */
export let pmdDirty: (pmd: PteWord) => boolean
/** As pteYoung(). */
export let pmdYoung: (pmd: PteWord) => boolean
/** As pteAccessPermitted(); false of a leaf that pmdMkinvalid() made unusable. */
export let pmdAccessPermitted: (pmd: PteWord, write: boolean) => boolean
/** A huge leaf. */
export let pmdMkhuge: (pmd: PteWord) => PteWord
/** As pteMkyoung(). */
export let pmdMkyoung: (pmd: PteWord) => PteWord
/** As pteMkold(). */
export let pmdMkold: (pmd: PteWord) => PteWord
/** As pteMkclean(). */
export let pmdMkclean: (pmd: PteWord) => PteWord
/** As pteMkdirty(). */
export let pmdMkdirty: (pmd: PteWord) => PteWord
/** As pteMkwrite(). */
export let pmdMkwrite: (pmd: PteWord) => PteWord
/** As pteWrprotect(). */
export let pmdWrprotect: (pmd: PteWord) => PteWord

// ---- entries that point to tables ----------------------------------------------------------------------------------

/** The entry of a table of `level` that points to table `nr`. */
export let tableEntry: (level: UpperLevel, nr: Table) => PteWord
/** The number of the table that a present entry points to. */
export let entryTable: (entry: PteWord) => Table

// ---- swap words: entries that are neither empty nor present --------------------------------------------------------

/** Neither empty nor present. */
export let isSwapPte: (pte: PteWord) => boolean
/** The same of a PMD entry. */
export let isSwapPmd: (pmd: PteWord) => boolean
/** The PMD form of a swap word: the functions of this section take and give the PTE form. */
export let swpToPmd: (pte: PteWord) => PteWord
/** The PTE form of a PMD swap word. */
export let pmdToSwp: (pmd: PteWord) => PteWord
/** The type of a swap word, 0 … 31. */
export let swpType: (pte: PteWord) => number
/** Its offset; of a migration entry with the young and dirty bits. */
export let swpOffset: (pte: PteWord) => number
/** The frame of a migration entry. */
export let swpOffsetPfn: (pte: PteWord) => Pfn
/** A page that is on its way to another frame, of any kind. Takes both forms. */
export let isMigrationEntry: (pte: PteWord) => boolean
/** It was mapped read-only and may be shared. */
export let isReadableMigrationEntry: (pte: PteWord) => boolean
/** It was mapped read-only, and no other process maps it (PageAnonExclusive). */
export let isReadableExclusiveMigrationEntry: (pte: PteWord) => boolean
/** It was mapped writable. */
export let isWritableMigrationEntry: (pte: PteWord) => boolean
/** It was young. */
export let isMigrationEntryYoung: (pte: PteWord) => boolean
/** It was dirty. */
export let isMigrationEntryDirty: (pte: PteWord) => boolean
/** The first kind. `offset`: the frame, or the whole offset of another migration entry. */
export let makeReadableMigrationEntry: (offset: number) => PteWord
/** The second kind. */
export let makeReadableExclusiveMigrationEntry: (offset: number) => PteWord
/** The third kind. */
export let makeWritableMigrationEntry: (offset: number) => PteWord
/** Young. */
export let makeMigrationEntryYoung: (pte: PteWord) => PteWord
/** Dirty. */
export let makeMigrationEntryDirty: (pte: PteWord) => PteWord

// ---- briefs: 32 bits that bookkeeping takes of a word, which cost less than the word -------------------------------

/** The brief of a word. */
export let brief: (entry: bigint) => number
/** The brief of the word at address `at`, which may be changing. */
export let briefAt: (at: number) => number
/** The frame that a PTE maps, for somebody or nobody; -1: none. */
export let pteFrame: (brief: number) => number
/** The first frame that a huge PMD entry maps, invalidated ones included; -1: none. */
export let hugeFrame: (brief: number, hugePages: number) => number
/** The number of the table that an entry above the PTE points to; -1: none. */
export let tableFrame: (brief: number) => number
/** The hardware can load it. */
export let isUsable: (level: number, brief: number) => boolean
/** A huge leaf, of a PMD entry. */
export let isHuge: (brief: number) => boolean
/** Usable for stores, or after the hardware’s right comes back. Of a leaf. */
export let isWritable: (level: number, brief: number) => boolean
/** Mapped for nobody. Of a leaf. */
export let isProtnone: (level: number, brief: number) => boolean
/** A huge leaf that pmdp_invalidate() has made unusable, and that nobody has replaced yet. */
export let isInvalidated: (brief: number) => boolean
/** The word with these halves is an empty entry of `level`. */
export let isEmptyWord: (level: number, low: number, high: number) => boolean

// ---- legality: fixed text in the form "the fault", or null ---------------------------------------------------------

/** Why `entry` may not stand in a table of `level`. `limit`: frames of the machine, or tables. */
export let illegalEntry: (level: number, entry: PteWord, limit: number, hpagePmdNr: number) => string | null
/** Why nothing may turn `old` into `next` with one change. Both words are legal. */
export let illegalChange: (level: number, old: PteWord, next: PteWord, hpagePmdNr: number) => string | null
/** Why that change is wrong while a CPU may be using the table. */
export let illegalInUse: (level: number, old: PteWord, next: PteWord) => string | null

/** The entry format of an architecture: all names above. */
export type EntryFormat = Readonly<Omit<typeof import('./entry.js'), 'useArch' | 'isUsed'>>

let used: EntryFormat | null = null

/** From now on entries in this thread are of `format`. */
export function useArch(format: EntryFormat): void {
  used = format
  ;({
    PTE_EMPTY,
    PMD_EMPTY,
    emptyEntry,
    pteSame,
    pmdSame,
    levelName,
    vmGetPageProt,
    pfnPte,
    ptePfn,
    pteModify,
    pteNone,
    ptePresent,
    pteProtnone,
    pteWrite,
    pteDirty,
    pteYoung,
    pteSpecial,
    pteAccessible,
    pteAccessPermitted,
    pteNeedsFlush,
    pteMkyoung,
    pteMkold,
    pteMkdirty,
    pteMkclean,
    pteMkwrite,
    pteWrprotect,
    pteMkspecial,
    pfnPmd,
    pmdPfn,
    pmdModify,
    pmdMkinvalid,
    pmdNone,
    pmdPresent,
    pmdLeaf,
    pmdTransHuge,
    pmdBad,
    pmdProtnone,
    pmdWrite,
    pmdDirty,
    pmdYoung,
    pmdAccessPermitted,
    pmdMkhuge,
    pmdMkyoung,
    pmdMkold,
    pmdMkclean,
    pmdMkdirty,
    pmdMkwrite,
    pmdWrprotect,
    tableEntry,
    entryTable,
    isSwapPte,
    isSwapPmd,
    swpToPmd,
    pmdToSwp,
    swpType,
    swpOffset,
    swpOffsetPfn,
    isMigrationEntry,
    isReadableMigrationEntry,
    isReadableExclusiveMigrationEntry,
    isWritableMigrationEntry,
    isMigrationEntryYoung,
    isMigrationEntryDirty,
    makeReadableMigrationEntry,
    makeReadableExclusiveMigrationEntry,
    makeWritableMigrationEntry,
    makeMigrationEntryYoung,
    makeMigrationEntryDirty,
    brief,
    briefAt,
    pteFrame,
    hugeFrame,
    tableFrame,
    isUsable,
    isHuge,
    isWritable,
    isProtnone,
    isInvalidated,
    isEmptyWord,
    illegalEntry,
    illegalChange,
    illegalInUse,
  } = format)
}

/** Entries in this thread are of `format`: no machine of another architecture was built since. */
export const isUsed = (format: EntryFormat): boolean => used === format
