/**
 * mmu_gather without gathering (CONFIG_MMU_GATHER_NO_GATHER): on s390 whoever clears an entry has made TLBs forget it,
 * or has noted a debt that every CPU pays before it uses the address space again. So pages are released at once; only
 * tables wait.
 *
 * Source: arch/s390/include/asm/tlb.h __tlb_remove_folio_pages() (v6.12).
 */
import type { PhysAddr } from '../../base/units.js'
import type { Step } from '../../machine/engine/engine.js'
import { MmuGather } from '../../mm/mmuGather.js'

export class S390Gather extends MmuGather {
  override *tlbRemovePage(page: PhysAddr): Step<void> {
    yield* this.k.folios.folioPut(yield* this.k.folios.compoundHead(page), 1)
  }
}
