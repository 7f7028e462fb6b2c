import { describe, expect, it } from 'vitest'
import { Prng } from '../../dist/src/base/prng.js'
import { decodeToken, encodeToken, type Token } from '../../dist/src/explore/schedule/token.js'
import type { Kept } from '../../dist/src/program/reduction.js'

const SEED = 5
const SMALL: Token = {
  scenario: 'gup-vs-split',
  bug: 'no-recheck',
  patch: null,
  cpus: 2,
  deviations: [{ cpu: 1, operation: 0, what: 0xabcdef, occurrence: 3, action: 64 }],
  reduction: null,
}

describe(`a token (seed ${SEED})`, () => {
  it('gives back what went in', () => {
    const prng = new Prng(SEED)
    for (let i = 0; i < 500; i++) {
      const deviations = Array.from({ length: prng.below(100) }, () => ({
        cpu: prng.below(30),
        operation: prng.below(prng.below(4) === 0 ? 100_000 : 5),
        what: prng.below(2 ** 24),
        occurrence: prng.below(300),
        action: prng.below(94),
      }))
      const cpus = 2 + prng.below(29)
      const kept = (): Kept => ({
        path: Array.from({ length: 1 + prng.below(3) }, () => prng.below(40)),
        size: prng.below(2) * prng.below(600),
        choice: prng.below(2) * prng.below(200),
      })
      const token = {
        scenario: `scenario-${prng.below(9)}`,
        bug: prng.below(2) === 0 ? null : 'a-bug',
        patch: prng.below(2) === 0 ? null : 'fix.ts 1234abcd',
        cpus,
        deviations,
        reduction:
          prng.below(2) === 0 ? null : Array.from({ length: cpus }, () => Array.from({ length: prng.below(5) }, kept)),
      }
      expect(decodeToken(encodeToken(token))).toEqual(token)
    }
  })

  it('of before there were reduced programs is one of whole programs', () => {
    const token = 'rw2-AAxndXAtdnMtc3BsaXQPcG1kcC1pbnZhbC1hZGRyAAIA-1979hcd'
    expect(decodeToken(token)).toMatchObject({ scenario: 'gup-vs-split', cpus: 2, deviations: [], reduction: null })
  })

  it('is one word', () => {
    expect(encodeToken(SMALL)).toMatch(/^rw2-[\w-]+$/)
  })

  it('does not survive the change of any one character', () => {
    const token = encodeToken(SMALL)
    for (let i = 0; i < token.length; i++) {
      const changed = token.slice(0, i) + (token[i] === 'x' ? 'y' : 'x') + token.slice(i + 1)
      expect(() => decodeToken(changed), changed).toThrow(/no token|damaged|version/)
    }
  })
})
