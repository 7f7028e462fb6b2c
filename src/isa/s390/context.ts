/** The part of an mm_struct that s390 has alone, in words that MM_CONTEXT leaves free. */
import { atomic } from '../../machine/image/guard.js'
import { struct } from '../../machine/image/struct.js'

export const S390_CONTEXT = struct('mmContext', 64, {
  attachMask: [32, 8, atomic], // CPUs whose control registers hold this address space, or are about to
  flushCount: [40, 4, atomic], // invalidations under way
  // entries were made invalid that are not purged yet (context lock, or the only CPU attached)
  flushMm: [44, 4, atomic],
})
