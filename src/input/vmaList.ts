/**
 * The VMAs of one address space as an ordered list of intervals, with the kernel's rules for splitting and merging.
 *
 * A model of its own, written from the rules and not from src/mm, so that the two can be held against each other.
 * Source for the rules: mm/vma.c of Linux 6.18 (is_mergeable_vma, can_vma_merge_left and _right, vma_modify).
 *
 * Two VMAs that touch become one when everything the kernel compares is equal: protection, sharing, flags, file, and an
 * offset that continues. The kernel tries this only for the range that a call made or changed, with its neighbours, and
 * never when it unmaps. Anonymous memory has an offset too: the address it was made at, which a move does not change.
 *
 * Left out: anon_vma. In the kernel two anonymous VMAs that were both written to before they came to touch stay apart.
 * Here they merge: a log does not say what was written. And file identity: the kernel compares open files, here paths.
 */

export interface Vma {
  readonly start: number
  readonly end: number
  /** `rwx`, `-` each. */
  readonly prot: string
  readonly shared: boolean
  /** Identity of what is mapped: a path, a name in brackets; undefined for private anonymous memory. */
  readonly file: string | undefined
  /** Bytes; the file offset of `start`, or the address at which anonymous memory was made. */
  readonly offset: number
  /** Flags that /proc/PID/maps does not show, in the two-letter names of smaps. Sorted. */
  readonly hidden: readonly string[]
}

/** Address order, no overlap. Lists are values: every function returns a new one. */
export type VmaList = readonly Vma[]

/** `list` without start … end; VMAs that reach over an edge are split there. Nothing for an empty range. */
export function unmap(list: VmaList, start: number, end: number): VmaList {
  if (start >= end) return list
  return list.flatMap((vma) => {
    if (vma.end <= start || vma.start >= end) return vma
    return [...cut(vma, vma.start, start), ...cut(vma, end, vma.end)]
  })
}

/** `list` with `vma` in place of whatever was there, merged with its neighbours. */
export function insert(list: VmaList, vma: Vma): VmaList {
  const rest = unmap(list, vma.start, vma.end)
  const at = rest.findIndex((other) => other.start >= vma.end)
  const index = at === -1 ? rest.length : at
  return mergeAround([...rest.slice(0, index), vma, ...rest.slice(index)], vma.start, vma.end)
}

/**
 * `list` with `change` applied to the parts of VMAs inside start … end. Parts that come back unaltered neither split
 * nor merge, like the kernel's, which leaves a VMA alone when its flags already are what was asked.
 */
export function alter(list: VmaList, start: number, end: number, change: (part: Vma) => Vma): VmaList {
  const changed: Vma[] = []
  const parts = list.flatMap((vma) => {
    const [inside] = cut(vma, start, end)
    const after = inside === undefined ? undefined : change(inside)
    if (inside === undefined || after === undefined || sameKind(inside, after)) return vma
    changed.push(after)
    return [...cut(vma, vma.start, start), after, ...cut(vma, end, vma.end)]
  })
  return changed.reduce((merged: VmaList, part) => mergeAround(merged, part.start, part.end), parts)
}

/** The parts of `list` inside start … end, cut to it. */
export function within(list: VmaList, start: number, end: number): VmaList {
  return list.flatMap((vma) => cut(vma, start, end))
}

/** The end of the stretch without a hole that begins at `start`; `start` itself when nothing is mapped there. */
export function mappedUntil(list: VmaList, start: number): number {
  let end = start
  for (const vma of list) if (vma.start <= end && end < vma.end) end = vma.end
  return end
}

/** The part of `vma` inside start … end, if any. */
function cut(vma: Vma, start: number, end: number): Vma[] {
  const [from, to] = [Math.max(vma.start, start), Math.min(vma.end, end)]
  if (from >= to) return []
  return [{ ...vma, start: from, end: to, offset: vma.offset + (from - vma.start) }]
}

/** Merges at every boundary from `start` to `end`, both included. */
function mergeAround(list: VmaList, start: number, end: number): VmaList {
  const merged: Vma[] = []
  for (const vma of list) {
    const before = merged[merged.length - 1]
    if (before !== undefined && vma.start >= start && vma.start <= end && mergeable(before, vma)) {
      merged[merged.length - 1] = { ...before, end: vma.end }
    } else merged.push(vma)
  }
  return merged
}

/** Whether nothing that the kernel compares keeps them apart. */
export function mergeable(low: Vma, high: Vma): boolean {
  // A SysV segment has vm_ops->close: no merge removes a VMA of it.
  if (low.file?.startsWith('/SYSV') === true) return false
  return low.end === high.start && low.offset + (low.end - low.start) === high.offset && sameKind(low, high)
}

/**
 * Whether two neighbours differ in nothing that a log shows. Touches decide the rest: which anon_vma private memory has
 * and whether it has one, and with that the offset of anonymous memory that was moved, and VM_ACCOUNT of anonymous
 * memory that is not writable any more. So does what nobody knows (marks of the start and of fork).
 */
export function alikeButForTouches(low: Vma, high: Vma): boolean {
  if (low.prot !== high.prot || low.shared !== high.shared || low.file !== high.file) return false
  const continues = low.offset + (low.end - low.start) === high.offset
  if (low.file !== undefined && !continues) return false
  const account = low.file === undefined && !low.prot.includes('w')
  const shown = (vma: Vma): string =>
    vma.hidden.filter((flag) => !/^(apart|forked)\d/.test(flag) && !(account && flag === 'ac')).join(' ')
  return shown(low) === shown(high)
}

/** The mappings around start … end that may be one with it, for all that a log shows. */
export function runAround(list: VmaList, start: number, end: number): { readonly start: number; readonly end: number } {
  const inside = list.findIndex((vma) => vma.start <= start && start < vma.end)
  let [first, last] = [inside, inside]
  const isOne = (low: number): boolean => {
    const [below, above] = [list[low], list[low + 1]]
    return below !== undefined && above !== undefined && below.end === above.start && alikeButForTouches(below, above)
  }
  if (inside === -1) return { start, end }
  while (isOne(first - 1)) first--
  while (isOne(last) || (list[last]?.end ?? end) < end) last++
  return { start: list[first]?.start ?? start, end: Math.max(end, list[last]?.end ?? end) }
}

function sameKind(a: Vma, b: Vma): boolean {
  return a.prot === b.prot && a.shared === b.shared && a.file === b.file && a.hidden.join(' ') === b.hidden.join(' ')
}
