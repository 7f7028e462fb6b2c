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
  attachMask: [32, 8, atomic], // s390: CPUs whose control registers hold this address space, or are about to
  flushCount: [40, 4, atomic], // s390: invalidations under way
  flushMm: [44, 4, constant], //   s390: entries were made invalid that are not purged yet (context lock, or the only CPU attached)
  contextLock: [48, 8, lockWord], // s390: spinlock; the list of pages of tables, and the debt of flushes
  tlbGen: [56, 4, atomic], //    x86-64: flushes asked for so far (atomic)
})
