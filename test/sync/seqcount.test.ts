import { describe, expect, it } from 'vitest'
import { executions } from '../budget.js'
import { Machine, name, survey } from './machine.js'

const MANY = executions(3000)

describe('seqcount, every schedule', () => {
  it('lets no reader keep half of a write', async () => {
    const machine = await Machine.boot(4, 'seqcount')
    const tasks = [
      ['writer', 3],
      ['writer', 3],
      ['reader', 3],
      ['rawReader', 3],
    ] as const
    expect(survey(machine, MANY, tasks)).toEqual({ done: MANY })
  })

  it('makes readers look again, and shows a write under way to those who do not wait', async () => {
    const machine = await Machine.boot(3, 'seqcount')
    let [again, writing] = [0, 0]
    for (let seed = 1; seed <= 300; seed++) {
      const outcome = machine.run(seed, [
        ['writer', 2],
        ['reader', 2],
        ['rawReader', 2],
      ])
      if (outcome.kind !== 'done') throw new Error(outcome.kind)
      again += outcome.results[1] as number
      writing += outcome.results[2] as number
    }
    expect(Math.min(again, writing)).toBeGreaterThan(0)
  })

  it('is tested by a write that a reader without a second look sees half of', async () => {
    const machine = await Machine.boot(2, 'seqcount')
    expect(Object.keys(survey(machine, 500, [['writer', 2], ['hasty']])).sort()).toEqual(['done', 'torn'])
  })

  it('reports writers that do not exclude each other', async () => {
    const machine = await Machine.boot(2, 'seqcount')
    const outcomes = survey(machine, 500, [['writeUnlocked'], ['writeUnlocked']])
    expect(Object.keys(outcomes).sort()).toEqual(['done', 'lock-misuse'])
    expect(name(machine.run(1, [['endOnly']]))).toBe('lock-misuse')
  })
})
