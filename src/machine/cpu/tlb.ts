/**
 * Translation lookaside buffers, one for each CPU, in the image: with broadcast invalidation another CPU clears entries
 * without an interrupt.
 *
 * An entry holds decoded numbers (frame, permissions), so that hardware need not know entry formats. Entries for base
 * pages and for huge pages sit in two direct-mapped halves; both may hold a translation of one address at a time, as on
 * real hardware. An entry remembers the clock at which it was filled, which is what oracles compare.
 *
 * Beside it the paging-structure cache (PSC) remembers where PTE tables are, so that a walk may begin at the table
 * though the entry that led to it has gone: only an invalidation ends that. Any invalidation of an address space drops
 * all of its PSC entries, as INVLPG does.
 *
 * Left out: global entries, and PSC entries for the levels above.
 */
import { phys, type PhysAddr } from '../../base/units.js'
import { peek32, peekF64, poke32, pokeF64 } from '../image/image.js'
import { hardware } from '../image/guard.js'
import type { Layout } from '../image/layout.js'
import { struct } from '../image/struct.js'

export const TLB_ENTRY = struct('tlb', 32, {
  vpn: [0, 8, hardware], //    double: virtual page number of the first page translated
  pfn: [8, 4, hardware], //    frame of the first page
  pages: [12, 4, hardware], // base pages translated: 1, or those of a huge page; 0: entry is empty
  flags: [16, 4, hardware], // TLB_WRITE, TLB_DIRTY
  stamp: [20, 4, hardware], // clock when filled
  mm: [24, 4, hardware], //    the mm it was filled for
})

export const PSC_ENTRY = struct('psc', 32, {
  prefix: [0, 8, hardware], // double: address / bytes of a PMD entry
  table: [8, 4, hardware], //  address of the PTE table; 0: entry is empty
  mm: [12, 4, hardware],
})

export const TLB_WRITE = 1 // stores are allowed
export const TLB_DIRTY = 2 // the walker has set the dirty bit: stores need no further walk

/** Hears of fills and drops; the oracles' way to know which frames are cached where. */
export interface TlbWatcher {
  tlbFilled(cpu: number, pfn: number, pages: number): void
  tlbDropped(cpu: number, pfn: number, pages: number): void
}

export interface TlbSizes {
  /** Entries for base pages, a power of two. */
  readonly base: number
  /** Entries for huge pages, a power of two. */
  readonly huge: number
  /** Entries of the paging-structure cache, a power of two, or 0 for none. */
  readonly psc: number
}

export function placeTlbs(layout: Layout, cpuCount: number, sizes: TlbSizes): PhysAddr {
  const tlbs = layout.add('tlb', TLB_ENTRY, cpuCount * (sizes.base + sizes.huge))
  layout.add('psc', PSC_ENTRY, cpuCount * sizes.psc)
  return tlbs
}

export class Tlb {
  readonly #cpu: number
  readonly #first: PhysAddr
  readonly #sizes: TlbSizes
  readonly #watcher: TlbWatcher
  readonly #firstPsc: PhysAddr

  /** The TLB of CPU `cpu` of `cpus`; other CPUs hold views of it for broadcast flushes and for oracles. */
  constructor(tlbs: PhysAddr, cpu: number, cpus: number, sizes: TlbSizes, watcher: TlbWatcher) {
    this.#cpu = cpu
    this.#first = phys(tlbs + cpu * (sizes.base + sizes.huge) * TLB_ENTRY.size)
    this.#sizes = sizes
    this.#watcher = watcher
    this.#firstPsc = phys(tlbs + cpus * (sizes.base + sizes.huge) * TLB_ENTRY.size + cpu * sizes.psc * PSC_ENTRY.size)
  }

  /**
   * Address of the entry that translates page `vpn` of `mm`, base pages first; 0 on a miss. `huge`: pages of a huge
   * page.
   */
  lookup(vpn: number, huge: number, mm: number): PhysAddr {
    const small = this.#slot(vpn, 1, huge)
    if (covers(small, vpn, mm)) return small
    const large = this.#slot(vpn, huge, huge)
    return covers(large, vpn, mm) ? large : phys(0)
  }

