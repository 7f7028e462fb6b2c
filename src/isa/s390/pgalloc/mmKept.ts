/**
 * pte_free_defer() for s390 with the mm kept (draft of May 2023, "with use of mmdrop_async()"): the callback needs the
 * lock and the list of the mm, so the mm_struct is held until it has run.
 *
 * Right about that (T6), and as broken as the version without: both parts use one rcu_head (K01), which lies over the
 * list node (K02). Source: the s390 draft of May 2023, "s390: add pte_free_defer(), with use of mmdrop_async()".
 */
import { phys, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { peek32 } from '../../../machine/image/guarded.js'
import { PAGE } from '../../../mm/page.js'
import { S390SharedHead } from './sharedHead.js'

export class S390MmKept extends S390SharedHead {
  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.mms.mmgrab(mm)
    yield* super.pteFreeDefer(mm, table)
  }

  protected override *pteFreeNow(head: PhysAddr, part: number): Step<void> {
    const mm = phys(peek32(head - PAGE.at.rcuNext + PAGE.at.ptMm))
    yield* super.pteFreeNow(head, part)
    yield* this.k.mms.mmdrop(mm)
  }
}
