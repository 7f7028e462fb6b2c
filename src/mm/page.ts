/**
 * struct page: what the kernel knows of each frame, in the memmap, one 64-byte structure a frame.
 *
 * Source: include/linux/mm_types.h, page-flags.h (v6.12). Kept: reference and map counts, compound links, the flags
 * that this model uses, the union of lru and rcu_head (their overlay is a bug class), the split page-table lock. A
 * large folio keeps its entire mapcount, pin count and sum of mapcounts in its first tail page, as upstream does. Left
 * out: zones and nodes, memcg, private data, the deferred-split list (partially mapped folios are split on request
 * only).
 *
 * Counts: refcount 0 is free or frozen. mapcount and entireMapcount are stored minus one.
 */
import { MM_CONTEXT } from '../arch/context.js'
import { phys, pfn as toPfn, tableNr, type Pfn, type PhysAddr, type Table } from '../base/units.js'
import { Level } from '../arch/level.js'
import {
  always,
  atomic,
  guard,
  lockedBy,
  lockWord,
  never,
  wordAt,
  type Guard,
  type Holder,
} from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

// ---- guards -------------------------------------------------------------------------------------------------------
//
// A page's owner is who has allocated it and has not made it known, who has frozen its count, and who has dropped the
// last reference. Everything else that CPUs write in a struct page they write with accessors.

/**
 * The head's count is not zero: nobody takes the folio apart meanwhile, since that begins with a frozen count. It stays
 * so in threads, too: who reads a page has a reference, or the lock of an entry, a list or a cache that has one.
 */
function isWhole(page: number): boolean {
  const head = wordAt(page + PAGE.at.compoundHead)
  return wordAt(((head & 1) !== 0 ? head - 1 : page) + PAGE.at.refcount) !== 0
}

function holdsZoneLock(holder: Holder): boolean {
  return holder.holdsToWrite(holder.places.base('zone'))
}

const whole: Guard = guard(
  'changed by the owner of the folio alone, of a free block under the zone lock; stable while the folio has references',
  (holder, page) => isWhole(page) || holdsZoneLock(holder),
  holdsZoneLock,
)

/**
 * A migration entry names a folio whose count may be frozen. What splits or migrates it leaves all its pages anonymous,
 * or none, until the entries are gone: whoever holds the lock of an entry's table may ask.
 */
function mayAskNature(holder: Holder, page: number): boolean {
  if (isWhole(page)) return true
  const base = holder.places.base('page')
  return holder.holdsOne((lock) => isPtl(lock, base))
}

const head: Guard = guard(
  'written with accessors, before publication by the owner; read while the folio has references or an entry names it',
  (holder, page) => mayAskNature(holder, page) || holdsZoneLock(holder),
  never,
)

const settled: Guard = guard(
  'written by the owner of the folio alone; stable while it has references or an entry names it',
  mayAskNature,
  never,
)

/** The page belongs to a file whose last user this CPU was: it takes the page from the cache. */
function endsFile(holder: Holder, page: number): boolean {
  const mapping = wordAt(page + PAGE.at.mapping)
  return mapping !== 0 && (mapping & PAGE_MAPPING_ANON) === 0 && holder.owns(mapping)
}

/** hugeLock in FILE (mmStruct.ts), which holds it to its own. */
export const FILE_HUGE_LOCK = 48

/** Truncation takes the page from the cache under its lock, whoever has a reference. */
function truncates(holder: Holder, page: number): boolean {
  const mapping = wordAt(page + PAGE.at.mapping)
  return mapping !== 0 && (mapping & PAGE_MAPPING_ANON) === 0 && holder.holdsToWrite(mapping + FILE_HUGE_LOCK)
}

/** Whoever has a reference alone asks whether the folio is anonymous, which neither of these changes. */
const mapped: Guard = guard(
  'written by the owner, the last user of its file, or truncation under its lock; else stable while it has references',
  mayAskNature,
  (holder, page) => endsFile(holder, page) || truncates(holder, page),
)

/** A lock of a page table, in one of the struct pages from `base`. */
const isPtl = (lock: number, base: number): boolean => lock >= base && (lock - base) % 64 === PAGE.at.ptl

