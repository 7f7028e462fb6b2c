/** The designs of page tables of all architectures, as a machine's configuration names them. */
import { nearest } from '../base/names.js'
import type { Architecture, PgallocDesign } from './architecture.js'
import { ARCHITECTURES } from './index.js'

export interface DesignOfArch extends PgallocDesign {
  readonly arch: Architecture
}

export const pgallocDesigns = (): readonly DesignOfArch[] =>
  ARCHITECTURES.flatMap((arch) => arch.designs.map((design) => ({ ...design, arch })))

/** Throws UsageError, with the nearest name, for a name that is none. */
export const pgallocDesign = (id: string): DesignOfArch => nearest('design of page tables', id, pgallocDesigns())

/** PTE tables in a page of a small machine: sixteen are enough to see what they do to each other. */
export const exploredFragments = (id: string): number => Math.min(pgallocDesign(id).fragments, 16)
