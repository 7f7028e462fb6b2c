import { describe, expect, it } from 'vitest'
import { peek32 } from '../../dist/src/machine/image/image.js'
import { spinOwner } from '../../dist/src/sync/spinlock.js'
import { Machine, name, survey, type Task } from './machine.js'

const tasks = (cpus: number, task: Task): Task[] => Array.from({ length: cpus }, () => task)

describe('queued spinlock, every schedule', () => {
  it('admits one CPU at a time, however it is taken', async () => {
    const machine = await Machine.boot(4, 'spinlock')
    const outcomes = survey(machine, 3000, tasks(4, ['exclude', 3]), (outcome) => `${name(outcome)} ${machine.peek(1)}`)
    expect(outcomes).toEqual({ 'done 12': 3000 })
  })

  it('is tested by a section that notices a lock which is none', async () => {
    // Seen in a fifth of the schedules; a miss in all 500 has a chance below 1e-40.
    const machine = await Machine.boot(2, 'spinlock')
    const outcomes = survey(machine, 500, tasks(2, ['pretend', 2]))
    expect(outcomes['exclusion']).toBeGreaterThan(0)
  })

  it('is handed over in the order of arrival', async () => {
    for (const cpus of [2, 3, 6]) {
      const machine = await Machine.boot(cpus, 'spinlock')
      const outcomes = survey(machine, 500, tasks(cpus, ['lineUp']), (outcome) =>
        outcome.kind === 'done' ? outcome.results.join(' ') : name(outcome),
      )
      expect(outcomes).toEqual({ [Array.from({ length: cpus }, (_, cpu) => cpu).join(' ')]: 500 })
    }
  })

  it('leaves its words and preemption as they were', async () => {
    const machine = await Machine.boot(3, 'spinlock')
    expect(machine.run(1, tasks(3, ['exclude', 4])).kind).toBe('done')
    expect([machine.peek(0), spinOwner(machine.word(0))]).toEqual([0, -1])
    expect(machine.cpus.map((cpu) => [cpu.preemptCount, cpu.irqsEnabled])).toEqual(tasks(3, [0, true] as never))
    const depths = machine.cpus.map((cpu) => peek32(cpu.lockNodes + cpu.id * 128 + 8))
    expect(depths).toEqual([0, 0, 0])
  })

  it('is waited for by an interrupt while its CPU waits for another lock', async () => {
    const machine = await Machine.boot(3, 'spinlock')
    const outcomes = survey(
      machine,
      2000,
      tasks(3, ['interrupted', 2]),
      (outcome) => `${name(outcome)} ${machine.peek(1)} ${machine.peek(4)}`,
    )
    expect(outcomes).toEqual({ 'done 12 6': 2000 })
  })

  it('deadlocks or recurses, visibly, when an interrupt takes it and the holder has IRQs on', async () => {
    const machine = await Machine.boot(2, 'spinlock')
    const outcomes = survey(machine, 500, tasks(2, ['unmasked']))
    expect(Object.keys(outcomes).sort()).toEqual(['deadlock', 'done', 'lock-misuse'].filter((key) => key in outcomes))
    expect(outcomes['lock-misuse']).toBeGreaterThan(0)
    expect(outcomes['done']).toBeGreaterThan(0)
  })

  it('ends two locks taken in opposite orders in success or a reported deadlock, nothing else', async () => {
    const machine = await Machine.boot(2, 'spinlock')
    const end = (outcome: ReturnType<Machine['run']>): string =>
      outcome.kind === 'deadlock'
        ? outcome.waiting.map(({ cpu, addr }) => `${cpu}:${addr - machine.word(0)}`).join()
        : name(outcome)
    const outcomes = survey(
      machine,
      500,
      [
        ['bothLocks', [0, 3]],
        ['bothLocks', [3, 0]],
      ],
      end,
    )
    expect(Object.keys(outcomes).sort()).toEqual(['0:192,1:0', 'done'])
  })
})

describe('queued spinlock, misused', () => {
  const misuse = async (program: string): Promise<string> => {
    const outcome = (await Machine.boot(1, 'spinlock')).run(1, [[program]])
    return outcome.kind === 'panic' ? `${outcome.finding.oracle}: ${outcome.finding.title}` : outcome.kind
  }

  it('reports an unlock of what is not held', async () => {
    expect(await misuse('unlockOnly')).toBe('lock-misuse: BUG: CPU 0 unlocks a spinlock that it does not hold')
  })

  it('reports a CPU that waits for itself', async () => {
    expect(await misuse('lockTwice')).toBe('lock-misuse: BUG: spinlock recursion on CPU 0')
  })
})