const listed: Guard = guard(
  'free block: the zone lock; deposited table: the lock of the PMD table; isolated folio: its lock; else its owner',
  (holder, page) => mayList(holder, page),
  (holder, page) => mayList(holder, page),
)

function mayList(holder: Holder, page: number): boolean {
  if (holdsZoneLock(holder) || holder.holdsToWrite(page)) return true
  const base = holder.places.base('page')
  return holder.holdsOne((lock) => isPtl(lock, base))
}

/** pgtableLock in TABLES (mms.ts), which holds it to its own. */
export const PGTABLE_LOCK = 208

/** The page names its mm before it is listed. */
function holdsListLock(holder: Holder, page: number): boolean {
  const mm = wordAt(page + PAGE.at.ptMm)
  return (
    holder.holdsToWrite(mm + MM_CONTEXT.at.contextLock) ||
    holder.holdsToWrite(holder.places.base('tables') + PGTABLE_LOCK)
  )
}

const fragments: Guard = guard(
  'the lock of the list of pages with a table to hand out; with accessors where it counts fragments',
  holdsListLock,
  holdsListLock,
)

/** The tables of a page belong to one mm, so everybody who gives one back writes the same. */
const sameForAll: Guard = guard('always written with the same value, the mm of all tables in the page', always, always)

const owned: Guard = guard('of who gives the page to RCU', never, never)

const pmdLocked: Guard = lockedBy('the lock of the PMD table', (page) => page + PAGE.at.ptl)

export const PAGE = struct('page', 64, {
  flags: [0, 4, whole], //        PG_ bits
  refcount: [4, 4, atomic], //     head pages; always 0 in tails
  mapcount: [8, 4, atomic], //     PTE mappings of this page, minus one
  order: [12, 4, whole], //       of a free block or a compound head
  compoundHead: [16, 4, head], // tails: address of the head's struct page, plus 1
  lruNext: [24, 4, listed, 'lru'], // list links: free list, deposit ring
  lruPrev: [28, 4, listed, 'lru'],
  rcuNext: [24, 4, owned, 'lru'], // rcu_head, over the list links
  rcuFunc: [28, 4, owned, 'lru'],
  mapping: [32, 4, mapped], //     address of the anon_vma plus 1 (PAGE_MAPPING_ANON), or of the file
  largeMapcount: [36, 4, atomic], // first tail: sum of all mappings of the folio
  index: [40, 8, settled, 'index'], // double: page offset in the mapping
  ptFragRefcount: [40, 4, fragments, 'index'], // page tables: fragments in use, where they are counted; else 1: listed
  ptMm: [44, 4, sameForAll, 'index'], //  page tables: the mm that a deferred free will need
  ptl: [48, 8, lockWord, 'private'], // page tables: the split lock
  entireMapcount: [48, 4, atomic, 'private'], // first tail: PMD mappings, minus one
  pincount: [52, 4, atomic, 'private'], // first tail: FOLL_PIN references
  pmdHugePte: [56, 4, pmdLocked], //  PMD tables: newest of the deposited PTE tables
})

export const PG_LOCKED = 1 << 0
export const PG_REFERENCED = 1 << 1
export const PG_UPTODATE = 1 << 2
export const PG_DIRTY = 1 << 3
export const PG_LRU = 1 << 4 //      on a list of the LRU: nobody has isolated it
export const PG_SWAPBACKED = 1 << 5 // anonymous; clear in anonymous memory that MADV_FREE was for: it may be dropped
export const PG_ANON_EXCLUSIVE = 1 << 6
export const PG_HEAD = 1 << 7 //     first page of a large folio
export const PG_TABLE = 1 << 8 //    page type: page table
export const PG_BUDDY = 1 << 9 //    first page of a free block
export const PG_READAHEAD = 1 << 12 // cached pages: the fault that finds it reads the pages behind
export const PG_ACTIVE = 1 << 11 //  page tables: a fragment was given back with pte_free_defer()
export const PG_RESERVED = 1 << 10 // never freed: frame 0, the zero pages

