import { describe, expect, it } from 'vitest'
import { peek32 } from '../../dist/src/machine/image/image.js'
import { Machine, name, survey, type Task } from './machine.js'

const tasks = (cpus: number, task: Task): Task[] => Array.from({ length: cpus }, () => task)

describe('rwsem, every schedule', () => {
  it('admits many readers or one writer, by every way in, and no writer at a downgrade', async () => {
    const machine = await Machine.boot(4, 'rwsem')
    const outcomes = survey(machine, 3000, tasks(4, ['mix', 5]), (outcome) => `${name(outcome)} ${machine.peek(3)}`)
    expect(outcomes).toEqual({ 'done 12': 3000 })
  })

  it('leaves its words as they were', async () => {
    const machine = await Machine.boot(3, 'rwsem')
    expect(machine.run(1, tasks(3, ['mix', 5])).kind).toBe('done')
    expect([0, 4, 8, 12].map((offset) => peek32(machine.word(0) + offset))).toEqual([0, 0, 0, 0])
  })

  it('lets no reader past a writer that waits', async () => {
    const machine = await Machine.boot(4, 'rwsem')
    const outcomes = survey(machine, 1000, [['order'], ['order'], ['order'], ['opener']], (outcome) =>
      outcome.kind === 'done' ? outcome.results.slice(0, 3).join(' ') : name(outcome),
    )
    expect(outcomes).toEqual({ '0 1 2': 1000 })
  })

  it('is got by a writer although some reader is always inside', async () => {
    const machine = await Machine.boot(4, 'rwsem')
    expect(survey(machine, 1000, tasks(4, ['relay', 6]))).toEqual({ done: 1000 })
  })

  it('holds up no grace period while a CPU sleeps in it', async () => {
    const machine = await Machine.boot(3, 'rwsem')
    expect(survey(machine, 1000, tasks(3, ['graceInside']))).toEqual({ done: 1000 })
  })
})

describe('rwsem, uncontended', () => {
  it('is tried beside readers and writers without sleeping', async () => {
    const outcome = (await Machine.boot(1, 'rwsem')).run(1, [['tryBeside']])
    const expected = [[true, false], true, [0, true, false], [false, false], -1]
    expect(outcome).toEqual({ kind: 'done', results: [expected] })
  })
})

describe('rwsem, misused', () => {
  const misuse = async (how: string, call: string): Promise<string> => {
    const outcome = (await Machine.boot(1, 'rwsem')).run(1, [['misuse', [how, call]]])
    return outcome.kind === 'panic' ? `${outcome.finding.oracle}: ${outcome.finding.title}` : outcome.kind
  }

  it.each(['spinlock', 'irqs', 'rcu'])('is not slept in: %s', async (how) => {
    const title = (call: string): string =>
      `sleep-in-atomic: BUG: sleeping function called from invalid context: ${call}()`
    expect(await misuse(how, 'downRead')).toBe(title('down_read'))
    expect(await misuse(how, 'downWrite')).toBe(title('down_write'))
  })

  it('reports the end of a section that never began', async () => {
    expect(await misuse('', 'upRead')).toMatch(/^lock-misuse: .* nobody reads$/)
    expect(await misuse('', 'upWrite')).toMatch(/^lock-misuse: .* does not hold to write$/)
    expect(await misuse('', 'downgradeWrite')).toMatch(/^lock-misuse: .* does not hold to write$/)
  })

  it.each(['downRead', 'downWrite'])('reports a writer that waits for itself in %s', async (call) => {
    expect(await misuse('write', call)).toMatch(/^lock-misuse: .* holds to write$/)
  })
})
