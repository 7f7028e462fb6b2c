/**
 * The members of the kernel that architecture code uses. mm's Kernel is one; the architecture knows no more of it.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Tlb } from '../machine/cpu/tlb.js'
import type { Observer } from './observer.js'
import type { Geometry } from './geometry.js'
import type { TlbFlush } from './generic/tlbFlush.js'

/** How CPUs are made to forget translations: an interrupt each (x86), or a broadcast instruction (arm64, INVLPGB). */
export type FlushStyle = 'ipi' | 'broadcast'

/** How unlinked page tables are given back: at once after the flush IPI, or after an RCU grace period. */
export type TableFree = 'ipi' | 'rcu'

export interface ArchHost {
  readonly cpu: Cpu
  readonly geo: Geometry
  readonly observer: Observer
  readonly tlbs: readonly Tlb[]
  readonly tlbFlush: TlbFlush
  readonly config: {
    readonly flushStyle: FlushStyle
    readonly tableFree: TableFree
    readonly facilities?: readonly string[]
  }
  readonly regions: { readonly flushInfo: PhysAddr }
  readonly memmap: { frame(pfn: number): PhysAddr; table(nr: number): PhysAddr; readonly frameBytes: number }
  /** The mm that the VMA at `vma` belongs to. */
  mmOf(vma: PhysAddr): PhysAddr
  /**
   * mm_tlb_flush_pending(): a gather or a protection change of `mm` has changed entries and may not have flushed yet.
   */
  mmTlbFlushPending(mm: PhysAddr): boolean
}
