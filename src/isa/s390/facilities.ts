/**
 * The facilities that an s390 may have beside IPTE, by their bits: IDTE (3), which invalidates one segment entry or one
 * address space; without it CSP purges every TLB of everything. Local clearing (51): IPTE and IDTE of this CPU alone.
 * RDP (194).
 */
import type { ArchHost } from '../../arch/host.js'

export const FACILITIES = ['idte', 'localClearing', 'rdp'] as const
export type Facility = (typeof FACILITIES)[number]

/** The machine has it: all of them, unless its configuration lists some. */
export const hasFacility = ({ config }: ArchHost, facility: Facility): boolean =>
  (config.facilities ?? FACILITIES).includes(facility)
