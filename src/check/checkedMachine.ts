/**
 * The view that oracles have of a machine. boot's Machine is one; the oracles know no more of it, and cannot start
 * one.
 */
import type { Geometry } from '../arch/geometry.js'
import type { PhysAddr } from '../base/units.js'
import type { Architecture } from '../isa/architecture.js'
import type { Layout } from '../machine/image/layout.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Tlb } from '../machine/cpu/tlb.js'
import type { KernelConfig, KernelRegions } from '../mm/kernel.js'
import type { Memmap } from '../mm/page.js'

export interface CheckedMachine {
  readonly arch: Pick<Architecture, 'debts' | 'inUse' | 'reuse'>
  readonly geo: Geometry
  readonly memmap: Memmap
  readonly layout: Layout
  readonly regions: { readonly shadow: PhysAddr; readonly rcu: PhysAddr; readonly kernel: KernelRegions }
  readonly config: {
    readonly frames: number
    readonly cpus: number
    readonly kernel: Pick<KernelConfig, 'mms' | 'filePages'>
    /** 'full': keep the stack of each allocation and free, too. Costs microseconds each; not in threads. */
    readonly sites?: 'full'
  }
  /** Names of operations by CPU_AREA.opKind, for reports. */
  readonly opNames?: readonly string[]
}

/** What the oracles of one CPU need of the kernel that it runs. */
export interface CheckedKernel {
  readonly cpu: Cpu
  /** TLBs by CPU number, as this thread sees them. */
  readonly tlbs: readonly Tlb[]
}
