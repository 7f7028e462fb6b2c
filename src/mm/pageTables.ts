/**
 * Page tables: their memory, their locks, and the entries of PTE tables. PTE tables come from pgalloc/; the way to them
 * is upperTables.ts.
 *
 * Source: mm/memory.c, mm/pgtable-generic.c, include/linux/mm.h, asm-generic/pgalloc.h (v6.12). The split locks, and
 * the heads of deposit rings, are in struct page; tables in one page share its lock.
 *
 * Locks: mm.pageTableLock guards pgd and pud entries; the lock of a PMD table its entries and its deposit ring; the
 * lock of a PTE table its entries. The PMD lock is taken before the PTE lock.
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import { emptyEntry, entryTable, pmdBad, pmdLeaf, pmdNone, pmdPresent, pmdSame } from '../arch/entry.js'
import { type UpperLevel, Level } from '../arch/level.js'
import type { Step } from '../machine/engine/engine.js'
import { fillBytes, poke32, poke64 } from '../machine/image/guarded.js'
import { add32, note } from '../machine/image/image.js'
import { FrameKind } from '../arch/observer.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'
import { NO_PAGE, NO_TABLE, PAGE, PG_HEAD, PG_TABLE } from './page.js'

const NO_ENTRY = phys(0)

export class PageTables extends Part {
  /** Entry for `addr` in the table that the PMD word points to. Pure: the caller has read the word. */
  pteOffset(pmd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pmd)) + this.k.geo.pteIndex(addr) * 8)
  }

  // ---- allocation -------------------------------------------------------------------------------------------------

  /** __pte_alloc(): a PTE table under the entry if it is none. False without memory. */
  *pteAlloc(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<boolean> {
    if (!pmdNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)) return true
    const table = yield* this.k.pgalloc.pteAllocOne(mm)
    if (table === NO_TABLE) return false
    if (!(yield* this.pmdInstall(mm, pmdp, addr, table))) yield* this.k.pgalloc.pteFree(mm, table)
    return true
  }

  /** pmd_install(): links the table if the entry is still none; false when somebody else was first. */
  *pmdInstall(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, table: Table): Step<boolean> {
    yield* this.pmdLock(pmdp)
    const none = pmdNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)
    if (none) {
      this.mmIncNrPtes(mm)
      // Write barrier: as in allocLevel(), for walkers that take no lock.
      yield* this.cpu.smpWmb()
      yield* this.k.ops.pmdPopulate(mm, addr, pmdp, table)
    }
    yield* this.pmdUnlock(pmdp)
    return none
  }

  /** A table of `level` above the PTE, all entries none, linked nowhere; NO_TABLE without memory. */
  *newTable(mm: PhysAddr, level: UpperLevel): Step<Table> {
    return yield* level === Level.pmd ? this.k.pgalloc.pmdAllocOne(mm) : this.newUpper(mm, level)
  }

  /** Gives such a table back. No walker is in it. */
  *freeTable(table: Table, level: number): Step<void> {
    yield* level === Level.pmd ? this.k.pgalloc.pmdFree(table) : this.freeUpper(table)
  }

  /** A table that has its pages to itself. */
  *newUpper(mm: PhysAddr, level: UpperLevel): Step<Table> {
    const { memmap, geo } = this.k
    const pfn = yield* this.pagetableAlloc(memmap.upperOrder, geo.ptrsPerTable, emptyEntry(level))
    if (pfn === NO_PAGE) return NO_TABLE
    const table = memmap.firstTable(pfn)
    this.k.observer.tableCreated(this.cpu, table, level, mm)
    return table
  }

  /**
   * pagetable_alloc() and the constructor: 2^order frames for tables with one reference, their first `entries` words
   * `empty`; or NO_PAGE.
   */
  *pagetableAlloc(order: number, entries: number, empty: PteWord): Step<Pfn> {
    const pfn = yield* this.k.pages.allocPages(order, FrameKind.table)
    if (pfn === NO_PAGE) return NO_PAGE
    const page = this.k.memmap.page(pfn)
    poke32(page + PAGE.at.flags, order === 0 ? PG_TABLE : PG_TABLE | PG_HEAD)
    poke32(page + PAGE.at.ptl, 0)
    poke32(page + PAGE.at.ptl + 4, 0)
    poke32(page + PAGE.at.pmdHugePte, 0)
    const first = this.k.memmap.frame(pfn)
    if (empty === 0n) fillBytes(first, 0, entries * 8)
    else for (let i = 0; i < entries; i++) poke64(first + i * 8, empty)
    return pfn
  }

  *freeUpper(table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.k.folios.folioPut(this.k.memmap.page(this.k.memmap.pfnOfTable(table)), 1)
  }

  /** mm->pgtables_bytes, in tables. A statistic: no schedule point. */
  mmIncNrPtes(mm: PhysAddr): void {
    this.addCounter(phys(mm + MM.at.nrPtes), 1)
  }

  mmDecNrPtes(mm: PhysAddr): void {
    this.addCounter(phys(mm + MM.at.nrPtes), -1)
  }

  /** Adds to a counter that nothing is decided by (rss, table count): atomic, but no schedule point. */
  addCounter(counter: PhysAddr, delta: number): void {
    add32(counter, delta)
    note(counter)
  }

  // ---- locks ------------------------------------------------------------------------------------------------------

  /** The lock of the table that the entry at `entry` is in. */
  pteLockptr(ptep: PhysAddr): PhysAddr {
    return phys(this.k.memmap.page(this.k.memmap.pfnAt(ptep)) + PAGE.at.ptl)
  }

  pmdLockptr(pmdp: PhysAddr): PhysAddr {
    return phys(this.k.memmap.page(this.k.memmap.upperPfnAt(pmdp)) + PAGE.at.ptl)
  }

  /** The lock of the entries above the PMD level. */
  *pageTableLock(mm: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, phys(mm + MM.at.pageTableLock))
  }

  *pageTableUnlock(mm: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, phys(mm + MM.at.pageTableLock))
  }

  *pmdLock(pmdp: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, this.pmdLockptr(pmdp))
  }

  *pmdUnlock(pmdp: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, this.pmdLockptr(pmdp))
  }

  *pteLock(ptep: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, this.pteLockptr(ptep))
  }

  *pteUnlock(ptep: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, this.pteLockptr(ptep))
  }

  /**
   * pte_offset_map(): the PTE entry for `addr` under the PMD entry, in an RCU read section that pteUnmap() ends; 0, and
   * no section, when there is no table. The table may already be disconnected: then it reads as empty.
   */
  *pteOffsetMap(pmdp: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    this.k.rcu.rcuReadLock()
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (isTable(pmd)) return this.pteOffset(pmd, addr)
    this.k.rcu.rcuReadUnlock()
    return NO_ENTRY
  }

  pteUnmap(): void {
    this.k.rcu.rcuReadUnlock()
  }

  /**
   * pte_offset_map_lock(): as above, with the table's lock held. The PMD is read again under the lock: whoever removes
   * the table clears the PMD while holding both locks, so an unchanged PMD means the table stays.
   */
  *pteOffsetMapLock(_mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    for (;;) {
      this.k.rcu.rcuReadLock()
      const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
      this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
      if (!isTable(pmd)) {
        this.k.rcu.rcuReadUnlock()
        return NO_ENTRY
      }
      const ptep = this.pteOffset(pmd, addr)
      yield* this.pteLock(ptep)
      if (yield* this.pmdUnchanged(pmdp, pmd)) return ptep
      yield* this.pteUnmapUnlock(ptep)
    }
  }

  protected *pmdUnchanged(pmdp: PhysAddr, pmd: PteWord): Step<boolean> {
    return pmdSame((yield* this.cpu.readOnce64(pmdp)) as PteWord, pmd)
  }

  *pteUnmapUnlock(ptep: PhysAddr): Step<void> {
    yield* this.pteUnlock(ptep)
    this.k.rcu.rcuReadUnlock()
  }
}

/** A present PMD word that points to a table: not none, not a migration entry, not huge. */
function isTable(pmd: PteWord): boolean {
  return !pmdNone(pmd) && pmdPresent(pmd) && !pmdLeaf(pmd) && !pmdBad(pmd)
}
