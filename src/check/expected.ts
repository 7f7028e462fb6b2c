/**
 * The counts that frames must have, summed up from everything that may hold a reference: page tables of all address
 * spaces, deposited tables, the page cache, batches of the LRU. For finalCheck(); all CPUs have stopped, so plain loads
 * see everything.
 *
 * Judges on the way what only the walk sees: entries that no finished operation leaves (migration entries, invalidated
 * huge pages), tables that hang in two places, A1 (a writable entry of an anonymous page implies exclusive), rss
 * counters, and the deposited tables of each PMD table: as many as huge entries (D1), and empty (D2).
 */
import type { PteWord } from '../base/units.js'
import { peek32, peek64 } from '../machine/image/image.js'
import { Panic } from '../machine/engine/finding.js'
import { Level } from '../arch/level.js'
import { LRU_LAZYFREE } from '../mm/lru.js'
import { MM } from '../mm/mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON, PG_ANON_EXCLUSIVE } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import {
  hugeFrame,
  briefAt,
  isEmptyWord,
  isInvalidated,
  isWritable,
  pmdDirty,
  pteDirty,
  pteFrame,
  tableFrame,
} from '../arch/entry.js'
import { SHADOW, TABLE_DEPOSITED, TABLE_SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex } from './violation.js'

