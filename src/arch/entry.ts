/**
 * Page-table entries of the architecture that this thread's machine has: the kernel's <asm/pgtable.h>.
 *
 * EntryFormat is the contract; each folder of isa/ implements it in its files pte.ts, swap.ts, word.ts and legal.ts.
 * Names are the kernel's (pte_mkdirty() is pteMkdirty()), and all functions but briefAt() are pure: words in, words or
 * fields out.
 *
 * Generic code imports the names one by one. They are variables of this module, which useArch() sets when a machine is
 * built: imports see the change, each call site meets one function, and V8 inlines it as it would the function itself.
 * A thread has one machine at a time (machine/image/image.ts says the same of its memory). Before the first machine the
 * names are undefined.
 */
import type { Pfn, PteWord, Table } from '../base/units.js'
import type { UpperLevel } from './level.js'

/** The entry format of an architecture. */
export interface EntryFormat {
  // ---- whole words ------------------------------------------------------------------------------------------------

  /** An empty PTE. */
  readonly PTE_EMPTY: PteWord
  /** An empty PMD entry. */
  readonly PMD_EMPTY: PteWord
  /** An empty entry of a table of `level`: 1 a PTE … 5. */
  readonly emptyEntry: (level: number) => PteWord
  /** Two reads of one entry gave the same word. (`===` on bigints is five times slower.) */
  readonly pteSame: (a: PteWord, b: PteWord) => boolean
  /** The same of a PMD entry. */
  readonly pmdSame: (a: PteWord, b: PteWord) => boolean
  /** The name of a level, as reports and oracles write it. */
  readonly levelName: (level: number) => string

  // ---- PTE: built and taken apart ---------------------------------------------------------------------------------

  /** Protection bits for a VMA with `vmFlags`; only VM_READ, VM_WRITE, VM_EXEC and VM_SHARED count. */
  readonly vmGetPageProt: (vmFlags: number) => bigint
  /** The entry for frame `pfn` with the flag bits `prot`. */
  readonly pfnPte: (pfn: Pfn, prot: bigint) => PteWord
  /** The frame of a present entry. */
  readonly ptePfn: (pte: PteWord) => Pfn
  /** The entry with protection `prot`; frame, young, dirty, soft-dirty and special stay. */
  readonly pteModify: (pte: PteWord, prot: bigint) => PteWord

  // ---- PTE: questions ---------------------------------------------------------------------------------------------

  /** Empty, but perhaps for bits that the hardware sets at any time. */
  readonly pteNone: (pte: PteWord) => boolean
  /** Maps memory, if perhaps for nobody (PROT_NONE, NUMA hint). */
  readonly ptePresent: (pte: PteWord) => boolean
  /** Maps memory for nobody. */
  readonly pteProtnone: (pte: PteWord) => boolean
  /** The mapping may be written; the hardware may still fault on the first store. */
  readonly pteWrite: (pte: PteWord) => boolean
  /** The page was written since the entry was last clean. */
  readonly pteDirty: (pte: PteWord) => boolean
  /** The page was accessed since the entry was last old. */
  readonly pteYoung: (pte: PteWord) => boolean
  /** Maps a frame without the semantics of a struct page, as the zero page. */
  readonly pteSpecial: (pte: PteWord) => boolean
  /** A TLB may hold a translation. `flushPending`: a change to protnone is not flushed yet. */
  readonly pteAccessible: (pte: PteWord, flushPending: boolean) => boolean
  /** A user may load or, with `write`, store through it right now: gup_fast asks this of a leaf. */
  readonly pteAccessPermitted: (pte: PteWord, write: boolean) => boolean
  /** A TLB may hold a translation of `old` that `pte` no longer grants. */
  readonly pteNeedsFlush: (old: PteWord, pte: PteWord) => boolean

  // ---- PTE: changes -----------------------------------------------------------------------------------------------