  /**
   * Fills an entry for `pages` pages of `mm` from `vpn` (aligned to `pages`), over whatever was in its slot; `stamp` is
   * the clock. Returns its address.
   */
  fill(vpn: number, pfn: number, pages: number, flags: number, stamp: number, mm: number): PhysAddr {
    const at = this.#slot(vpn, pages, pages)
    this.#drop(at)
    pokeF64(at + TLB_ENTRY.at.vpn, vpn)
    poke32(at + TLB_ENTRY.at.pfn, pfn)
    poke32(at + TLB_ENTRY.at.flags, flags)
    poke32(at + TLB_ENTRY.at.stamp, stamp)
    poke32(at + TLB_ENTRY.at.mm, mm)
    poke32(at + TLB_ENTRY.at.pages, pages)
    this.#watcher.tlbFilled(this.#cpu, pfn, pages)
    return at
  }

  /**
   * Drops every entry of `mm` that translates a page of vpn … end-1. `lastLevel`: those alone, and not what is known of
   * tables (arm64's TLBI of the last level).
   */
  flushRange(mm: number, vpn: number, end: number, lastLevel = false): void {
    for (let slot = 0; slot < this.entryCount; slot++) {
      const at = this.entry(slot)
      const pages = peek32(at + TLB_ENTRY.at.pages)
      if (pages === 0 || peek32(at + TLB_ENTRY.at.mm) !== mm) continue
      const first = peekF64(at + TLB_ENTRY.at.vpn)
      if (first < end && first + pages > vpn) this.#drop(at)
    }
    if (!lastLevel) this.dropTables(mm)
  }

  flushAll(): void {
    for (let slot = 0; slot < this.entryCount; slot++) this.#drop(this.entry(slot))
    for (let slot = 0; slot < this.#sizes.psc; slot++) poke32(this.psc(slot) + PSC_ENTRY.at.table, 0)
  }

  // ---- paging-structure cache -------------------------------------------------------------------------------------

  /** Address of the PTE table for `prefix` of `mm`, 0 on a miss. */
  lookupTable(prefix: number, mm: number): number {
    if (this.#sizes.psc === 0) return 0
    const at = this.psc(prefix % this.#sizes.psc)
    const found = peekF64(at + PSC_ENTRY.at.prefix) === prefix && peek32(at + PSC_ENTRY.at.mm) === mm
    return found ? peek32(at + PSC_ENTRY.at.table) : 0
  }

  fillTable(prefix: number, table: number, mm: number): void {
    if (this.#sizes.psc === 0) return
    const at = this.psc(prefix % this.#sizes.psc)
    pokeF64(at + PSC_ENTRY.at.prefix, prefix)
    poke32(at + PSC_ENTRY.at.mm, mm)
    poke32(at + PSC_ENTRY.at.table, table)
  }

  /** Forgets the tables of `mm`. */
  dropTables(mm: number): void {
    for (let slot = 0; slot < this.#sizes.psc; slot++)
      if (peek32(this.psc(slot) + PSC_ENTRY.at.mm) === mm) poke32(this.psc(slot) + PSC_ENTRY.at.table, 0)
  }

  get pscCount(): number {
    return this.#sizes.psc
  }

  /** Address of slot `index` of the PSC. */
  psc(index: number): PhysAddr {
    return phys(this.#firstPsc + index * PSC_ENTRY.size)
  }

  get entryCount(): number {
    return this.#sizes.base + this.#sizes.huge
  }

  /** Address of slot `index`, for oracles that scan. */
  entry(index: number): PhysAddr {
    return phys(this.#first + index * TLB_ENTRY.size)
  }

  #slot(vpn: number, pages: number, huge: number): PhysAddr {
    const index = pages === 1 ? vpn % this.#sizes.base : this.#sizes.base + (Math.floor(vpn / huge) % this.#sizes.huge)
    return this.entry(index)
  }

  #drop(at: PhysAddr): void {
    const pages = peek32(at + TLB_ENTRY.at.pages)
    if (pages === 0) return
    poke32(at + TLB_ENTRY.at.pages, 0)
    this.#watcher.tlbDropped(this.#cpu, peek32(at + TLB_ENTRY.at.pfn), pages)
  }
}

function covers(entry: PhysAddr, vpn: number, mm: number): boolean {
  const pages = peek32(entry + TLB_ENTRY.at.pages)
  if (pages === 0 || peek32(entry + TLB_ENTRY.at.mm) !== mm) return false
  const first = peekF64(entry + TLB_ENTRY.at.vpn)
  return vpn >= first && vpn < first + pages
}
