/**
 * The mappings that a snapshot shows, as the model has them: with what their names and neighbours tell of what the
 * snapshot does not show.
 */
import type { MapsEntry, MapsVma } from './maps.js'
import { sorted } from './vmFlags.js'
import { mergeable, type Vma, type VmaList } from './vmaList.js'

/** The program break: `[heap]` lies between `start` and the current `end`. Not page aligned. */
export interface Heap {
  readonly start: number
  readonly end: number
}

/** What a model knows at its start besides the mappings. */
export interface ModelStart {
  /** Needed when the mappings have no [heap], and the events do not ask for the break before they move it. */
  readonly heap?: Heap | undefined
  /** Flags that mlockall(MCL_FUTURE) gives to new mappings. */
  readonly futureLocked?: readonly string[]
  readonly segments?: ReadonlyMap<number, Segment>
  /** Length in bytes and path of the SysV segment that is attached at an address, where something else tells it. */
  readonly attachedAt?: (addr: number) => Segment | undefined
}

/** A SysV segment: its bytes, and the path that maps has for it. */
export interface Segment {
  readonly length: number
  readonly path: string
}

/** The name /proc/PID/maps has for shared anonymous memory, which is an unnamed file of its own each time. */
export const SHARED_ANONYMOUS = '/dev/zero'
export const SEGMENT = '/SYSV'
/** Tells files apart that have one name. */
const NUMBERED = /^(\/dev\/zero|\/SYSV[0-9a-f]+)#i?\d+$/

export const segmentPath = (key: number): string => `${SEGMENT}${key.toString(16).padStart(8, '0')}`

/** The name that maps shows for a file. */
export const shownFile = (file: string): string => file.replace(NUMBERED, '$1')

export function initialList(start: readonly MapsVma[]): VmaList {
  const list: Vma[] = []
  start.forEach((vma, index) => {
    const [prot, shared] = [vma.perms.slice(0, 3), vma.perms.endsWith('s')]
    const isAnonymous = /^(\[(heap|stack|anon:.*)\])?$/.test(vma.path)
    const file = isAnonymous ? undefined : fileAtStart(vma)
    const offset = isAnonymous ? vma.start : vma.offset
    const made = { start: vma.start, end: vma.end, prot, shared, file, offset, hidden: hiddenAtStart(vma) }
    const before = list[list.length - 1]
    const apart = before !== undefined && mergeable(before, made) ? [`apart${index}`] : []
    list.push({ ...made, hidden: sorted([...apart, ...made.hidden]) })
  })
  return list
}

/** Files without a name of their own are told apart by their inodes. */
function fileAtStart(vma: MapsVma & Partial<Pick<MapsEntry, 'inode'>>): string {
  const isUnnamed = vma.path === SHARED_ANONYMOUS || vma.path.startsWith(SEGMENT)
  return isUnnamed && vma.inode !== undefined ? `${vma.path}#i${vma.inode}` : vma.path
}

function hiddenAtStart({ perms, path, hidden }: MapsVma): readonly string[] {
  const name = /^\[anon:(.*)\]$/.exec(path)?.[1]
  const known = hidden ?? (perms[1] === 'w' && perms[3] === 'p' ? ['ac'] : [])
  return sorted([...known, ...(path === '[stack]' ? ['gd'] : []), ...(name === undefined ? [] : [`name:${name}`])])
}
