/**
 * powerpc book3s64 radix: tlbie reaches every CPU, and tlbsync waits for it, which is the broadcast style.
 *
 * Source: arch/powerpc/mm/book3s64/radix_tlb.c (v6.12). There is no ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH.
 */
import { TlbFlush } from '../../arch/generic/tlbFlush.js'

export class PowerpcTlbFlush extends TlbFlush {
  override readonly batchesUnmaps = false
}
