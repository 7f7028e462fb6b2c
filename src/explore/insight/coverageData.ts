/** The coverage of an exploration as plain data: threads send it, and the parts of an exploration add up. */

/**
 * An access by its place: operation (`CPU 1` in a litmus test, `interrupt` in a handler), kind, and class of its word.
 */
export interface Site {
  readonly operation: string
  readonly access: string
  readonly word: string
  /** CPUs that made it, as a mask. */
  readonly cpus: number
  readonly writes: boolean
}

/** Plain data. What the parts of an exploration have covered is merged by mergeCoverage(). */
export interface CoverageData {
  readonly executions: number
  /** Those of them that were recorded. */
  readonly recorded: number
  /** Executions under PCT with change points anywhere, by depth. */
  readonly pct: ReadonlyMap<number, number>
  /** Places with more than one action, in the longest execution. */
  readonly points: number
  /** Actions that PCT chose from: as many as there are CPUs, of each kind that was taken. */
  readonly actions: number
  /** How often each class of equivalent executions was seen, by its hash. */
  readonly classes: ReadonlyMap<number, number>
  /** Executions whose class was not counted any more. */
  readonly beyond: number
  /** Operations by CPU. */
  readonly operations: readonly ReadonlySet<string>[]
  /** `first\0second`: `second` began on one CPU while `first` was under way on another. */
  readonly overlaps: ReadonlySet<string>
  /** By `operation\0access\0word`. */
  readonly sites: ReadonlyMap<string, Site>
  /** `site\x01site`: the second came to a word right after the first, of another CPU; one of them may have stored. */
  readonly orders: ReadonlySet<string>
}

/** The name of a site in `sites` and `orders`. */
export const siteKey = ({ operation, access, word }: Site): string => `${operation}\0${access}\0${word}`

export const NOTHING_COVERED: CoverageData = {
  executions: 0,
  recorded: 0,
  pct: new Map(),
  points: 0,
  actions: 0,
  classes: new Map(),
  beyond: 0,
  operations: [],
  overlaps: new Set(),
  sites: new Map(),
  orders: new Set(),
}

/** The sum of parts, in the order they are given. */
export const mergeCoverage = (parts: readonly CoverageData[]): CoverageData => parts.reduce(merged, NOTHING_COVERED)

function merged(a: CoverageData, b: CoverageData): CoverageData {
  const counts = {
    executions: a.executions + b.executions,
    pct: added(a.pct, b.pct),
    points: Math.max(a.points, b.points),
    actions: Math.max(a.actions, b.actions),
  }
  // Small parts of a search come by the thousand, and most have no execution that was recorded.
  if (b.recorded === 0) return { ...a, ...counts }
  const sites = new Map(a.sites)
  for (const [key, site] of b.sites) sites.set(key, { ...site, cpus: site.cpus | (sites.get(key)?.cpus ?? 0) })
  const cpus = Math.max(a.operations.length, b.operations.length)
  return {
    ...counts,
    recorded: a.recorded + b.recorded,
    classes: added(a.classes, b.classes),
    beyond: a.beyond + b.beyond,
    operations: Array.from({ length: cpus }, (_, cpu) => union(a.operations[cpu], b.operations[cpu])),
    overlaps: union(a.overlaps, b.overlaps),
    sites,
    orders: union(a.orders, b.orders),
  }
}

const union = (a: ReadonlySet<string> = new Set(), b: ReadonlySet<string> = new Set()): ReadonlySet<string> =>
  new Set([...a, ...b])

function added(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): ReadonlyMap<number, number> {
  const sum = new Map(a)
  for (const [key, count] of b) sum.set(key, count + (sum.get(key) ?? 0))
  return sum
}
