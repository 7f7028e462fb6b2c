import { describe, expect, it } from 'vitest'
import { Machine, name, survey, type Task } from './machine.js'

const wait = (more: object = {}): Task => ['wait', { queue: 0, data: 3, ...more }]
const wake = (queue = 0): Task => ['wake', { queue, times: 3 }]

async function outcomes(tasks: readonly Task[], executions: number): Promise<Record<string, number>> {
  const machine = await Machine.boot(tasks.length, 'waitQueue')
  return survey(machine, executions, tasks, (outcome) => `${name(outcome)} ${machine.peek(3)} ${machine.peek(0)}`)
}

describe('a wait queue, every schedule', () => {
  it('loses no wake-up of those who look after they are on it', async () => {
    expect(await outcomes([wait(), wait(), wake()], 2000)).toEqual({ 'done 2 0': 2000 })
  })

  it('loses some of those who look before', async () => {
    const seen = await outcomes([wait({ careless: true }), wake()], 2000)
    expect(Object.keys(seen).sort()).toEqual(['deadlock 0 1', 'done 1 0'])
  })

  it('keeps those asleep who are on another one', async () => {
    const seen = await outcomes([wait(), wake(1)], 500)
    expect(Object.keys(seen).sort()).toEqual(['deadlock 0 1', 'done 1 0'])
  })
})
