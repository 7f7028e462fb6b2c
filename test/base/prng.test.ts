import { describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'

const draw = (prng: Prng, count: number): number[] => Array.from({ length: count }, () => prng.next())

describe('the source of randomness', () => {
  it('gives the same numbers for the same seed, and others for another, nearby seeds and 0 included', () => {
    const streams = [0, 1, 2, -1, 2 ** 31].map((seed) => draw(new Prng(seed), 8).join())
    expect(draw(new Prng(0), 8).join()).toBe(streams[0])
    expect(new Set(streams).size).toBe(streams.length)
  })

  it('has streams by label that no draw from another stream moves', () => {
    const first = draw(Prng.split(7, 1), 4)
    draw(Prng.split(7, 0), 100)
    expect(draw(Prng.split(7, 1), 4)).toEqual(first)
    expect(draw(Prng.split(7, 2), 4)).not.toEqual(first)
    expect(draw(Prng.split(8, 1), 4)).not.toEqual(first)
  })

  it('stays below a limit and reaches each number as often as the others', () => {
    const prng = new Prng(20_261_121)
    const [limit, draws] = [7, 70_000]
    const seen = Array.from({ length: limit }, () => 0)
    for (let i = 0; i < draws; i++) {
      const number = prng.below(limit)
      seen[number] = (seen[number] ?? 0) + 1
    }
    // Fixed seed; 10,000 ± 500 is five standard deviations.
    for (const count of seen) expect(Math.abs(count - draws / limit)).toBeLessThan(500)
  })
})
