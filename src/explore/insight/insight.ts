/** The covered and the uncovered part of an exploration, counted from CoverageData. */
import { countBits } from '../../base/bits.js'
import type { CoverageData, Site } from './coverageData.js'

/** `second` after `first` was not seen. */
export interface UnseenOrder {
  readonly first: string
  readonly second: string
  /** Whether they were seen in the other order; false: not at all. */
  readonly otherWay: boolean
}

/** Pairs of different CPUs, without regard to order. */
export interface PairCounts {
  readonly pairs: number
  readonly bothOrders: number
  readonly oneOrder: number
  readonly never: number
  readonly unseen: readonly UnseenOrder[]
}

export interface Insight {
  readonly executions: number
  /** Executions that the rest is about. */
  readonly recorded: number
  /** Those of them that differ in more than the order of independent accesses. */
  readonly distinct: number
  /**
   * Chance that another execution is one that was not seen, by the share of those seen once (Good, "The Population
   * Frequencies of Species and the Estimation of Population Parameters", Biometrika 1953). 1 before there are any.
   */
  readonly newChance: number
  /** Operations that overlapped, by which of them began first. */
  readonly operations: PairCounts
  /** Accesses to one kind of word that conflict, by which of them came to one word right after the other. */
  readonly accesses: PairCounts
  /** Largest d such that a bug of depth d is missed with a chance below PCT_MISS by PCT's bound; 0: none. */
  readonly pctDepth: number
}

/** A chance that counts as small. */
export const PCT_MISS = 0.05

export function insightOf(data: CoverageData): Insight {
  const once = [...data.classes.values()].filter((times) => times === 1).length + data.beyond
  return {
    executions: data.executions,
    recorded: data.recorded,
    distinct: data.classes.size + data.beyond,
    newChance: data.recorded === 0 ? 1 : once / data.recorded,
    operations: operationPairs(data),
    accesses: accessPairs(data),
    pctDepth: pctDepth(data),
  }
}

function operationPairs({ operations, overlaps }: CoverageData): PairCounts {
  const names = [...new Set(operations.flatMap((names) => [...names]))].sort()
  const masks = names.map((name) => maskOf(operations, name))
  const pairs = pairsOf(names, (a, b) => onTwoCpus(masks[a] as number, masks[b] as number))
  return counted(
    pairs,
    (first, second) => overlaps.has(`${first}\0${second}`),
    (name) => name,
  )
}

const maskOf = (operations: CoverageData['operations'], name: string): number =>
  operations.reduce((mask, names, cpu) => (names.has(name) ? mask | (1 << cpu) : mask), 0)

function accessPairs({ sites, orders }: CoverageData): PairCounts {
  const byWord = new Map<string, [string, Site][]>()
  for (const [key, site] of sites) {
    const list = byWord.get(site.word)
    if (list === undefined) byWord.set(site.word, [[key, site]])
    else list.push([key, site])
  }
  const conflict = ([, a]: [string, Site], [, b]: [string, Site]): boolean =>
    (a.writes || b.writes) && onTwoCpus(a.cpus, b.cpus)
  const pairs = [...byWord.keys()].sort().flatMap((word) => {
    const list = (byWord.get(word) as [string, Site][]).sort(([a], [b]) => (a < b ? -1 : 1))
    const keys = list.map(([key]) => key)
    return pairsOf(keys, (a, b) => conflict(list[a] as [string, Site], list[b] as [string, Site]))
  })
  return counted(pairs, (first, second) => orders.has(`${first}\x01${second}`), wordsOf(sites))
}

/** `munmap: atomicAdd32 page.refcount`. */
const wordsOf =
  (sites: CoverageData['sites']) =>
  (key: string): string => {
    const { operation, access, word } = sites.get(key) as Site
    return `${operation}: ${access} ${word}`
  }

/** Whether one CPU of `a` is another than one of `b`. */
const onTwoCpus = (a: number, b: number): boolean => countBits(a | b) > 1

/** Each with itself and with those behind it, where `take` says so. */
function pairsOf(names: readonly string[], take: (a: number, b: number) => boolean): [string, string][] {
  const pairs: [string, string][] = []
  for (let a = 0; a < names.length; a++)
    for (let b = a; b < names.length; b++) if (take(a, b)) pairs.push([names[a] as string, names[b] as string])
  return pairs
}

function counted(
  pairs: readonly [string, string][],
  seen: (first: string, second: string) => boolean,
  words: (name: string) => string,
): PairCounts {
  let [bothOrders, oneOrder] = [0, 0]
  const unseen: UnseenOrder[] = []
  for (const [a, b] of pairs) {
    const [forth, back] = [seen(a, b), seen(b, a)]
    if (forth && back) bothOrders++
    else {
      if (forth || back) oneOrder++
      const [first, second] = forth ? [b, a] : [a, b]
      unseen.push({ first: words(first), second: words(second), otherWay: forth || back })
    }
  }
  return { pairs: pairs.length, bothOrders, oneOrder, never: unseen.length - oneOrder, unseen }
}

/**
 * An execution of depth D misses a bug of depth D with a chance of at most 1 - 1 / (n · k^(D-1)); a bug of a smaller
 * depth with no larger one.
 */
function pctDepth({ pct, points, actions }: CoverageData): number {
  const deepest = Math.max(0, ...pct.keys())
  for (let depth = deepest; depth > 0; depth--) {
    let logMiss = 0
    for (const [drawn, executions] of pct)
      if (drawn >= depth) logMiss += executions * Math.log1p(-1 / (actions * Math.max(2, points) ** (drawn - 1)))
    if (logMiss < Math.log(PCT_MISS)) return depth
  }
  return 0
}
