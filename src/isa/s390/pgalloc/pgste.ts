/**
 * Tables of processes that may run KVM guests, up to v6.7: a page of 4 KiB each, of which the second half keeps what
 * guests need to know of each page (pgste). Both parts of the page are handed out as one, P is never used, and no list
 * has it.
 *
 * Source: arch/s390/mm/pgalloc.c page_table_alloc() and page_table_free() with mm_alloc_pgste() (v6.6).
 * pte_free_defer() of such a table only warns upstream, since guests have no huge pages; here it waits for a grace
 * period with the page's own rcu_head. Left out: the words in the second half, and gmap.
 */
import { phys, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import type { Kernel } from '../../../mm/kernel.js'
import { NO_PAGE, NO_TABLE, PAGE } from '../../../mm/page.js'
import { S390Bits } from './bits.js'

const BOTH = 0x03

export class S390Pgste extends S390Bits {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.free(phys(head - PAGE.at.rcuNext)) })
  }

  override *pteAllocOne(mm: PhysAddr): Step<Table> {
    const pfn = yield* this.newTablePage()
    if (pfn === NO_PAGE) return NO_TABLE
    const page = this.k.memmap.page(pfn)
    yield* this.xorByte(page, BOTH)
    return this.handOut(mm, this.tableOfPart(page, 0))
  }

  override *pteFree(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.free(this.pageOf(table))
  }

  /** The pointer is tagged as that of a whole page, and nothing else happens before the gather is through. */
  override *__pteFreeTlb(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
  }

  override *__tlbRemoveTable(table: Table): Step<void> {
    yield* this.free(this.pageOf(table))
  }

  override *pteFreeDefer(_mm: PhysAddr, table: Table): Step<void> {
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.k.rcu.callRcu(phys(this.pageOf(table) + PAGE.at.rcuNext), this.#freeCallback)
  }

  protected *free(page: PhysAddr): Step<void> {
    yield* this.xorByte(page, BOTH)
    yield* this.release(page)
  }
}
