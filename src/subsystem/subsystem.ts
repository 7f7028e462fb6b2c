/**
 * A subsystem of the kernel, as everybody else sees it: one row of what it brings along. Whoever composes kernels, lays
 * images out, watches or shows them reads the rows (index.ts) and names no subsystem.
 */
import type { Observer } from '../arch/observer.js'
import type { CheckedMachine } from '../check/checkedMachine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Layout } from '../machine/image/layout.js'
import type { Kernel, KernelConfig, KernelRegions, PartClasses } from '../mm/kernel.js'
import type { Rows } from '../program/operation.js'

export interface Subsystem {
  /** A short name of its own among subsystems. */
  readonly id: string
  /** The job of the subsystem in a line. */
  readonly summary: string
  /**
   * Classes by the names of parts. The part `Swap` is the field `swap` of Kernel. Its room declares both, into the
   * interfaces PartClasses and Kernel of mm/kernel.ts.
   */
  readonly parts?: Partial<PartClasses>
  /** Places its regions in the image: their addresses, which its room declares into KernelRegions. */
  readonly place?: (layout: Layout, config: ImageConfig) => Partial<KernelRegions>
  /** Formats its regions, on the CPU that boots, after the subsystems above it. */
  readonly format?: (kernel: Kernel) => void
  /** Operations of programs; its room declares their types into OperationTypes of program/op.ts. */
  readonly operations?: Rows
  readonly oracles?: readonly SubsystemOracle[]
  readonly panels?: readonly Panel[]
}

/** The part of a machine's configuration that regions depend on. */
export interface ImageConfig {
  readonly cpus: number
  readonly frames: number
  readonly kernel: KernelConfig
}

/** A machine as oracles and panels of a subsystem see it. */
export interface ObservedMachine extends CheckedMachine {
  readonly layout: Layout
  readonly config: CheckedMachine['config'] & { readonly cpus: number }
}

export interface SubsystemOracle {
  /** The name in findings. */
  readonly id: string
  /** The rule that a finding of it breaks, and where the kernel states it. */
  readonly rule: { readonly text: string; readonly source: string }
  /** An observer of one CPU. It hears of each event after the oracles of check/. */
  readonly observe?: (machine: ObservedMachine) => Observer
  /** The first thing that is wrong when all CPUs have stopped; null when nothing is. */
  readonly finalCheck?: (machine: ObservedMachine) => Finding | null
}

/** A panel of the page that shows an execution step by step. */
export interface Panel {
  readonly id: string
  readonly title: string
  /** Names that the cells of each group have in common: the groups are rows of a table then. */
  readonly columns?: readonly string[]
  /** Regions of the image from which it is read: it says the same until a word of them changes. */
  readonly regions: readonly string[]
  /** Puts what the panel says now; only looks (peek). */
  readonly read: (machine: ObservedMachine, put: (cell: PanelCell) => void) => void
}

export interface PanelCell {
  readonly group: string
  /** Unique in its group. */
  readonly name: string
  readonly text: string
  /** Place in the panel: of the group, then in the group. */
  readonly order: readonly [group: number, within: number]
  /** The word of the image that it is about; 0 where there is no single one. */
  readonly addr: number
  /** Frames that it is about or leads to. */
  readonly frames: readonly number[]
}

export const defineSubsystem = (subsystem: Subsystem): Subsystem => subsystem
