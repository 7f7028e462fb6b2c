import { describe, expect, it } from 'vitest'
import { executions } from '../budget.js'
import { Machine, name, survey, type Task } from './machine.js'

const MANY = executions(2000)

describe('completion, every schedule', () => {
  it('lets one waiter go for each complete(), after what was done', async () => {
    const machine = await Machine.boot(4, 'completion')
    const tasks: Task[] = [
      ['wait', 7],
      ['wait', 7],
      ['wait', 7],
      ['finish', { data: 7, times: 3 }],
    ]
    const outcomes = survey(machine, MANY, tasks, (outcome) => `${name(outcome)} ${machine.peek(2)} ${machine.peek(0)}`)
    expect(outcomes).toEqual({ 'done 3 0': MANY })
  })

  it('keeps those asleep for whom nothing was done', async () => {
    const machine = await Machine.boot(3, 'completion')
    const tasks: Task[] = [
      ['wait', 7],
      ['wait', 7],
      ['finish', { data: 7, times: 1 }],
    ]
    const outcomes = survey(machine, 500, tasks, (outcome) => `${name(outcome)} ${machine.peek(2)}`)
    expect(outcomes).toEqual({ 'deadlock 1': 500 })
  })

  it('lets all go at completeAll(), and for good', async () => {
    const machine = await Machine.boot(4, 'completion')
    const tasks: Task[] = [
      ['wait', 7],
      ['wait', 7],
      ['wait', 7],
      ['finishAll', 7],
    ]
    const outcomes = survey(machine, 1000, tasks, (outcome) => `${name(outcome)} ${machine.peek(2)} ${machine.peek(0)}`)
    expect(outcomes).toEqual({ [`done 3 ${0x7fff_ffff}`]: 1000 })
  })

  it('is done by an RCU callback of the CPU that sleeps on it', async () => {
    const machine = await Machine.boot(3, 'completion')
    const tasks: Task[] = [['ownCallback'], ['ownCallback'], ['dwell']]
    expect(survey(machine, MANY, tasks)).toEqual({ done: MANY })
  })

  it('is not waited for in a reader', async () => {
    expect(name((await Machine.boot(1, 'completion')).run(1, [['waitInReader']]))).toBe('sleep-in-atomic')
  })
})
