/** Questions of oracles about an address space: flushes that are owed, and CPUs that it is attached to. */
import type { PhysAddr } from '../../base/units.js'
import { MM_CONTEXT } from '../../arch/context.js'
import { load32 } from '../../machine/image/image.js'
import { MM } from '../../mm/mmStruct.js'
import { S390_CONTEXT } from './context.js'

const AT = MM_CONTEXT.at

/**
 * The purge is noted as a debt of the address space, or somebody is paying it, with the lock that makes others wait. A
 * CPU pays or waits before it uses the address space again; one that does not is found when it accesses the page. Or
 * the address space has no user any more, so that no CPU can come back to it; its top table waits for the purge.
 */
export const debts = (mm: PhysAddr): boolean =>
  load32(mm + MM.at.mmUsers) === 0 || load32(mm + S390_CONTEXT.at.flushMm) !== 0 || load32(mm + AT.contextLock) !== 0

/** A CPU has it in its control registers, or is about to. */
export const inUse = (mm: PhysAddr): boolean =>
  load32(mm + S390_CONTEXT.at.attachMask) !== 0 || load32(mm + S390_CONTEXT.at.attachMask + 4) !== 0
