import { describe, expect, it } from 'vitest'
import { Endings } from '../../dist/src/explore/session/endings.js'

describe('an ending', () => {
  const values = { regs: [0, 0], words: [0, 0] }
  const reg = (cpu: number, at: number): number => values.regs[cpu + at] as number
  const word = (at: number): number => values.words[at] as number

  it('has the name that the scenario gives it, whatever was named before', () => {
    // Which values are read depends on those that were read before.
    const name = (r: typeof reg, w: typeof word): string =>
      r(0, 0) === 0 ? `none, ${w(1)}` : w(0) === r(0, 1) ? 'equal' : `${r(0, 0)}${w(0)}${w(1)}`
    const endings = new Endings(name, { reg, word })
    for (let round = 0; round < 2; round++)
      for (let all = 0; all < 3 ** 4; all++) {
        const digit = (n: number): number => Math.floor(all / 3 ** n) % 3
        values.regs = [digit(0), digit(1)]
        values.words = [digit(2), digit(3)]
        expect(endings.name()).toBe(name(reg, word))
      }
  })

  it('is named by the scenario once', () => {
    let asked = 0
    const endings = new Endings((r) => `${++asked && r(1, 0)}`, { reg, word })
    for (const value of [5, 6, 5, 5, 6, -1.5]) {
      values.regs = [0, value]
      expect(endings.name()).toBe(`${value}`)
    }
    expect(asked).toBe(3)
  })

  it('that reads nothing is always the same', () => {
    const endings = new Endings(() => 'over', { reg, word })
    expect([endings.name(), endings.name()]).toEqual(['over', 'over'])
  })
})