/** Low bit of `mapping`: the rest is an anon_vma. */
export const PAGE_MAPPING_ANON = 1

/** References that one FOLL_PIN of a small folio counts for. */
export const GUP_PIN_COUNTING_BIAS = 1024

/** No page: what allocations return on failure. */
export const NO_PAGE = -1 as Pfn
export const NO_TABLE = -1 as Table

/** Conversion between frame numbers, struct page addresses and frame addresses. All pure arithmetic. */
export class Memmap {
  readonly base: PhysAddr
  readonly frameBase: PhysAddr
  readonly frameBytes: number
  readonly frameShift: number
  readonly frameCount: number
  /** PTE tables in a frame, a power of two. A larger table has the number of its first part. */
  readonly fragments: number
  readonly tableBytes: number
  readonly tableShift: number
  readonly fragmentShift: number

  /** log2 of the frames that a table above the PTE level fills. */
  readonly upperOrder: number
  /** PMD tables in a frame: more than one where they share pages, too. */
  readonly pmdFragments: number

  constructor(
    base: PhysAddr,
    frameBase: PhysAddr,
    frameBytes: number,
    frameCount: number,
    fragments = 1,
    upperBytes = frameBytes,
    pmdFragments = 1,
  ) {
    this.base = base
    this.frameBase = frameBase
    this.frameBytes = frameBytes
    this.frameShift = Math.log2(frameBytes)
    this.frameCount = frameCount
    this.fragments = fragments
    this.tableBytes = frameBytes / fragments
    this.tableShift = Math.log2(this.tableBytes)
    this.fragmentShift = Math.log2(fragments)
    this.upperOrder = Math.max(0, Math.log2(upperBytes / frameBytes))
    this.pmdFragments = pmdFragments
  }

  /** Address of the struct page of frame `pfn`. */
  page(pfn: number): PhysAddr {
    return phys(this.base + pfn * 64)
  }

  /** Frame number of the struct page at `page`. */
  pfnOf(page: number): Pfn {
    return toPfn((page - this.base) >>> 6)
  }

  /** Address of the first byte of frame `pfn`. */
  frame(pfn: number): PhysAddr {
    return phys(this.frameBase + pfn * this.frameBytes)
  }

  /** Address of table `nr`. */
  table(nr: number): PhysAddr {
    return phys(this.frameBase + nr * this.tableBytes)
  }

  /** Number of the PTE table, or of the part of a larger table, that the entry at `addr` is in. */
  tableAt(addr: number): Table {
    return tableNr((addr - this.frameBase) >>> this.tableShift)
  }

  /** First frame of the table above the PTE level that the entry at `addr` is in. */
  upperPfnAt(addr: number): Pfn {
    return this.upperPfn(this.pfnAt(addr))
  }

  /** First frame of the table above the PTE level that frame `pfn` belongs to. */
  upperPfn(pfn: number): Pfn {
    return toPfn((pfn >>> this.upperOrder) << this.upperOrder)
  }

  /** Numbers that a table of `level` takes: as many PTE tables would have its place. */
  tableParts(level: number): number {
    if (level === Level.pte) return 1
    return (this.fragments << this.upperOrder) / (level === Level.pmd ? this.pmdFragments : 1)
  }

  /** Number of the table of `level` that the entry at `addr` is in. */
  tableOfLevelAt(level: number, addr: number): Table {
    return this.wholeTable(level, this.tableAt(addr))
  }

  /** Number of the table of `level` that `nr` is a part of. */
  wholeTable(level: number, nr: number): Table {
    return tableNr(nr & -this.tableParts(level))
  }

  /** The first table of frame `pfn`. */
  firstTable(pfn: number): Table {
    return tableNr(pfn << this.fragmentShift)
  }

  /** Frame that table `nr` is in. */
  pfnOfTable(nr: number): Pfn {
    return toPfn(nr >>> this.fragmentShift)
  }

  /** Frame number of the byte at `addr`. */
  pfnAt(addr: number): Pfn {
    return toPfn((addr - this.frameBase) >>> this.frameShift)
  }
}
