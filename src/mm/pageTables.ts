/**
 * Page tables: addresses of entries, tables above the PTE level, locks. PTE tables come from pgalloc/.
 *
 * Source: mm/memory.c, mm/pgtable-generic.c, include/linux/mm.h, asm-generic/pgalloc.h (v6.12). A table above
 * the PTE level is one frame. The split locks, and the heads of deposit rings, are in struct page; tables in one page
 * share its lock. Left out: kernel page tables, and tables
 * that are shared between processes (hugetlb).
 *
 * Locks: mm.pageTableLock guards pgd and pud entries; the lock of a PMD table its entries and its deposit ring; the lock
 * of a PTE table its entries. The PMD lock is taken before the PTE lock.
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import { entryTable, mkTable, pmdBad, pmdLeaf, pteNone, ptePresent } from '../arch/x86_64/pte.js'
import type { Step } from '../machine/engine/engine.js'
import { add32, fillBytes, note, peek32, poke32 } from '../machine/image/image.js'
import { FrameKind, Level } from '../machine/trace/observer.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './kernel.js'
import { MM } from './mmStruct.js'
import { NO_PAGE, NO_TABLE, PAGE, PG_TABLE } from './page.js'

const NO_ENTRY = phys(0)

export class PageTables extends Part {
  // ---- where an entry is ------------------------------------------------------------------------------------------

  pgdOffset(mm: PhysAddr, addr: VirtAddr): PhysAddr {
    return phys(peek32(mm + MM.at.pgd) + this.k.geo.pgdIndex(addr) * 8)
  }

  /** Entry for `addr` in the table that the word of the level above points to. Pure: the caller has read the word. */
  pudOffset(pgd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pgd)) + this.k.geo.pudIndex(addr) * 8)
  }

  pmdOffset(pud: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pud)) + this.k.geo.pmdIndex(addr) * 8)
  }

  pteOffset(pmd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pmd)) + this.k.geo.pteIndex(addr) * 8)
  }

  /** mm_find_pmd(): the PMD entry for `addr`, 0 when there is no PMD table. Caller: a lock that keeps the tables. */
  *mmFindPmd(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const pgd = (yield* this.cpu.readOnce64(this.pgdOffset(mm, addr))) as PteWord
    if (!ptePresent(pgd)) return NO_ENTRY
    const pudp = this.pudOffset(pgd, addr)
    const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pud, pudp)
    return ptePresent(pud) ? this.pmdOffset(pud, addr) : NO_ENTRY
  }

  /** The PMD entry for `addr`, its tables allocated if `alloc`; 0: no table, or no memory. */
  *walkToPmd(mm: PhysAddr, addr: VirtAddr, alloc: boolean): Step<PhysAddr> {
    if (!alloc) return yield* this.mmFindPmd(mm, addr)
    const pudp = yield* this.pudAlloc(mm, this.pgdOffset(mm, addr), addr)
    return pudp === 0 ? NO_ENTRY : yield* this.pmdAlloc(mm, pudp, addr)
  }

  // ---- allocation -------------------------------------------------------------------------------------------------

  /** A PUD table under the entry if there is none; returns the PUD entry, 0 without memory. */
  *pudAlloc(mm: PhysAddr, pgdp: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const pgd = yield* this.#allocLevel(mm, pgdp, addr, Level.pud)
    return pteNone(pgd) ? NO_ENTRY : this.pudOffset(pgd, addr)
  }

  *pmdAlloc(mm: PhysAddr, pudp: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const pud = yield* this.#allocLevel(mm, pudp, addr, Level.pmd)
    return pteNone(pud) ? NO_ENTRY : this.pmdOffset(pud, addr)
  }

  /** The word of `entry`, with a new table of `level` behind it if it was none; none when there is no memory. */
  *#allocLevel(mm: PhysAddr, entry: PhysAddr, addr: VirtAddr, level: number): Step<PteWord> {
    const seen = (yield* this.cpu.readOnce64(entry)) as PteWord
    if (!pteNone(seen)) return seen
    const table = yield* this.#newTable(mm, level)
    if (table === NO_TABLE) return seen
    const lock = phys(mm + MM.at.pageTableLock)
    yield* spinLock(this.cpu, lock)
    const now = (yield* this.cpu.readOnce64(entry)) as PteWord
    if (pteNone(now)) {
      // Write barrier: the table's empty entries before the pointer to it. A walker needs no barrier of its own: it
      // reaches the entries only through the pointer (address dependency). The unlock is too late for walkers without lock.
      yield* this.cpu.smpWmb()
      if (level === Level.pud) yield* this.k.ops.pgdPopulate(mm, addr, entry, table)
      else yield* this.k.ops.pudPopulate(mm, addr, entry, table)
    }
    yield* spinUnlock(this.cpu, lock)
    if (pteNone(now)) return mkTable(phys(table * 4096))
    yield* this.freeUpper(table)
    return now
  }

  /** __pte_alloc(): a PTE table under the entry if it is none. False without memory. */
  *pteAlloc(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<boolean> {
    if (!pteNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)) return true
    const table = yield* this.k.pgalloc.pteAllocOne(mm)
    if (table === NO_TABLE) return false
    if (!(yield* this.pmdInstall(mm, pmdp, addr, table))) yield* this.k.pgalloc.pteFree(mm, table)
    return true
  }

  /** pmd_install(): links the table if the entry is still none; false when somebody else was first. */
  *pmdInstall(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, table: Table): Step<boolean> {
    yield* this.pmdLock(pmdp)
    const none = pteNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)
    if (none) {
      this.mmIncNrPtes(mm)
      // Write barrier: as in allocLevel(), for walkers that take no lock.
      yield* this.cpu.smpWmb()
      yield* this.k.ops.pmdPopulate(mm, addr, pmdp, table)
    }
    yield* this.pmdUnlock(pmdp)
    return none
  }

  /** A new top-level table; returns its address, 0 without memory. */
  *newPgd(mm: PhysAddr): Step<PhysAddr> {
    const table = yield* this.#newTable(mm, Level.pgd)
    return table === NO_TABLE ? NO_ENTRY : this.k.memmap.table(table)
  }

  *freePgd(mm: PhysAddr): Step<void> {
    yield* this.freeUpper(this.k.memmap.tableAt(peek32(mm + MM.at.pgd)))
  }

  /** A table above the PTE level, which has a page to itself. */
  *#newTable(mm: PhysAddr, level: number): Step<Table> {
    const pfn = yield* this.newTablePage(this.k.geo.ptrsPerTable * 8)
    if (pfn === NO_PAGE) return NO_TABLE
    const table = this.k.memmap.firstTable(pfn)
    this.k.observer.tableCreated(this.cpu, table, level, mm)
    return table
  }

  /** pagetable_alloc() and its constructor: a page for tables with one reference, its first `bytes` cleared; or NO_PAGE. */
  *newTablePage(bytes: number): Step<Pfn> {
    const pfn = yield* this.k.pages.allocPage(FrameKind.table)
    if (pfn === NO_PAGE) return NO_PAGE
    const page = this.k.memmap.page(pfn)
    poke32(page + PAGE.at.flags, PG_TABLE)
    poke32(page + PAGE.at.ptl, 0)
    poke32(page + PAGE.at.ptl + 4, 0)
    poke32(page + PAGE.at.pmdHugePte, 0)
    fillBytes(this.k.memmap.frame(pfn), 0, bytes)
    return pfn
  }

  /** Gives a table above the PTE level back. No walker is in it. */
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
    return this.pteLockptr(pmdp)
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
      if ((yield* this.cpu.readOnce64(pmdp)) === pmd) return ptep
      yield* this.pteUnmapUnlock(ptep)
    }
  }

  *pteUnmapUnlock(ptep: PhysAddr): Step<void> {
    yield* this.pteUnlock(ptep)
    this.k.rcu.rcuReadUnlock()
  }
}

/** A present PMD word that points to a table: not none, not a migration entry, not huge. */
function isTable(pmd: PteWord): boolean {
  return !pteNone(pmd) && ptePresent(pmd) && !pmdLeaf(pmd) && !pmdBad(pmd)
}
