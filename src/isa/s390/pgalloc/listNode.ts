/**
 * The list node in the part that is not handed out, so that the struct page is free for the rcu_head (draft of 5 June
 * 2023, withdrawn). Deposited tables are listed like this, and rightly so; here walkers with IRQs off may still be in
 * the part, and decode the links as entries (K03, T3). It passed ordinary stress tests.
 */
import { PTE_EMPTY } from '../../../arch/entry.js'
import type { PhysAddr } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { S390SharedHead } from './sharedHead.js'

export class S390ListNode extends S390SharedHead {
  protected override node(page: PhysAddr, freePart: number): PhysAddr {
    return this.k.memmap.table(this.tableOfPart(page, freePart))
  }

  protected override pageOfNode(node: PhysAddr): PhysAddr {
    return this.k.memmap.page(this.k.memmap.pfnAt(node))
  }

  /** The part becomes a table again, with its first entries empty. */
  protected override *removeFromList(page: PhysAddr, freePart: number): Step<void> {
    yield* super.removeFromList(page, freePart)
    const node = this.node(page, freePart)
    yield* this.cpu.plainWrite64(node, PTE_EMPTY)
  }
}
