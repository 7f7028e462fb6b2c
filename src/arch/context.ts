/**
 * The architecture's part of an mm_struct (mm_context_t, mm_cpumask): the first line of the structure, so that
 * architecture code needs no knowledge of the rest.
 */
import { struct } from '../machine/image/struct.js'

export const MM_CONTEXT = struct('mmContext', 64, {
  cpumask: [0, 8], // CPUs whose TLB may hold translations of this mm
  pgd: [8, 4], //     address of the top-level table
  ctxId: [12, 4], //  never reused number of the address space
})