  /** Accessed. */
  readonly pteMkyoung: (pte: PteWord) => PteWord
  /** Not accessed. */
  readonly pteMkold: (pte: PteWord) => PteWord
  /** Dirty and soft-dirty. */
  readonly pteMkdirty: (pte: PteWord) => PteWord
  /** Not dirty. */
  readonly pteMkclean: (pte: PteWord) => PteWord
  /** Writable. */
  readonly pteMkwrite: (pte: PteWord) => PteWord
  /** Not writable; dirty stays. */
  readonly pteWrprotect: (pte: PteWord) => PteWord
  /** Special. */
  readonly pteMkspecial: (pte: PteWord) => PteWord

  // ---- PMD entries: huge leaves and pointers to PTE tables. `hpagePmdNr`: base pages of a huge page ---------------

  /** The entry, before pmdMkhuge(), for a frame that starts a huge page. */
  readonly pfnPmd: (pfn: Pfn, prot: bigint, hpagePmdNr: number) => PteWord
  /** The first frame of a huge leaf, usable or not. */
  readonly pmdPfn: (pmd: PteWord, hpagePmdNr: number) => Pfn
  /** As pteModify(), of a huge leaf. */
  readonly pmdModify: (pmd: PteWord, prot: bigint, hpagePmdNr: number) => PteWord
  /** Unusable for the hardware, and still a present huge leaf for software. */
  readonly pmdMkinvalid: (pmd: PteWord, hpagePmdNr: number) => PteWord
  /** Empty. */
  readonly pmdNone: (pmd: PteWord) => boolean
  /** Points to a table or maps memory; true of an invalidated huge leaf, too. */
  readonly pmdPresent: (pmd: PteWord) => boolean
  /** Maps a huge page. */
  readonly pmdLeaf: (pmd: PteWord) => boolean
  /** The same: every huge page of the model is a transparent one. */
  readonly pmdTransHuge: (pmd: PteWord) => boolean
  /** No proper pointer to a table. */
  readonly pmdBad: (pmd: PteWord) => boolean
  /** As pteProtnone(). */
  readonly pmdProtnone: (pmd: PteWord) => boolean
  /** As pteWrite(). */
  readonly pmdWrite: (pmd: PteWord) => boolean
  /** As pteDirty(). */
  readonly pmdDirty: (pmd: PteWord) => boolean
  /** As pteYoung(). */
  readonly pmdYoung: (pmd: PteWord) => boolean
  /** As pteAccessPermitted(); false of a leaf that pmdMkinvalid() made unusable. */
  readonly pmdAccessPermitted: (pmd: PteWord, write: boolean) => boolean
  /** A huge leaf. */
  readonly pmdMkhuge: (pmd: PteWord) => PteWord
  /** As pteMkyoung(). */
  readonly pmdMkyoung: (pmd: PteWord) => PteWord
  /** As pteMkold(). */
  readonly pmdMkold: (pmd: PteWord) => PteWord
  /** As pteMkdirty(). */
  readonly pmdMkdirty: (pmd: PteWord) => PteWord
  /** As pteMkwrite(). */
  readonly pmdMkwrite: (pmd: PteWord) => PteWord
  /** As pteWrprotect(). */
  readonly pmdWrprotect: (pmd: PteWord) => PteWord

  // ---- entries that point to tables -------------------------------------------------------------------------------

  /** The entry of a table of `level` that points to table `nr`. */
  readonly tableEntry: (level: UpperLevel, nr: Table) => PteWord
  /** The number of the table that a present entry points to. */
  readonly entryTable: (entry: PteWord) => Table

  // ---- swap words: entries that are neither empty nor present -----------------------------------------------------

