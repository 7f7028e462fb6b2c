/**
 * The shape of a tree of page tables: how many entries a table has, and which part of an address picks which entry.
 *
 * Source: PAGE_SHIFT … PGDIR_SHIFT, pXd_index() and pXd_addr_end() of Linux v7.0
 * (arch/x86/include/asm/pgtable_64_types.h, include/linux/pgtable.h). Four levels,
 * pgd → pud → pmd → pte, with the p4d folded into the pgd. Or five, of which a process may have fewer: levels that fold
 * at run time.
 *
 * The number of entries is a parameter, so that exploration can split a "huge" page of 4 or 8 base pages. A small table
 * still fills one page and uses the first entries of it; the code that walks, splits and frees is the same, so no race
 * goes away, there are only fewer entries to lose it in.
 *
 * Addresses are signed numbers (see base/units.ts). A span is a power of two, so its reciprocal multiplies exactly,
 * and `floor(addr * 2^-shift) & mask` is the index at any size: `&` takes its operand modulo 2^32, which keeps the low
 * bits that the mask asks for. `<<` and `>>` would cut the address first.
 */
import { LEVEL_NAMES, type LevelName } from './level.js'
import { UsageError } from '../base/errors.js'
import type { VirtAddr } from '../base/units.js'

export interface GeometryOptions {
  readonly levels: 4 | 5
  /** log2 of the entries per table above the PTE, 2 … 9, and 11 with five levels. */
  readonly indexBits: number
  /** log2 of the entries of a PTE table, `indexBits` unless given: less where several PTE tables share a page. */
  readonly pteBits?: number
  /** log2 of the bytes of a page. */
  readonly pageShift: 12 | 16
  /** No process gets the last page of the user half. */
  readonly lastPageFree?: true
}

const MIN_INDEX_BITS = 2 // two entries would make a huge page of which every page is head or last
const MAX_INDEX_BITS = 9 // 512 entries of 8 bytes fill the page that a table is
const MAX_INDEX_BITS_OF_FIVE = 11 // and of these, tables fill four pages

export class Geometry {
  // `declare`: a field that is first defined as undefined loses its number representation, and an index costs 2.2 ns
  // instead of 0.8.
  declare readonly levels: 4 | 5
  declare readonly indexBits: number
  declare readonly ptrsPerTable: number
  /** log2 of the entries of a PTE table, and the entries. */
  declare readonly pteBits: number
  declare readonly ptrsPerPte: number
  declare readonly pageShift: 12 | 16
  declare readonly pmdShift: number
  declare readonly pudShift: number
  declare readonly p4dShift: number
  declare readonly pgdirShift: number
  /** Bytes that one entry of each level spans. */
  declare readonly pageSize: number
  declare readonly pmdSize: number
  declare readonly pudSize: number
  declare readonly pgdirSize: number
  /** Base pages in a huge page, and log2 of it. */
  declare readonly hpagePmdNr: number
  declare readonly hpagePmdOrder: number
  /** First byte address past the user half. */
  declare readonly taskSize: number
  declare private readonly indexMask: number
  declare private readonly pteMask: number
  declare private readonly invPageSize: number
  declare private readonly invPmdSize: number
  declare private readonly invPudSize: number
  declare private readonly invPgdirSize: number

  /** Throws UsageError for a shape that no table can have. */
  constructor(options: GeometryOptions) {
    const { levels, indexBits, pageShift, pteBits = indexBits } = options
    checkShape(options)
    this.levels = levels
    this.indexBits = indexBits
    this.ptrsPerTable = 2 ** indexBits
    this.pteBits = pteBits
    this.ptrsPerPte = 2 ** pteBits
    this.pageShift = pageShift
    this.pmdShift = pageShift + pteBits
    this.pudShift = this.pmdShift + indexBits
    this.pgdirShift = this.pudShift + indexBits
    this.p4dShift = this.pgdirShift
    this.pageSize = 2 ** this.pageShift
    this.pmdSize = 2 ** this.pmdShift
    this.pudSize = 2 ** this.pudShift
    this.pgdirSize = 2 ** this.pgdirShift
    this.hpagePmdNr = this.ptrsPerPte
    this.hpagePmdOrder = pteBits
    this.taskSize =
      levels === 5 ? wholeTree(indexBits, this.pgdirShift) : userHalf(options, this.pgdirShift + indexBits)
    this.indexMask = this.ptrsPerTable - 1
    this.pteMask = this.ptrsPerPte - 1
    this.invPageSize = 1 / this.pageSize
    this.invPmdSize = 1 / this.pmdSize
    this.invPudSize = 1 / this.pudSize
    this.invPgdirSize = 1 / this.pgdirSize
  }

  pgdIndex(addr: VirtAddr): number {
    return Math.floor(addr * this.invPgdirSize) & this.indexMask
  }

  pudIndex(addr: VirtAddr): number {
    return Math.floor(addr * this.invPudSize) & this.indexMask
  }

  pmdIndex(addr: VirtAddr): number {
    return Math.floor(addr * this.invPmdSize) & this.indexMask
  }

