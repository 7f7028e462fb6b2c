/** The state that every architecture keeps for each CPU, in words that CPU_AREA leaves free. */
import { ownCpu } from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'

export const CPU_STATE = struct('cpu', 256, {
  currentMm: [16, 4, ownCpu], // the mm whose tables the hardware walker uses; 0: none
  activeMm: [140, 4, ownCpu], // the mm that a kernel thread here has borrowed; 0: none, a process runs or nothing
  tlbGen: [144, 4, ownCpu], // flushes by interrupt: generation of the loaded mm up to which this CPU has flushed
  isLazy: [196, 4, ownCpu], // 1: a kernel thread runs with the tables of a process loaded. Writer: this CPU
  lockedVma: [224, 4, ownCpu], // the VMA that a fault here has locked, where VMAs have locks; 0: none
  stack: [200, 24, ownCpu], // words of the kernel stack whose addresses were taken
})
