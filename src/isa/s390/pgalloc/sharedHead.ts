/**
 * pte_free_defer() for two tables in a page, first version (May 2023): each uses the rcu_head of the page.
 *
 * Broken twice. Both parts may wait at once, with one head (K01, T4). And the head lies over the list node of a page
 * that is on the list whenever its other part is handed out (K02, T5).
 */
import { phys, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { peek32, poke32 } from '../../../machine/image/guarded.js'
import type { Kernel } from '../../../mm/kernel.js'
import { PAGE } from '../../../mm/page.js'
import { S390Bits } from './bits.js'

export class S390SharedHead extends S390Bits {
  /** One for each part, since a head does not say which. */
  readonly #callbacks: readonly number[]

  constructor(k: Kernel) {
    super(k)
    this.#callbacks = [0, 1].map((part) => k.rcu.register({ rcu: (head) => this.pteFreeNow(head, part) }))
  }

  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    const page = this.pageOf(table)
    poke32(page + PAGE.at.ptMm, mm)
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#callbacks[this.partOf(table)] as number)
  }

  protected *pteFreeNow(head: PhysAddr, part: number): Step<void> {
    const page = phys(head - PAGE.at.rcuNext)
    yield* this.pteFree(phys(peek32(page + PAGE.at.ptMm)), this.tableOfPart(page, part))
  }
}
