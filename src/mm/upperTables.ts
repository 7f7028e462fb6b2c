/**
 * The levels of page tables above the PTE table: how a walk gets to the PMD entry of an address, how tables are added
 * and taken away. This part has the four levels of x86-64, which are the same for every process and for ever; an
 * architecture whose levels fold at run time replaces it (s390/foldedTables.ts).
 *
 * Source: mm/memory.c __pud_alloc() … free_pgd_range(), mm/gup.c gup_fast_pgd_range() and below (v6.12). Left out:
 * kernel page tables, tables shared between processes (hugetlb), leaves above the PMD.
 *
 * Locks: mm.pageTableLock guards the entries of this file. Walkers with IRQs off take none.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { entryTable, pmdLeaf, pmdPresent, pteNone, tableEntry } from '../arch/entry.js'
import { type UpperLevel, Level } from '../arch/level.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32, pokeF64 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'
import { NO_TABLE } from './page.js'

export const NO_ENTRY = phys(0)

export class UpperTables extends Part {
  // ---- the top ----------------------------------------------------------------------------------------------------

  /** pgd_alloc(): a top-level table for the new address space `mm`; false without memory. */
  *pgdAlloc(mm: PhysAddr): Step<boolean> {
    return yield* this.makeTop(mm, Level.pgd, this.k.geo.taskSize)
  }

  /** Part of pgd_alloc(). */
  protected *makeTop(mm: PhysAddr, level: UpperLevel, limit: number): Step<boolean> {
    const table = yield* this.k.tables.newTable(mm, level)
    if (table === NO_TABLE) return false
    poke32(mm + MM.at.pgd, this.k.memmap.table(table))
    poke32(mm + MM.at.topLevel, level)
    pokeF64(mm + MM.at.asceLimit, limit)
    return true
  }

  /** pgd_free(). */
  *pgdFree(mm: PhysAddr): Step<void> {
    yield* this.k.tables.freeTable(this.k.memmap.tableAt(peek32(mm + MM.at.pgd)), Level.pgd)
  }

  /**
   * Makes addresses below `end` translatable, if they can be; false: no memory for that. Caller: mmap_lock for write.
   */
  *reach(_mm: PhysAddr, _end: number): Step<boolean> {
    return true
  }

  // ---- where an entry is ------------------------------------------------------------------------------------------

  /** pgd_offset(). */
  pgdOffset(mm: PhysAddr, addr: VirtAddr): PhysAddr {
    return phys(peek32(mm + MM.at.pgd) + this.k.geo.pgdIndex(addr) * 8)
  }

  /**
   * pud_offset(): entry for `addr` in the table that the word of the level above points to. Pure: the caller has read
   * the word.
   */
  pudOffset(pgd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pgd)) + this.k.geo.pudIndex(addr) * 8)
  }

  /** pmd_offset(). */
  pmdOffset(pud: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.table(entryTable(pud)) + this.k.geo.pmdIndex(addr) * 8)
  }

  /** mm_find_pmd(): the PMD entry for `addr`, 0 when there is no PMD table. Caller: a lock that keeps the tables. */
  *mmFindPmd(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const pgd = (yield* this.cpu.readOnce64(this.pgdOffset(mm, addr))) as PteWord
    if (this.isNone(pgd)) return NO_ENTRY
    const pudp = this.pudOffset(pgd, addr)
    const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pud, pudp)
    return this.isNone(pud) ? NO_ENTRY : this.pmdOffset(pud, addr)
  }

  /** Where to go on behind `addr`, for which mmFindPmd() has found nothing: behind the missing table, at most `end`. */
  *behindMissing(mm: PhysAddr, addr: VirtAddr, end: VirtAddr): Step<VirtAddr> {
    const pgd = (yield* this.cpu.readOnce64(this.pgdOffset(mm, addr))) as PteWord
    return this.isNone(pgd) ? this.k.geo.pgdAddrEnd(addr, end) : this.k.geo.pudAddrEnd(addr, end)
  }

  // ---- allocation -------------------------------------------------------------------------------------------------

  /**
   * mm_alloc_pmd(): the PMD entry for `addr`, with the tables above it allocated; 0 without memory. Caller:
   * mmap_lock, or that of a VMA.
   */
  *mmAllocPmd(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    this.k.vmaLock.assertFaultLocked(mm)
    const pgd = yield* this.allocLevel(mm, this.pgdOffset(mm, addr), addr, Level.pgd)
    if (pteNone(pgd)) return NO_ENTRY
    const pud = yield* this.allocLevel(mm, this.pudOffset(pgd, addr), addr, Level.pud)
    return pteNone(pud) ? NO_ENTRY : this.pmdOffset(pud, addr)
  }

  /** Nothing hangs under an entry of this file's levels. */
  protected isNone(entry: PteWord): boolean {
    return pteNone(entry)
  }

  /**
   * Part of mm_alloc_pmd(): the word of `entry` of `level`, with a new table behind it if it was none; none when there
   * is no memory.
   */
  protected *allocLevel(mm: PhysAddr, entry: PhysAddr, addr: VirtAddr, level: 3 | 4 | 5): Step<PteWord> {
    const seen = (yield* this.cpu.readOnce64(entry)) as PteWord
    if (!this.isNone(seen)) return seen
    const table = yield* this.k.tables.newTable(mm, (level - 1) as UpperLevel)
    if (table === NO_TABLE) return seen
    yield* this.k.tables.pageTableLock(mm)
    const now = (yield* this.cpu.readOnce64(entry)) as PteWord
    if (this.isNone(now)) {
      // Write barrier: the table's empty entries before the pointer to it. A walker needs no barrier of its own: it
      // reaches the entries only through the pointer (address dependency). The unlock is too late for walkers without
      // lock.
      yield* this.cpu.smpWmb()
      yield* this.k.ops.upperPopulate(level, mm, addr, entry, table)
    }
    yield* this.k.tables.pageTableUnlock(mm)
    if (this.isNone(now)) return tableEntry(level, table)
    yield* this.k.tables.freeTable(table, level - 1)
    return now
  }

  // ---- giving back ------------------------------------------------------------------------------------------------

  /**
   * free_pgtables(): unlinks every table that translates part of start … end and nothing outside floor … ceiling, and
   * gives it to the gather. Caller: the VMAs are gone or write-locked, so nobody faults a page into them.
   */
  *freePgtables(mm: PhysAddr, start: VirtAddr, end: VirtAddr, floor: VirtAddr, ceiling: VirtAddr): Step<void> {
    this.k.mms.mmapAssertLocked(mm)
    for (let addr = start; addr < end; addr = this.k.geo.pgdAddrEnd(addr, end)) {
      const pgdp = this.pgdOffset(mm, addr)
      const pgd = (yield* this.cpu.readOnce64(pgdp)) as PteWord
      if (this.isNone(pgd)) continue
      const stop = this.k.geo.pgdAddrEnd(addr, end)
      for (let at = addr; at < stop; at = this.k.geo.pudAddrEnd(at, stop))
        yield* this.freePmdRange(mm, this.pudOffset(pgd, at), at, this.k.geo.pudAddrEnd(at, stop), floor, ceiling)
      if (!inside(addr, this.k.geo.pgdirSize, floor, ceiling)) continue
      yield* this.unlink(Level.pgd, mm, addr, pgdp, pgd)
    }
  }

  /**
   * free_pmd_range() below the region-third (PUD) entry at `pudp`, and the PMD table itself if nothing else needs it.
   */
  protected *freePmdRange(
    mm: PhysAddr,
    pudp: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    floor: number,
    ceiling: number,
  ): Step<void> {
    const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
    if (this.isNone(pud)) return
    for (let addr = start; addr < end; addr = this.k.geo.pmdAddrEnd(addr, end))
      yield* this.freePteRange(mm, this.pmdOffset(pud, addr), addr, floor, ceiling)
    if (inside(start, this.k.geo.pudSize, floor, ceiling)) yield* this.unlink(Level.pud, mm, start, pudp, pud)
  }

  /**
   * Part of free_pgtables(): clears the entry at `entry` of `level`, which reads `word`, and hands its table to the
   * gather.
   */
  protected *unlink(level: 3 | 4 | 5, mm: PhysAddr, addr: VirtAddr, entry: PhysAddr, word: PteWord): Step<void> {
    yield* this.k.ops.upperClear(level, mm, addr, entry)
    yield* this.k.gather.tableFreeTlb(entryTable(word), addr, level - 1)
  }

  /** free_pte_range(): the table's own lock is not taken: no walker that would need it may exist in free_pgtables(). */
  protected *freePteRange(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, floor: number, ceiling: number): Step<void> {
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (!pmdPresent(pmd) || pmdLeaf(pmd) || !inside(addr, this.k.geo.pmdSize, floor, ceiling)) return
    yield* this.k.ops.pmdClear(mm, addr, pmdp)
    yield* this.k.gather.pteFreeTlb(entryTable(pmd), addr)
    this.k.tables.mmDecNrPtes(mm)
  }

  // ---- gup_fast, IRQs off -----------------------------------------------------------------------------------------

  /** gup_fast_permitted(): the fast walk may look at addresses below `end`. */
  *gupFastPermitted(_mm: PhysAddr, end: VirtAddr): Step<boolean> {
    return end <= this.k.geo.taskSize
  }

  /**
   * gup_fast_pgd_range() and the levels below it, down to the PMD: fills `pages` with what GupFast takes there, returns
   * how many. The upper entries are read anew for each PMD range and not once for all of theirs: it keeps the walk in
   * one loop, whose words stay in registers.
   */
  *gupFastPgdRange(mm: PhysAddr, start: VirtAddr, end: VirtAddr, flags: number, pages: Int32Array): Step<number> {
    const { geo, observer } = this.k
    let nr = 0
    for (let addr = start; addr < end;) {
      const pgdp = this.pgdOffset(mm, addr)
      const pgd = (yield* this.cpu.readOnce64(pgdp)) as PteWord
      observer.tableRead(this.cpu, Level.pgd, pgdp)
      if (this.isNone(pgd)) return nr
      const pudp = this.pudOffset(pgd, addr)
      const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
      observer.tableRead(this.cpu, Level.pud, pudp)
      if (this.isNone(pud)) return nr
      const next = geo.pmdAddrEnd(addr, end)
      const want = nr + geo.pagesIn(next - addr)
      nr = yield* this.k.gupFast.gupFastPmdEntry(this.pmdOffset(pud, addr), addr, next, flags, pages, nr)
      if (nr !== want) return nr
      addr = next
    }
    return nr
  }
}

/** Whether the aligned span of `bytes` around `addr` lies in floor … ceiling. */
export function inside(addr: number, bytes: number, floor: number, ceiling: number): boolean {
  const first = Math.floor(addr / bytes) * bytes
  return first >= floor && first + bytes <= ceiling
}
