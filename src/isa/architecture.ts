/**
 * An architecture as one row: everything that the rest of the program asks of it. Each folder of isa/ has one, in its
 * arch.ts, and index.ts lists them.
 *
 * The row is read when a machine is configured, composed, checked and described. Running kernel code never looks at it:
 * the entry format reaches it as bindings (arch/entry.ts), the rest as parts of the kernel.
 */
import type { EntryFormat } from '../arch/entry.js'
import type { Geometry } from '../arch/geometry.js'
import type { PhysAddr } from '../base/units.js'
import type { Struct } from '../machine/image/struct.js'
import type { Kernel, KernelConfig, PartClasses } from '../mm/kernel.js'
import type { Memmap } from '../mm/page.js'
import type { Pgalloc } from '../mm/pgalloc/pgalloc.js'

/** A design of page-table pages: where PTE tables come from and go to. */
export interface PgallocDesign {
  readonly id: string
  readonly part: new (k: Kernel) => Pgalloc
  /** PTE tables that a page has room for, in the real geometry. */
  readonly fragments: number
  /** True where a page is handed out as one table all the same. */
  readonly wholePages?: true
  /** PMD tables in a page, 1 unless given. */
  readonly pmdFragments?: number
  /** Known to be wrong, and kept to be compared: src/bug/ says how. */
  readonly broken?: true
}

/**
 * Parts of the kernel that an architecture has in the place of the generic ones; the hardware walker has no generic
 * one.
 */
export type ArchParts = Pick<PartClasses, 'Mmu'> & Partial<Omit<PartClasses, 'Pgalloc'>>

/** A machine of an architecture under a name of its own, as in SCENARIO@NAME. */
export interface Variant {
  readonly id: string
  readonly config: Partial<KernelConfig>
}

/** A part of a page of tables that is free and that nobody can be given. */
export interface LostPart {
  /** struct page of the page. */
  readonly page: number
  /** struct page of the only page that the allocator looks at. */
  readonly first: number
}

export interface Architecture {
  readonly id: string
  /** One line for `racewalk list`. */
  readonly summary: string
  /** The real tree. A machine for exploration has smaller tables, as many levels, and pages of the same size. */
  readonly geometry: Geometry
  /** A table above the PTE tables may fill several frames. */
  readonly upperSpansFrames?: true
  /** So many base pages of x86-64 stand for one page of a real machine here, 1 unless given. */
  readonly pagesPerFrame?: number
  readonly entry: EntryFormat
  /** Words of a CPU that the architecture has alone, in those that CPU_AREA leaves free. */
  readonly cpuState?: Struct
  readonly parts: ArchParts
  /** Settings of the kernel that the architecture leaves no choice of. */
  readonly config: Partial<KernelConfig>
  /** Names that KernelConfig.facilities may have. */
  readonly facilities?: readonly string[]
  readonly designs: readonly PgallocDesign[]
  /** The design of mainline. */
  readonly pgalloc: string
  readonly variants?: readonly Variant[]

  // ---- questions of oracles, for the address space at `mm`

  /**
   * Translations may outlive their entries: whoever uses the address space next makes TLBs forget them. Never, unless
   * given.
   */
  readonly debts?: (mm: PhysAddr) => boolean
  /** A CPU has its tables loaded or is about to, so that entry.illegalInUse() counts. Never, unless given. */
  readonly inUse?: (mm: PhysAddr) => boolean
  /** A free part of a page of tables that is out of reach while nothing is under way; null: none. */
  readonly reuse?: (memmap: Memmap, mm: PhysAddr) => LostPart | null
}

export const defineArch = (architecture: Architecture): Architecture => architecture

/** Settings of architectures that invalidate by broadcast: no interrupt holds up a walk without a lock. */
export const BROADCAST = { flushStyle: 'broadcast', tableFree: 'rcu', ptReclaim: false } as const
