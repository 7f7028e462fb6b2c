import { describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'
import type { Profile } from '../../dist/src/explore/strategy/profile.js'
import { SelectiveStrategy, UrwStrategy } from '../../dist/src/explore/strategy/urw.js'
import { everyAction, SC_KINDS } from '../../dist/src/machine/engine/actions.js'
import type { Strategy } from '../../dist/src/machine/engine/controlled.js'
import { pointAt } from '../machine/points.js'

const SHARED = 100
/** By CPU, the words that it goes to. */
type Words = readonly (readonly number[])[]

const profileOf = (words: Words): Profile => {
  const shared = { word: SHARED, accesses: words.map((list) => list.filter((word) => word === SHARED).length) }
  return {
    length: words.flat().length,
    fairFrom: Infinity,
    accesses: words.map((list) => list.length),
    actions: everyAction(SC_KINDS, words.length),
    shared: [shared],
    sharedWords: new Set([SHARED]),
    lengths: [{ points: words.flat().length, before: new Map([[SHARED, shared.accesses.reduce((a, b) => a + b, 0)]]) }],
  }
}

/**
 * Runs CPUs that make these accesses, as the engine does; the CPUs in order, of all turns or of the accesses to one
 * word.
 */
function interleaving(strategy: Strategy, words: Words, only?: number): string {
  const next = words.map(() => -1)
  const order: number[] = []
  let current = -1
  for (;;) {
    const runnable = words.reduce(
      (mask, list, cpu) => ((next[cpu] as number) < list.length ? mask | (1 << cpu) : mask),
      0,
    )
    if (runnable === 0) return order.join('')
    const arrived = current >= 0 && ((runnable >>> current) & 1) === 1 ? current : -1
    const addr = arrived < 0 ? 0 : 8 * (words[arrived]?.[next[arrived] as number] as number)
    const cpu = strategy.pick(pointAt(arrived, [runnable], 1, addr))
    const at = next[cpu] as number
    const word = words[cpu]?.[at]
    if (only === undefined || word === only) order.push(cpu)
    next[cpu] = at + 1
    current = cpu
  }
}

/** Pearson's chi-square of how often each interleaving came, and how many there were. */
function spread(make: (seed: number) => string, runs: number): { kinds: number; chi: number } {
  const counts = new Map<string, number>()
  for (let seed = 0; seed < runs; seed++) {
    const order = make(seed)
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  const expected = runs / counts.size
  const chi = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  return { kinds: counts.size, chi }
}

describe('--strategy urw', () => {
  it('draws every interleaving equally often, when it knows how long each CPU is', () => {
    const words = [
      [1, 2, 3],
      [4, 5, 6],
    ]
    // To be started is an event of a CPU, too.
    const profile = { ...profileOf(words), accesses: [4, 4] }
    const { kinds, chi } = spread((seed) => interleaving(new UrwStrategy(Prng.split(1, seed), profile), words), 20_000)
    expect(kinds).toBe(70)
    // 111.1 is exceeded once in a thousand by chance at 69 degrees of freedom; the seeds are fixed.
    expect(chi).toBeLessThan(111.1)
  })

  it('draws every order of the accesses that count equally often, whatever lies between them', () => {
    const between = Array.from({ length: 12 }, (_, n) => n)
    const words = [
      [SHARED, SHARED],
      [...between, SHARED, ...between, SHARED],
    ]
    const { kinds, chi } = spread(
      (seed) => interleaving(new SelectiveStrategy(Prng.split(2, seed), profileOf(words), 1), words, SHARED),
      6000,
    )
    expect(kinds).toBe(6)
    // 20.5 is exceeded once in a thousand by chance at five degrees of freedom; the seeds are fixed.
    expect(chi).toBeLessThan(20.5)
  })
})
