/**
 * powerpc: many PTE tables in a page, handed out in turn and never again: a count says how many are in use, and the
 * page goes when it is zero. After pte_free_defer() of any of them, the page waits for a grace period then. PMD tables
 * share pages in the same way, with a cursor of their own; nobody defers one alone.
 *
 * Source: arch/powerpc/mm/pgtable-frag.c, mm/book3s64/pgtable.c pmd_fragment_alloc(), pmd_fragment_free(),
 * mmu_context.c pmd_frag_destroy() (v6.12); "powerpc: add pte_free_defer() for pgtables sharing page", 32cc0b7c9d50
 * (v6.6). Left out: tables of the kernel, which are freed at once.
 *
 * Locks: mm.pageTableLock guards the cursors. The count is atomic, and not the page's reference count, which
 * speculative references change (K08).
 */
import { phys, type Pfn, type PhysAddr, type Table } from '../../base/units.js'
import { PMD_EMPTY } from '../../arch/entry.js'
import type { Step } from '../../machine/engine/engine.js'
import { Level } from '../../arch/level.js'
import { spinLock, spinUnlock } from '../../sync/spinlock.js'
import type { Kernel } from '../../mm/kernel.js'
import { MM } from '../../mm/mmStruct.js'
import { NO_PAGE, NO_TABLE, PAGE, PG_ACTIVE } from '../../mm/page.js'
import { FragmentPgalloc } from '../../mm/pgalloc/fragments.js'

/** A level whose tables share pages. */
interface Shared {
  readonly level: typeof Level.pte | typeof Level.pmd
  /** Field of the mm: address of the next table to hand out; 0: none. */
  readonly cursor: number
}
const PTE: Shared = { level: Level.pte, cursor: MM.at.pteFrag }
const PMD: Shared = { level: Level.pmd, cursor: MM.at.pmdFrag }

export class PowerpcFragments extends FragmentPgalloc {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.freeTablePage(phys(head - PAGE.at.rcuNext)) })
  }

  // ---- pte_fragment_alloc(), pmd_fragment_alloc() -------------------------------------------------------------------

  override *pteAllocOne(mm: PhysAddr): Step<Table> {
    return this.handOut(mm, yield* this.alloc(mm, PTE))
  }

  override *pmdAllocOne(mm: PhysAddr): Step<Table> {
    const table = yield* this.alloc(mm, PMD)
    if (table !== NO_TABLE) this.k.observer.tableCreated(this.cpu, table, Level.pmd, mm)
    return table
  }

  protected *alloc(mm: PhysAddr, shared: Shared): Step<Table> {
    const table = yield* this.nextPart(mm, shared)
    return table === NO_TABLE ? yield* this.newPage(mm, shared) : table
  }

  /** The table at the cursor, which moves on. */
  protected *nextPart(mm: PhysAddr, { level, cursor }: Shared): Step<Table> {
    const { memmap } = this.k
    const where = phys(mm + cursor)
    yield* this.lock(mm)
    const at = yield* this.cpu.plainRead32(where)
    if (at !== 0) {
      const next = at + memmap.tableParts(level) * memmap.tableBytes
      yield* this.cpu.plainWrite32(where, memmap.pfnAt(next) === memmap.pfnAt(at) ? next : 0)
    }
    yield* this.unlock(mm)
    return at === 0 ? NO_TABLE : memmap.tableAt(at)
  }

  /**
   * The first table of a new page; the others are the mm's to hand out, unless somebody else brought a page meanwhile.
   */
  protected *newPage(mm: PhysAddr, shared: Shared): Step<Table> {
    const { memmap } = this.k
    const pfn = yield* this.newTablePageOf(shared)
    if (pfn === NO_PAGE) return NO_TABLE
    const second = memmap.table(memmap.firstTable(pfn) + memmap.tableParts(shared.level))
    const where = phys(mm + shared.cursor)
    yield* this.setCount(pfn, 1)
    yield* this.lock(mm)
    if ((yield* this.cpu.plainRead32(where)) === 0) {
      yield* this.setCount(pfn, this.tablesInPage(shared))
      yield* this.cpu.plainWrite32(where, second)
    }
    yield* this.unlock(mm)
    return memmap.firstTable(pfn)
  }

  protected *newTablePageOf({ level }: Shared): Step<Pfn> {
    if (level === Level.pte) return yield* this.newTablePage()
    const entries = this.k.geo.ptrsPerTable * this.k.memmap.pmdFragments
    return yield* this.k.tables.pagetableAlloc(0, entries, PMD_EMPTY)
  }

  protected tablesInPage({ level }: Shared): number {
    return this.k.memmap.fragments / this.k.memmap.tableParts(level)
  }

  // ---- pte_fragment_free(), pmd_fragment_free() --------------------------------------------------------------------

  override *pteFree(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.drop(this.pageOf(table), 1)
  }

  override *pmdFree(table: Table): Step<void> {
    yield* this.pteFree(phys(0), table)
  }

  override *__pteFreeTlb(): Step<void> {}

  override *__tlbRemoveTable(table: Table): Step<void> {
    yield* this.pteFree(phys(0), table)
  }

  /** Active before the count: whoever makes it zero sees the flag. */
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.folios.setFlag(this.pageOf(table), PG_ACTIVE)
    yield* this.pteFree(mm, table)
  }

  /**
   * Of powerpc destroy_pagetable_cache(): gives the parts back that were never handed out. Caller: the last user of the
   * mm.
   */
  override *destroyMm(mm: PhysAddr): Step<void> {
    yield* this.destroyCursor(mm, PTE)
    yield* this.destroyCursor(mm, PMD)
  }

  protected *destroyCursor(mm: PhysAddr, shared: Shared): Step<void> {
    const { memmap } = this.k
    const where = phys(mm + shared.cursor)
    const at = yield* this.cpu.plainRead32(where)
    if (at === 0) return
    yield* this.cpu.plainWrite32(where, 0)
    const handedOut = this.partOf(memmap.tableAt(at)) / memmap.tableParts(shared.level)
    yield* this.drop(memmap.page(memmap.pfnAt(at)), this.tablesInPage(shared) - handedOut)
  }

  // ---- the count ---------------------------------------------------------------------------------------------------

  /** Where the count of the tables of a page is. */
  protected countOf(page: PhysAddr): PhysAddr {
    return phys(page + PAGE.at.ptFragRefcount)
  }

  /** A page of which nobody else has a table yet. */
  protected *setCount(pfn: Pfn, tables: number): Step<void> {
    yield* this.cpu.writeOnce32(this.countOf(this.k.memmap.page(pfn)), tables)
  }

  protected *drop(page: PhysAddr, parts: number): Step<void> {
    // Full barrier: the parts' last uses before the page goes, or a CPU that still writes to its part would write to
    // the next owner's page. Pairs with drop() of the other parts.
    const left = yield* this.cpu.atomicAddReturn32(this.countOf(page), -parts)
    if (left !== 0) return
    if (!(yield* this.k.folios.testFlag(page, PG_ACTIVE))) return yield* this.freeTablePage(page)
    yield* this.k.folios.clearFlag(page, PG_ACTIVE)
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#freeCallback)
  }

  protected *lock(mm: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, phys(mm + MM.at.pageTableLock))
  }

  protected *unlock(mm: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, phys(mm + MM.at.pageTableLock))
  }
}
