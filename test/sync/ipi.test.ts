import { describe, expect, it } from 'vitest'
import { executions } from '../budget.js'
import { Machine, name, survey, type Task } from './machine.js'

const MANY = executions(2000)
const tasks = (cpus: number, task: Task): Task[] => Array.from({ length: cpus }, () => task)

describe('inter-processor interrupts, every schedule', () => {
  it('order everything before a waited call before the functions, and those before what follows it', async () => {
    const machine = await Machine.boot(3, 'ipi')
    expect(survey(machine, MANY, [['ask', 3], ['sections', 4], ['nothing']])).toEqual({ done: MANY })
  })

  it('wait until sections with IRQs off that were open at the call are over', async () => {
    const machine = await Machine.boot(3, 'ipi')
    let open = 0
    for (let seed = 1; seed <= MANY; seed++) {
      const outcome = machine.run(seed, [
        ['sections', 5],
        ['outwait', 3],
        ['outwait', 3],
      ])
      expect(outcome.kind).toBe('done')
      if (outcome.kind === 'done') open += (outcome.results[1] as number) + (outcome.results[2] as number)
    }
    expect(open).toBeGreaterThan(MANY / 4)
  })

  it('are waited for by all CPUs at once without deadlock', async () => {
    const machine = await Machine.boot(4, 'ipi')
    expect(survey(machine, 1000, tasks(4, ['allToAll', 3]))).toEqual({ done: 1000 })
  })

  it('run each request once and in order, although a request is used again at once', async () => {
    const machine = await Machine.boot(3, 'ipi')
    expect(survey(machine, 1000, tasks(3, ['burst', 6]))).toEqual({ done: 1000 })
  })

  it('reach the CPUs of the mask only', async () => {
    const machine = await Machine.boot(4, 'ipi')
    const outcomes = survey(machine, 200, [['masked', 0b1011]], () =>
      [0, 1, 2, 3].map((cpu) => machine.peek(10 + cpu)).join(' '),
    )
    expect(outcomes).toEqual({ '0 5 0 5': 200 })
  })

  it('are not sent again by callAsync() while one is on its way', async () => {
    const machine = await Machine.boot(2, 'ipi')
    const outcomes = survey(machine, 200, [['twice'], ['deaf']], (outcome) =>
      outcome.kind === 'done' ? String(outcome.results[0]) : name(outcome),
    )
    expect(outcomes).toEqual({ 'true,false': 200 })
  })

  it('are reported when they are waited for with IRQs off', async () => {
    const machine = await Machine.boot(2, 'ipi')
    expect(name(machine.run(1, [['waitWithIrqsOff']]))).toBe('ipi-wait-irqs-off')
  })
})
