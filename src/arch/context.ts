/**
 * The architecture's part of an mm_struct (mm_context_t, mm_cpumask): the first line of the structure, so that
 * architecture code needs no knowledge of the rest.
 */
import { struct } from '../machine/image/struct.js'
import { atomic, constant, lockWord } from '../machine/image/guard.js'

export const MM_CONTEXT = struct('mmContext', 64, {
  cpumask: [0, 8, atomic], // CPUs whose TLB may hold translations of this mm
  pgd: [8, 4, constant], //     address of the top-level table
  ctxId: [12, 4, constant], //  never reused number of the address space
  topLevel: [20, 4, constant], // Level of the top table
  asceLimit: [24, 8, constant], // double: addresses below can be translated
  //  32 … 47: what an architecture has alone
  // the spinlock of what an architecture guards by it: lists of pages of tables, debts of flushes
  contextLock: [48, 8, lockWord],
  tlbGen: [56, 4, atomic], //    flushes by interrupt: flushes asked for so far
})
