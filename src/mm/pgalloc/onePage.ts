/**
 * One table, one page: the generic design, which x86-64 and arm64 have, and s390 since v6.8.
 *
 * Source: include/asm-generic/pgalloc.h; mm/pgtable-generic.c pte_free_defer(), 13cf577e6b66 (v6.6). The rcu_head in
 * the struct page is the table's own, on no list, and used once in its life: that is all there is to be right about.
 */
import { phys, type PhysAddr, type Table } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import type { Kernel } from '../kernel.js'
import { NO_PAGE, NO_TABLE, PAGE } from '../page.js'
import { Pgalloc } from './pgalloc.js'

export class OnePage extends Pgalloc {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.pteFreeNow(head) })
  }

  override *pteAllocOne(mm: PhysAddr): Step<Table> {
    const pfn = yield* this.newTablePage()
    return this.handOut(mm, pfn === NO_PAGE ? NO_TABLE : this.k.memmap.firstTable(pfn))
  }

  override *pteFree(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.freeTablePage(this.pageOf(table))
  }

  override *__pteFreeTlb(): Step<void> {}

  override *__tlbRemoveTable(table: Table): Step<void> {
    yield* this.pteFree(phys(0), table)
  }

  override *pteFreeDefer(_mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.rcu.callRcu(phys(this.pageOf(table) + PAGE.at.rcuNext), this.#freeCallback)
  }

  /** pte_free_now(), the callback. */
  protected *pteFreeNow(head: PhysAddr): Step<void> {
    const { memmap } = this.k
    yield* this.pteFree(phys(0), memmap.firstTable(memmap.pfnOf(head - PAGE.at.rcuNext)))
  }
}
