/**
 * Levels of tables that fold at run time: s390, whose processes start with three levels and grow to four and five while
 * others walk.
 *
 * Source: arch/s390/include/asm/pgtable.h pgd_offset() … pmd_offset() and their _lockless forms, arch/s390/mm/pgalloc.c
 * crst_table_upgrade(), mm/gup.c (v6.12).
 *
 * Every entry says which level its table has. Code is written for five levels, and where the tree has fewer, the upper
 * ones are names for entries of the top table: whether a level is folded is decided from the entry that was read, never
 * from the mm, so that a walk that began in the old top table goes on to be right while the tree grows. Words of the
 * old table do not move; it becomes a lower one.
 *
 * gup_fast hands the values of entries down, so that each is read once, and a folded level must still get a pointer
 * that can be advanced: to the entry in the table, not to the copy of its value (d3f7b1bb2040, v5.9). upperLockless()
 * is where versions differ; the others are in bug/s390.ts and below.
 *
 * Left out: the two levels of 31-bit processes, and downgrades.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../base/units.js'
import { entryTable, tableType, upperNone } from './pte.js'
import type { S390TlbFlush } from './tlbFlush.js'
import { type UpperLevel, Level } from '../../arch/level.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../../machine/image/guarded.js'
import type { Kernel } from '../../mm/kernel.js'
import { MM } from '../../mm/mmStruct.js'
import { NO_TABLE } from '../../mm/page.js'
import { inside, NO_ENTRY, UpperTables } from '../../mm/upperTables.js'

export class FoldedTables extends UpperTables {
  readonly #upgrade: number

  constructor(k: Kernel) {
    super(k)
    this.#upgrade = k.cpu.ipi.register({ ipi: (mm) => this.crstTableUpgradeIpi(phys(mm)) })
  }

  // ---- the top ----------------------------------------------------------------------------------------------------

  override *pgdAlloc(mm: PhysAddr): Step<boolean> {
    return yield* this.makeTop(mm, Level.pud, this.limit(Level.pud))
  }

  /** The tables that hang from the top by their first entries: former tops, if nothing was ever mapped in them. */
  override *pgdFree(mm: PhysAddr): Step<void> {
    let table = this.k.memmap.tableAt(peek32(mm + MM.at.pgd))
    for (let level = peek32(mm + MM.at.topLevel); level > Level.pud; level--) {
      const at = this.k.memmap.table(table)
      const first = (yield* this.cpu.readOnce64(at)) as PteWord
      if (!upperNone(first)) yield* this.k.ops.upperClear(level as UpperLevel, mm, 0 as VirtAddr, at)
      yield* this.k.tables.freeTable(table, level)
      if (upperNone(first)) return
      table = entryTable(first)
    }
    yield* this.k.tables.freeTable(table, Level.pud)
  }

  /** First address behind what a top table of `level` translates. */
  protected limit(level: number): number {
    const { geo } = this.k
    return Math.min(geo.upperSize(level) * geo.ptrsPerTable, geo.taskSize)
  }

  /** Of s390 crst_table_upgrade(): adds levels on top until `end` is inside. */
  override *reach(mm: PhysAddr, end: number): Step<boolean> {
    if (end <= peekF64(mm + MM.at.asceLimit)) return true
    for (let level = peek32(mm + MM.at.topLevel) + 1; ; level++) {
      if (!(yield* this.addLevel(mm, level as UpperLevel))) return false
      if (end <= this.limit(level)) break
    }
    yield* this.announceUpgrade(mm)
    return true
  }

  protected *announceUpgrade(mm: PhysAddr): Step<void> {
    // Not waited for: a CPU that translates by the old element until then faults above its limit, and nowhere else
    // differs from one that has the new.
    yield* this.k.cpu.ipi.callMany(phys(0), this.#upgrade, mm, false)
    yield* this.crstTableUpgradeIpi(mm)
  }

  protected *addLevel(mm: PhysAddr, level: UpperLevel): Step<boolean> {
    const { memmap, tables } = this.k
    const table = yield* tables.newTable(mm, level)
    if (table === NO_TABLE) return false
    yield* tables.pageTableLock(mm)
    const below = memmap.tableAt(peek32(mm + MM.at.pgd))
    yield* this.k.ops.upperPopulate(level, mm, 0 as VirtAddr, memmap.table(table), below)
    // Write barrier: the first word of the new top before the pointer to it. A walker reads the pointer once and takes
    // the level from the word behind it.
    yield* this.cpu.smpWmb()
    yield* this.cpu.writeOnce32(phys(mm + MM.at.pgd), memmap.table(table))
    poke32(mm + MM.at.topLevel, level)
    pokeF64(mm + MM.at.asceLimit, this.limit(level))
    yield* tables.pageTableUnlock(mm)
    return true
  }

  /** Part of crst_table_upgrade(), in the interrupt: the new control element, if this CPU runs the mm, and PTLB. */
  *crstTableUpgradeIpi(mm: PhysAddr): Step<void> {
    const flush = this.k.tlbFlush as S390TlbFlush
    if (this.k.mms.currentMm() === mm) flush.loadAsce(mm)
    flush.purgeLocal()
  }

  // ---- where an entry is ------------------------------------------------------------------------------------------

  /** Part of pgd_offset(): in the top table, whatever its level is. The pointer to it is read once. */
  protected *top(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    const table = yield* this.cpu.readOnce32(phys(mm + MM.at.pgd))
    const first = (yield* this.cpu.readOnce64(phys(table))) as PteWord
    return phys(table + this.k.geo.upperIndex(tableType(first), addr) * 8)
  }

  /** Entry of the level below in the table that `word` points to. */
  protected below(level: number, word: PteWord, addr: number): PhysAddr {
    return phys(this.k.memmap.table(entryTable(word)) + this.k.geo.upperIndex(level - 1, addr) * 8)
  }

  override *mmFindPmd(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    let entry = yield* this.top(mm, addr)
    for (let level: number = Level.top; level > Level.pmd; level--) {
      const word = (yield* this.cpu.readOnce64(entry)) as PteWord
      if (tableType(word) < level) continue
      this.k.observer.tableRead(this.cpu, level, entry)
      if (upperNone(word)) return NO_ENTRY
      entry = this.below(level, word, addr)
    }
    return entry
  }

  override *behindMissing(mm: PhysAddr, addr: VirtAddr, end: VirtAddr): Step<VirtAddr> {
    let entry = yield* this.top(mm, addr)
    for (let level: number = Level.top; level > Level.pmd; level--) {
      const word = (yield* this.cpu.readOnce64(entry)) as PteWord
      if (tableType(word) < level) continue
      if (upperNone(word)) return this.k.geo.upperAddrEnd(level, addr, end) as VirtAddr
      entry = this.below(level, word, addr)
    }
    return this.k.geo.pmdAddrEnd(addr, end)
  }

  // ---- allocation and giving back ---------------------------------------------------------------------------------

  protected override isNone(entry: PteWord): boolean {
    return upperNone(entry)
  }

  override *mmAllocPmd(mm: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    let entry = yield* this.top(mm, addr)
    for (let level: number = Level.top; level > Level.pmd; level--) {
      const word = (yield* this.cpu.readOnce64(entry)) as PteWord
      if (tableType(word) < level) continue
      const now = yield* this.allocLevel(mm, entry, addr, level as 3 | 4 | 5)
      if (upperNone(now)) return NO_ENTRY
      entry = this.below(level, now, addr)
    }
    return entry
  }

  override *freePgtables(mm: PhysAddr, start: VirtAddr, end: VirtAddr, floor: VirtAddr, ceiling: VirtAddr): Step<void> {
    const level = peek32(mm + MM.at.topLevel)
    yield* this.freeRange(mm, level, peek32(mm + MM.at.pgd), start, end, floor, ceiling)
  }

  protected *freeRange(
    mm: PhysAddr,
    level: number,
    table: number,
    start: number,
    end: number,
    floor: number,
    ceiling: number,
  ): Step<void> {
    const { geo, memmap } = this.k
    for (let addr = start, next = 0; addr < end; addr = next) {
      next = geo.upperAddrEnd(level, addr, end)
      const entry = phys(table + geo.upperIndex(level, addr) * 8)
      if (level === Level.pud) {
        yield* this.freePmdRange(mm, entry, addr as VirtAddr, next as VirtAddr, floor, ceiling)
        continue
      }
      const word = (yield* this.cpu.readOnce64(entry)) as PteWord
      if (upperNone(word)) continue
      yield* this.freeRange(mm, level - 1, memmap.table(entryTable(word)), addr, next, floor, ceiling)
      if (inside(addr, geo.upperSize(level), floor, ceiling))
        yield* this.unlink(level as 4 | 5, mm, addr as VirtAddr, entry, word)
    }
  }

  // ---- gup_fast, IRQs off -----------------------------------------------------------------------------------------

  /** A smaller limit than the present one is safe: the slow path does it. */
  override *gupFastPermitted(mm: PhysAddr, end: VirtAddr): Step<boolean> {
    return end <= peekF64(mm + MM.at.asceLimit)
  }

  override *gupFastPgdRange(
    mm: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
  ): Step<number> {
    const first = yield* this.top(mm, start)
    return yield* this.gupLevel(Level.top, first, start, end, flags, pages, 0)
  }

  /**
   * Of all levels gup_fast_pgd_range(), …_p4d_range(), …_pud_range(), as one: entries of `level` from the one at
   * `first`, for start … end. Returns the pages taken so far; fewer than asked for ends the walk.
   */
  protected *gupLevel(
    level: number,
    first: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
    from: number,
  ): Step<number> {
    const { geo } = this.k
    let [entry, nr] = [first, from]
    for (let addr = start, next = start; addr < end; addr = next, entry = phys(entry + 8)) {
      const word = (yield* this.cpu.readOnce64(entry)) as PteWord
      this.sawEntry(level, entry, word)
      if (tableType(word) === level && upperNone(word)) return nr
      next = this.upperAddrEnd(level, word, addr, end) as VirtAddr
      const want = nr + geo.pagesIn(next - addr)
      const child = this.upperLockless(level, entry, word, addr)
      if (level > Level.pud) nr = yield* this.gupLevel(level - 1, child, addr, next, flags, pages, nr)
      else nr = yield* this.gupFastPmdRange(child, addr, next, flags, pages, nr)
      if (nr !== want) return nr
    }
    return nr
  }

  /** gup_fast_pmd_range(). */
  protected *gupFastPmdRange(
    first: PhysAddr,
    start: VirtAddr,
    end: VirtAddr,
    flags: number,
    pages: Int32Array,
    from: number,
  ): Step<number> {
    const { geo } = this.k
    let [pmdp, nr] = [first, from]
    for (let addr = start, next = start; addr < end; addr = next, pmdp = phys(pmdp + 8)) {
      next = geo.pmdAddrEnd(addr, end)
      const want = nr + geo.pagesIn(next - addr)
      nr = yield* this.k.gupFast.gupFastPmdEntry(pmdp, addr, next, flags, pages, nr)
      if (nr !== want) return nr
    }
    return nr
  }

  /** For the oracles: a folded level reads an entry of a lower level's table, which is not an entry of its own. */
  protected sawEntry(level: number, entry: PhysAddr, word: PteWord): void {
    if (tableType(word) === level) this.k.observer.tableRead(this.cpu, level, entry)
  }

  /**
   * Of all levels p4d_offset_lockless(), pud_…, pmd_…: where the level below `level` begins. Folded: at the entry
   * itself, in its table, so that the next one lies behind it.
   */
  protected upperLockless(level: number, entry: PhysAddr, word: PteWord, addr: VirtAddr): PhysAddr {
    return tableType(word) < level ? entry : this.below(level, word, addr)
  }

  /** Of all levels pgd_addr_end(), p4d_…, pud_…: by the level's own size, whether it is folded or not. */
  protected upperAddrEnd(level: number, _word: PteWord, addr: VirtAddr, end: VirtAddr): number {
    return this.k.geo.upperAddrEnd(level, addr, end)
  }
}