export class Expected {
  /** By first frame of a folio: references that mappings and the page cache hold. */
  readonly refs: Int32Array
  /** PTEs that map the frame. */
  readonly maps: Int32Array
  /** PMDs that map the folio from here. */
  readonly entire: Int32Array
  /** Places where a table hangs. */
  readonly tables: Uint8Array
  /** By first frame of PMD tables: tables deposited with them. Those that share a frame share the ring. */
  readonly #deposits: Int32Array
  /** By frame: pages of tables that an mm keeps for the tables to come. */
  readonly kept: Uint8Array
  /** By frame, of those that were written: an entry that maps it is dirty. */
  readonly dirty: Uint8Array
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  // Of the mm that is being walked.
  #rssAnon = 0
  #rssFile = 0
  #nrPtes = 0
  /** By first frame of its PMD tables: huge entries in them. */
  readonly #hugeEntries = new Map<number, number>()

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.refs = new Int32Array(shadow.frames)
    this.maps = new Int32Array(shadow.frames)
    this.entire = new Int32Array(shadow.frames)
    const tables = shadow.frames * machine.memmap.fragments
    this.tables = new Uint8Array(tables)
    this.#deposits = new Int32Array(shadow.frames)
    this.kept = new Uint8Array(shadow.frames)
    this.dirty = new Uint8Array(shadow.frames)
  }

  collect(): void {
    this.refs.fill(0)
    this.maps.fill(0)
    this.entire.fill(0)
    this.tables.fill(0)
    this.kept.fill(0)
    this.dirty.fill(0)
    this.#countDeposits()
    const { mms, pageCache } = this.#machine.regions.kernel
    const { config } = this.#machine
    for (let i = 0; i < config.kernel.mms; i++) {
      const mm = mms + i * MM.size
      if (peek32(mm + MM.at.inUse) !== 0) this.#collectMm(mm)
    }
    for (let i = 0; i < config.kernel.filePages; i++) {
      const page = peek32(pageCache + i * 4)
      if (page !== 0) this.#addRef(this.#machine.memmap.pfnOf(page))
    }
    this.#countBatches()
  }

  #countBatches(): void {
    const { memmap, regions, config } = this.#machine
    for (let cpu = 0; cpu < config.cpus; cpu++) {
      const batch = regions.kernel.lruLazyfree + cpu * LRU_LAZYFREE.size
      const nr = peek32(batch + LRU_LAZYFREE.at.nr)
      for (let i = 0; i < nr; i++) this.#addRef(memmap.pfnOf(peek32(batch + LRU_LAZYFREE.at.folios + 4 * i)))
    }
  }

  // ---- one address space ------------------------------------------------------------------------------------------

  #collectMm(mm: number): void {
    this.#rssAnon = this.#rssFile = this.#nrPtes = 0
    this.#hugeEntries.clear()
    const pgd = peek32(mm + MM.at.pgd)
    const { memmap } = this.#machine
    const top = this.#shadow.pfnAt(pgd) < 0 ? -1 : memmap.tableAt(pgd)
    this.#table(top, peek32(mm + MM.at.topLevel), mm + MM.at.pgd)
    for (const [pfn, huge] of this.#hugeEntries) this.#deposited(pfn, huge)
    for (const cursor of [peek32(mm + MM.at.pteFrag), peek32(mm + MM.at.pmdFrag)])
      if (cursor !== 0) this.kept[memmap.pfnAt(cursor)] = 1
    this.#compare(mm, MM.at.rssAnon, this.#rssAnon, 'BUG: Bad rss-counter state type:MM_ANONPAGES')
    this.#compare(mm, MM.at.rssFile, this.#rssFile, 'BUG: Bad rss-counter state type:MM_FILEPAGES')
    this.#compare(mm, MM.at.nrPtes, this.#nrPtes, 'BUG: wrong pgtables_bytes')
    this.#compare(mm, MM.at.tlbFlushPending, 0, 'BUG: tlb_flush_pending after the last flush')
  }

  #compare(mm: number, field: number, expected: number, title: string): void {
    const found = peek32(mm + field)
    if (found !== expected)
      finding('refcount', title, mm + field, [`mm ${hex(mm)}: expected ${expected}, found ${found}`])
  }

  /** Table `nr` of `level`, found at `from`, and everything below it. */
  #table(nr: number, level: number, from: number): void {
    const { geo, memmap } = this.#machine
    const state = this.#shadow.tableExists(nr) ? peek32(this.#shadow.table(nr) + TABLE_SHADOW.at.state) : 0
    if (state !== level)
      finding('frame-state', 'BUG: an entry points to what is no table of its level', from, this.#describe(nr))
    if (this.tables[nr] !== 0) finding('frame-state', 'BUG: page table linked twice', from, this.#describe(nr))
    this.tables[nr] = 1
    if (level === Level.pte) this.#nrPtes++
    const first = memmap.table(nr)
    const entries = level === Level.pte ? geo.ptrsPerPte : geo.ptrsPerTable
    let huge = 0
    for (let at: number = first; at < first + entries * 8; at += 8) {
      if (isEmptyWord(level, peek32(at), peek32(at + 4))) continue
      const low = briefAt(at)
      if (level === Level.pte) this.#pte(at, low)
      else if (level === Level.pmd && tableFrame(low) < 0) huge += this.#hugePmd(at, low)
      else this.#table(tableFrame(low), level - 1, at)
    }
    if (level !== Level.pmd) return
    const pfn = memmap.pfnOfTable(nr)
    this.#hugeEntries.set(pfn, (this.#hugeEntries.get(pfn) ?? 0) + huge)
  }

  #describe(table: number): string[] {
    return this.#sites.describe(table < 0 ? table : this.#machine.memmap.pfnOfTable(table))
  }

  #pte(at: number, low: number): void {
    const pfn = pteFrame(low)
    if (pfn < 0) finding('entry-legal', 'BUG: an entry that no operation waits for was left behind', at, [describe(at)])
    if (this.#shadow.isReserved(pfn)) return
    this.#mappable(pfn, at)
    this.maps[pfn] = (this.maps[pfn] as number) + 1
    if (this.#isWritten(pfn) && pteDirty(wordAt(at))) this.dirty[pfn] = 1
    const head = this.#addRef(pfn)
    if (!this.#isAnon(head)) {
      this.#rssFile++
      return
    }
    this.#rssAnon++
    if (isWritable(Level.pte, low)) this.#checkExclusive(this.#machine.memmap.page(pfn), at)
  }

  /** A huge leaf; returns 1, the deposited table that belongs to it. */
  #hugePmd(at: number, low: number): 1 {
    const { hugePages } = this.#shadow
    const pfn = hugeFrame(low, hugePages)
    if (pfn < 0) finding('entry-legal', 'BUG: an entry that no operation waits for was left behind', at, [describe(at)])
    if (isInvalidated(low)) finding('entry-legal', 'BUG: a huge PMD was left invalidated', at, [describe(at)])
    if (this.#shadow.isReserved(pfn)) return 1
    this.#mappable(pfn, at)
    this.entire[pfn] = (this.entire[pfn] as number) + 1
    this.#addRef(pfn)
    if (pmdDirty(wordAt(at))) this.dirty.fill(1, pfn, pfn + hugePages)
    this.#rssAnon += hugePages
    if (isWritable(Level.pmd, low)) this.#checkExclusive(this.#machine.memmap.page(pfn), at)
    return 1
  }

  #isWritten(pfn: number): boolean {
    return peek32(this.#shadow.of(pfn) + SHADOW.at.written) !== 0
  }

  #mappable(pfn: number, at: number): void {
    if (!this.#shadow.isData(pfn))
      finding('frame-state', 'BUG: Bad page map: an entry names a frame that is no page', at, this.#sites.describe(pfn))
  }

  #checkExclusive(page: number, at: number): void {
    if ((peek32(page + PAGE.at.flags) & PG_ANON_EXCLUSIVE) !== 0) return
    finding('pin-exclusive', 'BUG: writable entry of an anonymous page that is not exclusive', at, [describe(at)])
  }

  /** The PTE tables that wait for the splits of `huge` entries of the PMD tables at frame `pfn`. */
  #deposited(pfn: number, huge: number): void {
    const found = this.#deposits[pfn] as number
    this.#nrPtes += found
    const list = this.#machine.memmap.page(pfn) + PAGE.at.pmdHugePte
    if (found === huge && (peek32(list) !== 0) === found > 0) return
    finding('frame-state', 'BUG: deposited page tables do not match huge entries', list, [
      `${huge} huge entries, ${found} tables, ${peek32(list) === 0 ? 'nothing' : 'something'} on the list`,
    ])
  }

  #countDeposits(): void {
    this.#deposits.fill(0)
    for (let nr = 0; nr < this.tables.length; nr++) {
      const at = this.#shadow.table(nr)
      if ((peek32(at + TABLE_SHADOW.at.state) & TABLE_DEPOSITED) === 0) continue
      this.#checkDeposited(nr)
      const pfn = peek32(at + TABLE_SHADOW.at.depositedAt) - 1
      this.#deposits[pfn] = (this.#deposits[pfn] as number) + 1
    }
  }

  /** Empty, but for the links of its ring where tables share a page. */
  #checkDeposited(nr: number): void {
    const { geo, memmap } = this.#machine
    this.tables[nr] = 1
    const first = memmap.table(nr) + (memmap.fragments === 1 ? 0 : 8)
    for (let at: number = first; at < memmap.table(nr) + geo.ptrsPerPte * 8; at += 8)
      if (!isEmptyWord(Level.pte, peek32(at), peek32(at + 4)))
        finding('frame-state', 'BUG: a deposited page table is not empty', at, this.#describe(nr))
  }

  // ---- folios -----------------------------------------------------------------------------------------------------

  /** One more reference on the folio of frame `pfn`; returns its first frame. */
  #addRef(pfn: number): number {
    const head = this.headOf(pfn)
    this.refs[head] = (this.refs[head] as number) + 1
    return head
  }

  headOf(pfn: number): number {
    const { memmap } = this.#machine
    const link = peek32(memmap.page(pfn) + PAGE.at.compoundHead)
    return (link & 1) !== 0 ? memmap.pfnOf(link - 1) : pfn
  }

  #isAnon(head: number): boolean {
    return (peek32(this.#machine.memmap.page(head) + PAGE.at.mapping) & PAGE_MAPPING_ANON) !== 0
  }
}

/** Ends the check. */
export function finding(oracle: string, title: string, address: number, details: readonly string[]): never {
  throw new Panic({ oracle, title, cpu: -1, address, details, stack: [] })
}

const wordAt = (at: number): PteWord => BigInt.asUintN(64, peek64(at)) as PteWord
const describe = (at: number): string => `it is 0x${hexWord(peek32(at + 4))}_${hexWord(peek32(at))}`
const hexWord = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')
