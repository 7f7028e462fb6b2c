/**
 * Page tables: addresses of entries, allocation, locks, the deposit ring, and giving tables back.
 *
 * Source: mm/memory.c, mm/pgtable-generic.c, include/linux/mm.h, asm-generic/pgalloc.h (v6.12). One table is one frame; its
 * split lock and, for PMD tables, the deposit ring are in its struct page. Left out: kernel page tables, and tables
 * that are shared between processes (hugetlb).
 *
 * Locks: mm.pageTableLock guards pgd and pud entries; the lock of a PMD table its entries and its deposit ring; the lock
 * of a PTE table its entries. The PMD lock is taken before the PTE lock.
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { mkTable, pmdBad, pmdLeaf, pteNone, ptePfn, ptePresent } from '../arch/x86_64/pte.js'
import type { Step } from '../machine/engine/engine.js'
import { add32, fillBytes, note, peek32, poke32 } from '../machine/image/image.js'
import { FrameKind, Level } from '../machine/trace/observer.js'
import type { RcuCallback } from '../sync/rcu.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part, type Kernel } from './kernel.js'
import { MM } from './mmStruct.js'
import { NO_PAGE, PAGE, PG_TABLE } from './page.js'

const NO_ENTRY = phys(0)

export class PageTables extends Part {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    const callback: RcuCallback = { rcu: (head) => this.pteFreeNow(head) }
    this.#freeCallback = k.rcu.register(callback)
  }

  // ---- where an entry is ------------------------------------------------------------------------------------------

  pgdOffset(mm: PhysAddr, addr: VirtAddr): PhysAddr {
    return phys(peek32(mm + MM.at.pgd) + this.k.geo.pgdIndex(addr) * 8)
  }

  /** Entry for `addr` in the table that the word of the level above points to. Pure: the caller has read the word. */
  pudOffset(pgd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.frame(ptePfn(pgd)) + this.k.geo.pudIndex(addr) * 8)
  }

  pmdOffset(pud: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.frame(ptePfn(pud)) + this.k.geo.pmdIndex(addr) * 8)
  }

  pteOffset(pmd: PteWord, addr: VirtAddr): PhysAddr {
    return phys(this.k.memmap.frame(ptePfn(pmd)) + this.k.geo.pteIndex(addr) * 8)
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
    if (table === NO_PAGE) return seen
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
    yield* this.#freeTable(table)
    return now
  }

  /** __pte_alloc(): a PTE table under the entry if it is none. False without memory. */
  *pteAlloc(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<boolean> {
    if (!pteNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)) return true
    const table = yield* this.pteAllocOne(mm)
    if (table === NO_PAGE) return false
    if (!(yield* this.pmdInstall(mm, pmdp, addr, table))) yield* this.pteFree(mm, table)
    return true
  }

  /** pmd_install(): links the table if the entry is still none; false when somebody else was first. */
  *pmdInstall(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, table: Pfn): Step<boolean> {
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

  /** A new PTE table, all entries none, linked nowhere; NO_PAGE without memory. */
  *pteAllocOne(mm: PhysAddr): Step<Pfn> {
    return yield* this.#newTable(mm, Level.pte)
  }

  /** A new top-level table; returns its address, 0 without memory. */
  *newPgd(mm: PhysAddr): Step<PhysAddr> {
    const table = yield* this.#newTable(mm, Level.pgd)
    return table === NO_PAGE ? NO_ENTRY : this.k.memmap.frame(table)
  }

  *freePgd(mm: PhysAddr): Step<void> {
    yield* this.#freeTable(this.k.memmap.pfnAt(peek32(mm + MM.at.pgd)))
  }

  *#newTable(mm: PhysAddr, level: number): Step<Pfn> {
    const table = yield* this.k.pages.allocPage(FrameKind.table)
    if (table === NO_PAGE) return NO_PAGE
    const page = this.k.memmap.page(table)
    poke32(page + PAGE.at.flags, PG_TABLE)
    poke32(page + PAGE.at.ptl, 0)
    poke32(page + PAGE.at.ptl + 4, 0)
    poke32(page + PAGE.at.pmdHugePte, 0)
    fillBytes(this.k.memmap.frame(table), 0, this.k.geo.ptrsPerTable * 8)
    this.k.observer.tableCreated(this.cpu, table, level, mm)
    return table
  }

  *#freeTable(table: Pfn): Step<void> {
    yield* this.k.folios.folioPut(this.k.memmap.page(table), 1)
  }

  // ---- giving PTE tables back -------------------------------------------------------------------------------------

  /** pte_free(): at once. Only for a table that no walker can still be in (D4). */
  *pteFree(_mm: PhysAddr, table: Pfn): Step<void> {
    yield* this.#freeTable(table)
  }

  /** pte_free_defer(): after a grace period, through the rcu_head in the table's struct page. */
  *pteFreeDefer(_mm: PhysAddr, table: Pfn): Step<void> {
    yield* this.k.rcu.callRcu(phys(this.k.memmap.page(table) + PAGE.at.rcuNext), this.#freeCallback)
  }

  /** pte_free_now(), the callback. */
  protected *pteFreeNow(head: PhysAddr): Step<void> {
    yield* this.#freeTable(this.k.memmap.pfnOf(head - PAGE.at.rcuNext))
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

  // ---- deposited tables, PMD lock held ------------------------------------------------------------------------------

  /**
   * Keeps a PTE table for the split of a huge PMD, which must not allocate. The tables of a PMD table form a ring through
   * their struct pages; the newest is the head, and goes in behind the old head.
   */
  *pgtableTransHugeDeposit(_mm: PhysAddr, pmdp: PhysAddr, table: Pfn): Step<void> {
    const list = phys(this.k.memmap.page(this.k.memmap.pfnAt(pmdp)) + PAGE.at.pmdHugePte)
    const page = this.k.memmap.page(table)
    const head = phys(yield* this.cpu.plainRead32(list))
    const next = head === 0 ? page : phys(peek32(head + PAGE.at.lruNext))
    poke32(page + PAGE.at.lruNext, next)
    poke32(page + PAGE.at.lruPrev, head === 0 ? page : head)
    if (head !== 0) {
      poke32(next + PAGE.at.lruPrev, page)
      poke32(head + PAGE.at.lruNext, page)
    }
    yield* this.cpu.plainWrite32(list, page)
    this.k.observer.tableDeposited(this.cpu, table, true)
  }

  /** Takes the newest table back. */
  *pgtableTransHugeWithdraw(_mm: PhysAddr, pmdp: PhysAddr): Step<Pfn> {
    const list = phys(this.k.memmap.page(this.k.memmap.pfnAt(pmdp)) + PAGE.at.pmdHugePte)
    const page = phys(yield* this.cpu.plainRead32(list))
    if (page === 0) return this.#nothingDeposited(list)
    const [next, prev] = [peek32(page + PAGE.at.lruNext), peek32(page + PAGE.at.lruPrev)]
    this.#checkRing(page, next, prev)
    poke32(prev + PAGE.at.lruNext, next)
    poke32(next + PAGE.at.lruPrev, prev)
    yield* this.cpu.plainWrite32(list, next === page ? 0 : next)
    const table = this.k.memmap.pfnOf(page)
    this.k.observer.tableDeposited(this.cpu, table, false)
    return table
  }

  #checkRing(page: number, next: number, prev: number): void {
    if (peek32(next + PAGE.at.lruPrev) === page && peek32(prev + PAGE.at.lruNext) === page) return
    this.cpu.report('list-corruption', `list_del corruption: deposit ring at page 0x${page.toString(16)}`, page, [
      `next->prev is 0x${peek32(next + PAGE.at.lruPrev).toString(16)}, prev->next is 0x${peek32(prev + PAGE.at.lruNext).toString(16)}`,
    ])
  }

  #nothingDeposited(list: PhysAddr): never {
    return this.cpu.report('deposit', 'kernel BUG: withdraw from an empty deposit list', list)
  }
}

/** A present PMD word that points to a table: not none, not a migration entry, not huge. */
function isTable(pmd: PteWord): boolean {
  return !pteNone(pmd) && ptePresent(pmd) && !pmdLeaf(pmd) && !pmdBad(pmd)
}
