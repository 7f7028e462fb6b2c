/**
 * The architectures that a machine can have. A new one is a folder beside these and a row here; a row that is added
 * later counts from then on (test/isa/toy.test.ts). The re-exports are for kernel code of users, which takes all by
 * this name.
 */
import { nearest } from '../base/names.js'
import type { Architecture } from './architecture.js'
import { powerpc } from './powerpc/arch.js'
import { s390 } from './s390/arch.js'
import { x86_64 } from './x86_64/arch.js'

export * from './powerpc/arch.js'
export * from './s390/arch.js'
export * from './x86_64/arch.js'

export const ARCHITECTURES: Architecture[] = [x86_64, s390, powerpc]

/** The architecture of machines that name none. */
export const DEFAULT_ARCH = x86_64

/** Throws UsageError, with the nearest name, for a name that is none. */
export const architectureOf = (id: string): Architecture => nearest('architecture', id, ARCHITECTURES)