  /** Also the base page of `addr` within the huge page that would cover it. */
  pteIndex(addr: VirtAddr): number {
    return Math.floor(addr * this.invPageSize) & this.pteMask
  }

  /** Pages in `bytes` bytes, a multiple of the page size. */
  pagesIn(bytes: number): number {
    return bytes * this.invPageSize
  }

  pageAlignDown(addr: VirtAddr): VirtAddr {
    return (Math.floor(addr * this.invPageSize) * this.pageSize) as VirtAddr
  }

  /** `addr & HPAGE_PMD_MASK`: where the huge page that would cover `addr` starts. */
  pmdAlignDown(addr: VirtAddr): VirtAddr {
    return (Math.floor(addr * this.invPmdSize) * this.pmdSize) as VirtAddr
  }

  pmdAlignUp(addr: VirtAddr): VirtAddr {
    return (Math.floor((addr + this.pmdSize - 1) * this.invPmdSize) * this.pmdSize) as VirtAddr
  }

  /**
   * Where a walk of [addr, end) leaves the entry that covers `addr`: the entry's end or `end`, whichever is first.
   * Signed addresses need no care at the top: the last entry of the kernel half ends at 0, the smallest `end` past it.
   */
  pgdAddrEnd(addr: VirtAddr, end: VirtAddr): VirtAddr {
    const boundary = (Math.floor(addr * this.invPgdirSize) + 1) * this.pgdirSize
    return (boundary < end ? boundary : end) as VirtAddr
  }

  pudAddrEnd(addr: VirtAddr, end: VirtAddr): VirtAddr {
    const boundary = (Math.floor(addr * this.invPudSize) + 1) * this.pudSize
    return (boundary < end ? boundary : end) as VirtAddr
  }

  pmdAddrEnd(addr: VirtAddr, end: VirtAddr): VirtAddr {
    const boundary = (Math.floor(addr * this.invPmdSize) + 1) * this.pmdSize
    return (boundary < end ? boundary : end) as VirtAddr
  }

  // ---- levels by number: 2 a PMD entry … 5 -----------------------------------------------------------------------

  /** Bytes that one entry of a table of `level` spans. */
  upperSize(level: number): number {
    return 2 ** (this.pmdShift + this.indexBits * (level - 2))
  }

  /** Index of `addr` in a table of `level`. */
  upperIndex(level: number, addr: number): number {
    return Math.floor(addr / this.upperSize(level)) & this.indexMask
  }

  /** End of what the entry of `level` around `addr` spans, or `end` if that comes first. */
  upperAddrEnd(level: number, addr: number, end: number): number {
    const size = this.upperSize(level)
    return Math.min((Math.floor(addr / size) + 1) * size, end)
  }

  // ---- levels by name, not for hot paths ----------------------------------------------------------------------------

  /** log2 of the bytes that one entry of a table of `level` spans. */
  tableShift(level: LevelName): number {
    const above = LEVEL_NAMES.length - 1 - LEVEL_NAMES.indexOf(level)
    return above === 0 ? this.pageShift : this.pmdShift + this.indexBits * (above - 1)
  }

  /** Entries of a table of `level`. */
  entriesOf(level: LevelName): number {
    return level === 'pte' ? this.ptrsPerPte : this.ptrsPerTable
  }
}

/** Four levels of 2^indexBits entries, for exploration. */
export function smallGeometry(
  indexBits: number,
  pteBits = indexBits,
  levels: 4 | 5 = 4,
  pageShift: 12 | 16 = 12,
): Geometry {
  return new Geometry({ levels, indexBits, pteBits, pageShift })
}

/** The bytes that five levels translate; at most 2^62 of them, below which doubles and sums of them are exact. */
function wholeTree(indexBits: number, p4dShift: number): number {
  return 2 ** Math.min(p4dShift + 2 * indexBits, 62)
}

/** Half of what the tree can address. */
function userHalf({ pageShift, lastPageFree }: GeometryOptions, bits: number): number {
  const half = 2 ** (bits - 1)
  return lastPageFree === true ? half - 2 ** pageShift : half
}

function checkShape({ levels, indexBits, pageShift, pteBits = indexBits }: GeometryOptions): void {
  const most = levels === 5 ? MAX_INDEX_BITS_OF_FIVE : MAX_INDEX_BITS
  if (!Number.isInteger(indexBits) || indexBits < MIN_INDEX_BITS || indexBits > most)
    throw new UsageError(
      `a page table cannot have 2^${indexBits} entries`,
      `index bits are a whole number from ${MIN_INDEX_BITS} to ${most} (4 to ${2 ** most} entries per table)`,
    )
  if (!Number.isInteger(pteBits) || pteBits < MIN_INDEX_BITS || pteBits > indexBits)
    throw new UsageError(
      `a PTE table cannot have 2^${pteBits} entries`,
      `it has at least ${2 ** MIN_INDEX_BITS}, and no more than the tables above it`,
    )
  if ((levels !== 4 && levels !== 5) || (pageShift !== 12 && pageShift !== 16))
    throw new UsageError(
      `no geometry of ${levels} levels with pages of 2^${pageShift} bytes`,
      'it is 4 or 5 levels, 2^12 or 2^16',
    )
}