  /** Neither empty nor present. */
  readonly isSwapPte: (pte: PteWord) => boolean
  /** The same of a PMD entry. */
  readonly isSwapPmd: (pmd: PteWord) => boolean
  /** The PMD form of a swap word: the functions of this section take and give the PTE form. */
  readonly swpToPmd: (pte: PteWord) => PteWord
  /** The PTE form of a PMD swap word. */
  readonly pmdToSwp: (pmd: PteWord) => PteWord
  /** The type of a swap word, 0 … 31. */
  readonly swpType: (pte: PteWord) => number
  /** Its offset; of a migration entry with the young and dirty bits. */
  readonly swpOffset: (pte: PteWord) => number
  /** The frame of a migration entry. */
  readonly swpOffsetPfn: (pte: PteWord) => Pfn
  /** A page that is on its way to another frame, of any kind. Takes both forms. */
  readonly isMigrationEntry: (pte: PteWord) => boolean
  /** It was mapped read-only and may be shared. */
  readonly isReadableMigrationEntry: (pte: PteWord) => boolean
  /** It was mapped read-only, and no other process maps it (PageAnonExclusive). */
  readonly isReadableExclusiveMigrationEntry: (pte: PteWord) => boolean
  /** It was mapped writable. */
  readonly isWritableMigrationEntry: (pte: PteWord) => boolean
  /** It was young. */
  readonly isMigrationEntryYoung: (pte: PteWord) => boolean
  /** It was dirty. */
  readonly isMigrationEntryDirty: (pte: PteWord) => boolean
  /** The first kind. `offset`: the frame, or the whole offset of another migration entry. */
  readonly makeReadableMigrationEntry: (offset: number) => PteWord
  /** The second kind. */
  readonly makeReadableExclusiveMigrationEntry: (offset: number) => PteWord
  /** The third kind. */
  readonly makeWritableMigrationEntry: (offset: number) => PteWord
  /** Young. */
  readonly makeMigrationEntryYoung: (pte: PteWord) => PteWord
  /** Dirty. */
  readonly makeMigrationEntryDirty: (pte: PteWord) => PteWord

  // ---- briefs: 32 bits that bookkeeping takes of a word, which cost less than the word ----------------------------

  /** The brief of a word. */
  readonly brief: (entry: bigint) => number
  /** The brief of the word at address `at`, which may be changing. */
  readonly briefAt: (at: number) => number
  /** The frame that a PTE maps, for somebody or nobody; -1: none. */
  readonly pteFrame: (brief: number) => number
  /** The first frame that a huge PMD entry maps, invalidated ones included; -1: none. */
  readonly hugeFrame: (brief: number, hugePages: number) => number
  /** The number of the table that an entry above the PTE points to; -1: none. */
  readonly tableFrame: (brief: number) => number
  /** The hardware can load it. */
  readonly isUsable: (level: number, brief: number) => boolean
  /** A huge leaf, of a PMD entry. */
  readonly isHuge: (brief: number) => boolean
  /** Usable for stores, or after the hardware’s right comes back. Of a leaf. */
  readonly isWritable: (level: number, brief: number) => boolean
  /** Mapped for nobody. Of a leaf. */
  readonly isProtnone: (level: number, brief: number) => boolean
  /** A huge leaf that pmdp_invalidate() has made unusable, and that nobody has replaced yet. */
  readonly isInvalidated: (brief: number) => boolean
  /** The word with these halves is an empty entry of `level`. */
  readonly isEmptyWord: (level: number, low: number, high: number) => boolean

  // ---- legality: fixed text in the form "the fault", or null ------------------------------------------------------

  /** Why `entry` may not stand in a table of `level`. `limit`: frames of the machine, or tables. */
  readonly illegalEntry: (level: number, entry: PteWord, limit: number, hpagePmdNr: number) => string | null
  /** Why nothing may turn `old` into `next` with one change. Both words are legal. */
  readonly illegalChange: (level: number, old: PteWord, next: PteWord, hpagePmdNr: number) => string | null
  /** Why that change is wrong while a CPU may be using the table. */
  readonly illegalInUse: (level: number, old: PteWord, next: PteWord) => string | null
}

const UNSET = {} as EntryFormat

export let {
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
} = UNSET

let used = UNSET

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
