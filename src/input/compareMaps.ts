/**
 * The comparison of two lists of mappings, both as /proc/PID/maps shows them.
 *
 * Which neighbours are one VMA depends on touches as well, and no log shows those: two alike ones that were both
 * written to before they came to touch stay two for good. So neighbours count as one on both sides where only that can
 * decide (a seam, AddressSpaceModel.isSeam()).
 */
import type { MapsVma } from './maps.js'

/** A VMA on one side that is not on the other. */
export interface MapsDifference {
  readonly expected?: MapsVma
  readonly found?: MapsVma
}

/** What else the comparison leaves to others; by default nothing. */
export interface Tolerance {
  readonly isSeam?: (address: number) => boolean
  /** Nobody knows what is mapped there. */
  readonly isUnknown?: (start: number, end: number) => boolean
}

/** What differs in boundaries, protection, offset or path; nothing when the two agree. */
export function compareMaps(
  expected: readonly MapsVma[],
  found: readonly MapsVma[],
  { isSeam = () => false, isUnknown = () => false }: Tolerance = {},
): MapsDifference[] {
  const known = ({ start, end }: MapsVma): boolean => !isUnknown(start, end)
  const left = new Map(
    joined(expected, isSeam)
      .filter(known)
      .map((vma) => [keyOf(vma), vma]),
  )
  const differences: MapsDifference[] = []
  for (const vma of joined(found, isSeam).filter(known)) if (!left.delete(keyOf(vma))) differences.push({ found: vma })
  return [...[...left.values()].map((vma) => ({ expected: vma })), ...differences]
}

const keyOf = ({ start, end, perms, offset, path }: MapsVma): string => [start, end, perms, offset, path].join(' ')

/** Neighbours that look alike as one, where there is a seam between them. */
function joined(vmas: readonly MapsVma[], isSeam: (address: number) => boolean): MapsVma[] {
  const result: MapsVma[] = []
  for (const vma of vmas) {
    const below = result[result.length - 1]
    if (below !== undefined && looksAlike(below, vma) && isSeam(vma.start))
      result[result.length - 1] = { ...below, end: vma.end }
    else result.push(vma)
  }
  return result
}

/** Private and alike in all that maps shows. Shared memory has no anon_vma: touches decide nothing there. */
function looksAlike(low: MapsVma, high: MapsVma): boolean {
  if (low.end !== high.start || low.perms !== high.perms || low.path !== high.path || low.perms[3] === 's') return false
  const isFile = low.path !== '' && !low.path.startsWith('[')
  return !isFile || low.offset + (low.end - low.start) === high.offset
}
