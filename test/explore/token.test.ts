import { describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'
import { decodeToken, encodeToken } from '../../dist/src/explore/token.js'

const SEED = 5

describe(`a token (seed ${SEED})`, () => {
  it('gives back what went in', () => {
    const prng = new Prng(SEED)
    for (let i = 0; i < 500; i++) {
      const picks = Array.from({ length: prng.below(200) }, () => prng.below(prng.below(4) === 0 ? 90 : 3))
      const token = {
        scenario: `scenario-${prng.below(9)}`,
        bug: prng.below(2) === 0 ? null : 'a-bug',
        cpus: 2 + prng.below(29),
        picks,
      }
      expect(decodeToken(encodeToken(token))).toEqual(token)
    }
  })

  it('is one word', () => {
    expect(encodeToken({ scenario: 'mixed', bug: null, cpus: 4, picks: [1, 64, 3] })).toMatch(/^rw1-[\w-]+$/)
  })

  it('grows with the turns taken and not with the steps between them', () => {
    const picks = Array.from({ length: 10_000 }, (_, i) => (i < 9_000 ? 0 : 1))
    expect(encodeToken({ scenario: 'mixed', bug: null, cpus: 2, picks }).length).toBeLessThan(120)
  })

  it('does not survive the change of any one character', () => {
    const token = encodeToken({ scenario: 'gup-vs-split', bug: 'no-recheck', cpus: 2, picks: [0, 0, 1, 65, 0, 1] })
    for (let i = 0; i < token.length; i++) {
      const changed = token.slice(0, i) + (token[i] === 'x' ? 'y' : 'x') + token.slice(i + 1)
      expect(() => decodeToken(changed), changed).toThrow(/no token|damaged|version/)
    }
  })
})
