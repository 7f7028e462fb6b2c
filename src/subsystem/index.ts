/**
 * The subsystems of the kernel, in the order in which a kernel gets their parts and an image their regions. A new one
 * is a file beside mm.ts, a row over a room of its own, and a row here; one that is added later counts for machines
 * from then on (test/subsystem/toySubsystem.test.ts).
 */
import type { Observer } from '../arch/observer.js'
import { assert } from '../base/assert.js'
import { pgallocDesign } from '../isa/designs.js'
import { DEFAULT_ARCH } from '../isa/index.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Layout } from '../machine/image/layout.js'
import type { Kernel, KernelRegions, PartClasses } from '../mm/kernel.js'
import { addOperations } from '../program/operations/table.js'
import { mm } from './mm.js'
import type { ImageConfig, ObservedMachine, Panel, Subsystem, SubsystemOracle } from './subsystem.js'

const subsystems: Subsystem[] = []
const NONE: readonly SubsystemOracle[] = []

export const SUBSYSTEMS: readonly Subsystem[] = subsystems

/** The fixed code, for the architecture of machines that name none. It has the parts of all subsystems. */
export const MAINLINE = {} as PartClasses

export function addSubsystem(subsystem: Subsystem): void {
  assert(!subsystems.some(({ id }) => id === subsystem.id), 'two subsystems have one name')
  subsystems.push(subsystem)
  addOperations(subsystem.operations ?? {})
  Object.assign(MAINLINE, mainlineOf(DEFAULT_ARCH.pgalloc))
}

/** Mainline over the design `pgalloc` of page tables, for the architecture that has it. */
export function mainlineOf(pgalloc: string): PartClasses {
  const { arch, part } = pgallocDesign(pgalloc)
  return Object.assign({}, ...subsystems.map(({ parts }) => parts), arch.parts, { Pgalloc: part }) as PartClasses
}

addSubsystem(mm)

// ---- what they bring along, together -------------------------------------------------------------------------------

/** Names of the parts that Kernel does not name itself, in the order in which it gets them. */
export const addedParts = (): readonly string[] =>
  subsystems.filter((subsystem) => subsystem !== mm).flatMap(({ parts = {} }) => Object.keys(parts))

export function placeSubsystems(layout: Layout, config: ImageConfig): Omit<KernelRegions, 'tlbs'> {
  const placed = subsystems.map(({ place }) => place?.(layout, config))
  return Object.assign({}, ...placed) as Omit<KernelRegions, 'tlbs'>
}

export function formatSubsystems(kernel: Kernel): void {
  for (const { format } of subsystems) format?.(kernel)
}

/** Observers of one CPU, besides the oracles of check/. */
export const observersOf = (machine: ObservedMachine): readonly Observer[] =>
  subsystemOracles().flatMap(({ observe }) => (observe === undefined ? [] : [observe(machine)]))

export const subsystemOracles = (): readonly SubsystemOracle[] => subsystems.flatMap(({ oracles = [] }) => oracles)

/** The first thing that a subsystem finds wrong when all CPUs have stopped; null when nothing is. */
export function finalCheckOfSubsystems(machine: ObservedMachine): Finding | null {
  for (const { oracles = NONE } of subsystems)
    for (const { finalCheck } of oracles) {
      const finding = finalCheck?.(machine) ?? null
      if (finding !== null) return finding
    }
  return null
}

export const subsystemPanels = (): readonly Panel[] => subsystems.flatMap(({ panels = [] }) => panels)
