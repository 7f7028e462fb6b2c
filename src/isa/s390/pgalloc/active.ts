/**
 * pte_free_defer() as merged for s390: once a part was given back with it, the page is marked Active, never listed
 * again, and waits for its grace period when both parts are gone.
 *
 * Source: "s390: add pte_free_defer() for pgtables sharing page", 8211dad62798 (v6.6). A page that is not listed has a
 * node that points to itself, so that taking it off once more does no harm, and its words are free for the rcu_head,
 * which is used once: only one CPU can see the byte become zero. The price is memory: the part that was given back
 * stays unused for as long as its sibling lives.
 */
import { phys, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { listDelInit } from '../../../sync/list.js'
import type { Kernel } from '../../../mm/kernel.js'
import { PAGE, PG_ACTIVE } from '../../../mm/page.js'
import { S390Bits } from './bits.js'

export class S390Active extends S390Bits {
  readonly #freeCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#freeCallback = k.rcu.register({ rcu: (head) => this.freeTablePage(phys(head - PAGE.at.rcuNext)) })
  }

  /** Active before A → P: whoever makes the byte zero sees it, since all changes of the byte are in one order. */
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.folios.setFlag(this.pageOf(table), PG_ACTIVE)
    yield* this.pteFree(mm, table)
  }

  protected override *mayBeListed(page: PhysAddr, byte: number): Step<boolean> {
    return (byte & 3) !== 0 && !(yield* this.k.folios.testFlag(page, PG_ACTIVE))
  }

  protected override *removeFromList(page: PhysAddr, freePart: number): Step<void> {
    yield* listDelInit(this.cpu, this.node(page, freePart))
  }

  protected override *release(page: PhysAddr): Step<void> {
    if (!(yield* this.k.folios.testFlag(page, PG_ACTIVE))) return yield* this.freeTablePage(page)
    yield* this.k.folios.clearFlag(page, PG_ACTIVE)
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#freeCallback)
  }
}
