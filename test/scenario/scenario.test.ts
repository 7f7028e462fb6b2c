import { describe, expect, it } from 'vitest'
import { UsageError } from '../../dist/src/base/errors.js'
import { scenarioById, scenarios } from '../../dist/src/scenario/catalog/index.js'
import { checkCpus, roles, setUp, type Setting } from '../../dist/src/scenario/scenario.js'
import type { Program } from '../../dist/src/program/op.js'

const setting = (cpus: number): Setting => ({
  cpus,
  repeated: false,
  pageSize: 4096,
  hugeSize: 16_384,
  page: (n) => n * 4096,
  huge: (n) => n * 16_384,
  spanOf: (level) => 16_384 * 4 ** (level - 2),
})
const [a, b, c, d] = [1, 2, 3, 4].map((word): Program => [{ op: 'writeOnce', word, value: 1 }]) as [
  Program,
  Program,
  Program,
  Program,
]

describe('roles', () => {
  it('give the first two CPUs their programs, and further ones the others in turn', () => {
    expect(roles(setting(2), a, b)).toEqual([a, b])
    expect(roles(setting(4), a, b)).toEqual([a, b, b, b])
    expect(roles(setting(5), a, b, [c, d])).toEqual([a, b, c, d, c])
  })
})

describe('the catalogue', () => {
  it('has each name once, in words of letters, digits and dashes', () => {
    const ids = scenarios.map((scenario) => scenario.id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
  })

  it.each(scenarios.map((scenario) => [scenario.id, scenario] as const))(
    '%s has one program for each CPU, in both sizes of machine',
    (_, scenario) => {
      for (const mode of ['explore', 'stress'] as const)
        for (const cpus of [scenario.cpus, scenario.cpusMin ?? 2, scenario.cpusMax ?? 5])
          expect(setUp(scenario, mode, cpus).programs).toHaveLength(cpus)
    },
  )

  it('sets a machine up as the scenario says, unless a bug says otherwise', () => {
    const broadcast = scenarioById('gup-vs-munmap-broadcast')
    expect(setUp(broadcast, 'explore', 2).machine.kernel.flushStyle).toBe('broadcast')
    expect(setUp(broadcast, 'explore', 2, { flushStyle: 'ipi' }).machine.kernel.flushStyle).toBe('ipi')
    expect(setUp(broadcast, 'explore', 2).machine.indexBits).toBe(2)
    expect(setUp(broadcast, 'stress', 2).machine.indexBits).toBe(9)
  })
})

describe('a number of CPUs', () => {
  it('is refused with the limits and the remedy where the scenario or the engine cannot have it', () => {
    const scenario = scenarioById('gup-vs-split')
    expect(checkCpus(scenario, 2, 30)).toBe(2)
    for (const cpus of [0, 1, 31, 2.5, Number.NaN]) {
      expect(() => checkCpus(scenario, cpus, 30)).toThrow(UsageError)
      expect(() => checkCpus(scenario, cpus, 30)).toThrow(/gup-vs-split runs on 2 to 30 CPUs/)
    }
    expect(() => checkCpus(scenarioById('message-passing'), 3, 30)).toThrow(/message-passing runs on 2 CPUs/)
  })
})
