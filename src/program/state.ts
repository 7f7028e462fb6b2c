/**
 * The state of programs in the image: registers, pages they hold, counts of operations, slots for processes, litmus
 * words.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Layout } from '../machine/image/layout.js'
import { laboratory } from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

export const REGISTERS = 16
export const HELD_MAX = 64
export const SLOTS = 64
export const LITMUS_WORDS = 16
export const KINDS_MAX = 256

export const PROGRAM_CPU = struct('program', 128 + 64 + HELD_MAX * 4 + KINDS_MAX * 4, {
  regs: [0, REGISTERS * 8, laboratory], //   doubles
  held: [128, 4, laboratory], //             pages that gup returned and that are still held
  heldPages: [192, HELD_MAX * 4, laboratory], // frame * 2 + (1: pinned)
  counts: [192 + HELD_MAX * 4, KINDS_MAX * 4, laboratory], // operations done, by kind
})

const SLOT = struct('slot', 4, { mm: [0, 4, laboratory] })
const LITMUS = struct('word', 64, { value: [0, 4, laboratory], locked: [4, 4, laboratory] }) // locked: of an MCS node

export interface ProgramRegions {
  readonly cpus: PhysAddr
  readonly slots: PhysAddr
  readonly words: PhysAddr
}

export function placeProgramRegions(layout: Layout, cpuCount: number): ProgramRegions {
  return {
    cpus: layout.add('program', PROGRAM_CPU, cpuCount),
    slots: layout.add('slot', SLOT, SLOTS),
    words: layout.add('word', LITMUS, LITMUS_WORDS),
  }
}

export const programCpu = (regions: ProgramRegions, cpu: number): PhysAddr =>
  phys(regions.cpus + cpu * PROGRAM_CPU.size)
export const slotAt = (regions: ProgramRegions, slot: number): PhysAddr => phys(regions.slots + slot * SLOT.size)
export const wordAt = (regions: ProgramRegions, word: number): PhysAddr => phys(regions.words + word * LITMUS.size)
