/**
 * Allocation and free of PTE tables: the part that architectures have of their own (arch pgalloc.h), because a table
 * need not fill a page. Every design that frees tables is a subclass.
 *
 * Source: include/asm-generic/pgalloc.h, mm/pgtable-generic.c (v6.12).
 *
 * Who may still be in a table that was just unlinked (T1): hardware walkers until the flush, walkers with IRQs off
 * until an interrupt or a grace period, and RCU readers until a grace period. pteFree() is for tables that none of them
 * can be in; __pteFreeTlb() leaves the wait to the gather; pteFreeDefer() waits itself and must not need memory to do
 * it.
 */
import { phys, type Pfn, type PhysAddr, type Table } from '../../base/units.js'
import { PTE_EMPTY } from '../../arch/entry.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, poke32, poke64 } from '../../machine/image/guarded.js'
import { Level } from '../../arch/level.js'
import { lockdepAssertHeld } from '../../sync/spinlock.js'
import { Part } from '../part.js'
import { NO_TABLE, PAGE } from '../page.js'

export abstract class Pgalloc extends Part {
  /**
   * A PTE table for `mm`, all entries none, linked nowhere; NO_TABLE without memory. May not be called under a
   * spinlock.
   */
  abstract pteAllocOne(mm: PhysAddr): Step<Table>

  /** pte_free(): at once. */
  abstract pteFree(mm: PhysAddr, table: Table): Step<void>

  /**
   * __pte_free_tlb(): a table that was just unlinked, on its way into a gather's batch; __tlbRemoveTable() follows when
   * no walker can be in it.
   */
  abstract __pteFreeTlb(mm: PhysAddr, table: Table): Step<void>

  /** __tlb_remove_table(): the mm may be gone. */
  abstract __tlbRemoveTable(table: Table): Step<void>

  /** pte_free_defer(): after a grace period. Callable under no spinlock or under several; allocates nothing. */
  abstract pteFreeDefer(mm: PhysAddr, table: Table): Step<void>

  // ---- PMD tables: each in pages of its own, but on powerpc ---------------------------------------------------------

  /** A PMD table for `mm`, as pteAllocOne(). */
  *pmdAllocOne(mm: PhysAddr): Step<Table> {
    return yield* this.k.tables.newUpper(mm, Level.pmd)
  }

  /** pmd_free(), and __tlb_remove_table() of one. No walker is in it; the mm may be gone. */
  *pmdFree(table: Table): Step<void> {
    yield* this.k.tables.freeUpper(table)
  }

  // ---- address spaces -----------------------------------------------------------------------------------------------

  /** A new mm. */
  initMm(_mm: PhysAddr): void {}

  /** The last user of `mm` has gone, and with it all its tables. */
  *destroyMm(_mm: PhysAddr): Step<void> {}

  // ---- pages of tables --------------------------------------------------------------------------------------------

  /** A page for PTE tables, its entries all none, with one reference; NO_PAGE without memory. */
  protected *newTablePage(): Step<Pfn> {
    return yield* this.k.tables.pagetableAlloc(0, this.k.geo.ptrsPerPte * this.k.memmap.fragments, PTE_EMPTY)
  }

  /** Part of pte_free(): pagetable_pte_dtor() and the free. Nobody uses any part of the page. */
  protected *freeTablePage(page: PhysAddr): Step<void> {
    yield* this.k.folios.folioPut(page, 1)
  }

  /** struct page of the frame that `table` is in. */
  protected pageOf(table: Table): PhysAddr {
    return this.k.memmap.page(this.k.memmap.pfnOfTable(table))
  }

  protected handOut(mm: PhysAddr, table: Table): Table {
    if (table !== NO_TABLE) this.k.observer.tableCreated(this.cpu, table, Level.pte, mm)
    return table
  }

  // ---- deposited tables, PMD lock held ------------------------------------------------------------------------------

  /**
   * pgtable_trans_huge_deposit(): keeps a PTE table for the split of a huge PMD, which must not allocate. The tables of
   * a PMD table form a ring; the newest is the head, and goes in behind the old head.
   */
  *pgtableTransHugeDeposit(_mm: PhysAddr, pmdp: PhysAddr, table: Table): Step<void> {
    lockdepAssertHeld(this.cpu, this.k.tables.pmdLockptr(pmdp))
    const list = this.depositHead(pmdp)
    const node = this.depositNode(table)
    const head = phys(yield* this.cpu.plainRead32(list))
    const next = head === 0 ? node : phys(peek32(head))
    poke32(node, next)
    poke32(node + PREV, head === 0 ? node : head)
    if (head !== 0) {
      poke32(next + PREV, node)
      poke32(head, node)
    }
    yield* this.cpu.plainWrite32(list, node)
    this.k.observer.tableDeposited(this.cpu, table, pmdp, true)
  }

  /** pgtable_trans_huge_withdraw(): takes the newest table back. */
  *pgtableTransHugeWithdraw(_mm: PhysAddr, pmdp: PhysAddr): Step<Table> {
    lockdepAssertHeld(this.cpu, this.k.tables.pmdLockptr(pmdp))
    const list = this.depositHead(pmdp)
    const node = phys(yield* this.cpu.plainRead32(list))
    if (node === 0) return this.nothingDeposited(list)
    const [next, prev] = [peek32(node), peek32(node + PREV)]
    this.checkRing(node, next, prev)
    poke32(prev, next)
    poke32(next + PREV, prev)
    yield* this.cpu.plainWrite32(list, next === node ? 0 : next)
    const table = this.tableOfNode(node)
    if (this.linksInTable) poke64(node, PTE_EMPTY)
    this.k.observer.tableDeposited(this.cpu, table, pmdp, false)
    return table
  }

  /**
   * A deposited table keeps its links in its own first entry, where several share a struct page and on s390 in any
   * case; withdrawing makes the entry empty again. Right only because whoever deposits a table has made sure that no
   * walker is in it; see S390ListNode for what happens otherwise.
   */
  protected get linksInTable(): boolean {
    return false
  }

  protected depositNode(table: Table): PhysAddr {
    return this.linksInTable ? this.k.memmap.table(table) : phys(this.pageOf(table) + PAGE.at.lruNext)
  }

  protected tableOfNode(node: PhysAddr): Table {
    const { memmap } = this.k
    return this.linksInTable ? memmap.tableAt(node) : memmap.firstTable(memmap.pfnOf(node - PAGE.at.lruNext))
  }

  protected depositHead(pmdp: PhysAddr): PhysAddr {
    return phys(this.k.memmap.page(this.k.memmap.upperPfnAt(pmdp)) + PAGE.at.pmdHugePte)
  }

  protected checkRing(node: number, next: number, prev: number): void {
    if (peek32(next + PREV) === node && peek32(prev) === node) return
    this.cpu.report('list-corruption', `list_del corruption: deposit ring at 0x${node.toString(16)}`, node, [
      `next->prev is 0x${peek32(next + PREV).toString(16)}, prev->next is 0x${peek32(prev).toString(16)}`,
    ])
  }

  protected nothingDeposited(list: PhysAddr): never {
    return this.cpu.report('deposit', 'kernel BUG: withdraw from an empty deposit list', list)
  }
}

/** From a node's link to the next to its link to the previous one. */
const PREV = 4
