import { describe, expect, it } from 'vitest'
import { Machine, name, survey, type Outcome, type Task } from './machine.js'
import { KINDS, reader, updater } from './rcuTasks.js'

/** Executions in which a mutant has to be seen. */
const HUNT = 3000

async function hunt(variant: object, tasks: readonly Task[], executions = HUNT): Promise<Record<string, number>> {
  return survey(await Machine.boot(tasks.length, 'rcu', variant), executions, tasks)
}

describe('RCU, every schedule', () => {
  it.each(KINDS)('lets no grace period end before a reader that was inside at its start: %s', async (kind) => {
    for (const how of ['call', 'wait', 'expedite'] as const) {
      const outcomes = await hunt({}, [updater(how), reader([kind]), reader([kind])], 1500)
      expect(outcomes).toEqual({ done: 1500 })
    }
  })

  it('holds with many updaters and every kind of reader', async () => {
    const outcomes = await hunt({}, [updater('call'), updater('wait'), updater('call'), reader(), reader()], 1500)
    expect(outcomes).toEqual({ done: 1500 })
  })

  it('holds with callbacks in the middle of operations', async () => {
    const outcomes = await hunt({ preemptible: true }, [updater('call'), updater('call'), reader(), reader()], 1500)
    expect(outcomes).toEqual({ done: 1500 })
  })

  it('runs every callback, and each once', async () => {
    const machine = await Machine.boot(3, 'rcu', {})
    const tasks: Task[] = [updater('call', 5), updater('call', 5), reader()]
    // Ten objects are published; the last one stays.
    const outcomes = survey(machine, 1000, tasks, (outcome) => `${name(outcome)} ${machine.peek(1)}`)
    expect(outcomes).toEqual({ 'done 9': 1000 })
  })

  it('runs a callback that queues its head again, as often as it does', async () => {
    const machine = await Machine.boot(2, 'rcu', {})
    const tasks: Task[] = [['queuer', { count: 2, then: 'again' }], reader()]
    const outcomes = survey(machine, 500, tasks, (outcome) => `${name(outcome)} ${machine.peek(1)}`)
    expect(outcomes).toEqual({ 'done 5': 500 })
  })

  it('waits for readers in interrupts of CPUs that are idle', async () => {
    const tasks: Task[] = [['nothing'], ['prodder', 4], updater('call'), updater('wait'), updater('expedite')]
    expect(await hunt({}, tasks, 1500)).toEqual({ done: 1500 })
  })
})

describe('a grace period', () => {
  it('ends in the middle of an operation that is outside every reader', async () => {
    // What keeps a pointer over the end of its section is found, though its operation goes on.
    const outcomes = await hunt({}, [['keeper'], updater('call'), updater('call')])
    expect(Object.keys(outcomes).sort()).toEqual(['done', 'freed'])
  })

  it('and its callbacks come about inside the operation that queued them when callbacks may preempt', async () => {
    const tasks: Task[] = [['careless'], updater('call'), reader()]
    expect(await hunt({}, tasks)).toEqual({ done: HUNT })
    expect(Object.keys(await hunt({ preemptible: true }, tasks)).sort()).toEqual(['done', 'freed'])
  })
})

describe('expedited grace periods', () => {
  it('end for everybody who asked, whoever does the work, among normal ones and every kind of reader', async () => {
    const tasks: Task[] = [updater('expedite'), updater('expedite'), updater('expedite'), updater('wait'), reader()]
    expect(await hunt({}, tasks, 1500)).toEqual({ done: 1500 })
  })

  // Each is seen in at least one of 200 schedules; a miss in all 3,000 has a chance below 1e-6.
  it.each(['rcu', 'preempt'])('are caught when an interrupt counts as a quiescent state: %s', async (kind) => {
    const tasks: Task[] = [updater('expedite'), updater('expedite'), reader([kind])]
    expect((await hunt({ mutant: 'interrupt', quiet: true }, tasks))['freed']).toBeGreaterThan(0)
    if (kind === 'rcu') expect((await hunt({ mutant: 'interrupt' }, tasks))['rcu-misuse']).toBeGreaterThan(0)
  })
})

describe('RCU with a fault', () => {
  // Each is seen in at least one of 200 schedules; a miss in all 3,000 has a chance below 1e-6.
  it('is caught by its own watchdog when a grace period ends with a CPU missing', async () => {
    const outcomes = await hunt({ mutant: 'early' }, [updater('call'), reader(['rcu']), reader(['rcu'])])
    expect(outcomes['rcu-misuse']).toBeGreaterThan(0)
    expect(outcomes['freed']).toBeUndefined()
  })

  it.each(KINDS)('is caught by readers when a grace period ends with a CPU missing: %s', async (kind) => {
    const variant = { mutant: 'early', quiet: true }
    const outcomes = await hunt(variant, [updater('call'), reader([kind]), reader([kind])])
    expect(outcomes['freed']).toBeGreaterThan(0)
  })

  it.each(['rcu', 'preempt'])('is caught when an interrupt counts as a quiescent state: %s', async (kind) => {
    const variant = { mutant: 'interrupt', quiet: true }
    const outcomes = await hunt(variant, [updater('call'), updater('call'), reader([kind])])
    expect(outcomes['freed']).toBeGreaterThan(0)
  })

  it('is not caught by readers with IRQs off when an interrupt counts, since none comes in', async () => {
    const variant = { mutant: 'interrupt', quiet: true }
    expect(await hunt(variant, [updater('call'), updater('call'), reader(['irqs'])])).toEqual({ done: HUNT })
  })

  it('is caught when callbacks are content with the grace period that runs', async () => {
    const variant = { mutant: 'running', quiet: true }
    const outcomes = await hunt(variant, [updater('call'), updater('call'), reader(), reader()])
    expect(outcomes['freed']).toBeGreaterThan(0)
  })

  it('is caught when interrupts of idle CPUs go unnoticed', async () => {
    const tasks: Task[] = [['nothing'], ['prodder', 4], updater('call'), updater('wait')]
    const outcomes = await hunt({ mutant: 'idle' }, tasks)
    expect(outcomes['freed']).toBeGreaterThan(0)
  })
})

describe('rcuBarrier()', () => {
  const tasks = (lazy: boolean): Task[] => [
    ['barrier', { rounds: 2, lazy }],
    ['queuer', { count: 3, then: 'work' }],
    ['queuer', { count: 2, then: 'sleep' }],
    ['barrier', { rounds: 1, lazy }],
  ]

  it('waits for all callbacks queued before it, of CPUs that work, sleep or are done', async () => {
    expect(await hunt({}, tasks(false), 2000)).toEqual({ done: 2000 })
  })

  it('is tested against a wait for readers, which is not enough', async () => {
    expect((await hunt({}, tasks(true)))['barrier']).toBeGreaterThan(0)
  })
})

describe('RCU, misused', () => {
  const title = (outcome: Outcome): string =>
    outcome.kind === 'panic' ? `${outcome.finding.oracle}: ${outcome.finding.title}` : outcome.kind
  const misuse = async (kind: string, call: string): Promise<string> =>
    title((await Machine.boot(1, 'rcu', {})).run(1, [['misuse', { kind, call }]]))

  it('reports a head that is queued twice, by one CPU or two', async () => {
    const double = 'rcu-misuse: BUG: call_rcu() of an rcu_head that is already queued'
    expect(title((await Machine.boot(1, 'rcu', {})).run(1, [['queueSame', 2]]))).toBe(double)
    const machine = await Machine.boot(2, 'rcu', {})
    const outcomes = survey(
      machine,
      500,
      [
        ['queueSame', 1],
        ['queueSame', 1],
      ],
      title,
    )
    expect(Object.keys(outcomes).sort()).toEqual(['done', double])
  })

  it('reports a head that is written over while it is queued', async () => {
    const machine = await Machine.boot(1, 'rcu', {})
    expect(title(machine.run(1, [['overwrite', 4]]))).toMatch(/^rcu-misuse: .* written over while it was queued$/)
    expect(title(machine.run(1, [['overwrite', 0]]))).toMatch(/^rcu-misuse: .* is cut off$/)
  })

  it.each(KINDS)('reports a CPU that waits, rests or ends its operation in a reader: %s', async (kind) => {
    expect(await misuse(kind, 'synchronizeRcu')).toMatch(/^rcu-misuse: .* waits for the CPU that calls it$/)
    expect(await misuse(kind, 'synchronizeRcuExpedited')).toMatch(/^rcu-misuse: .* waits for the CPU that calls it$/)
    expect(await misuse(kind, 'rcuBarrier')).toMatch(/^sleep-in-atomic: /)
    expect(await misuse(kind, 'rcuNoteContextSwitch')).toMatch(/^rcu-misuse: .* an operation ended in a reader$/)
    expect(await misuse(kind, 'ctKernelExit')).toMatch(/^rcu-misuse: .* goes idle in a reader$/)
  })

  it('reports an unlock without a lock', async () => {
    expect(await misuse('', 'rcuReadUnlock')).toMatch(/^rcu-misuse: .* without rcu_read_lock\(\)$/)
  })

  it('refuses readers of a CPU that it does not watch', async () => {
    const machine = await Machine.boot(1, 'rcu', {})
    expect(() => machine.run(1, [['unwatched']])).toThrow('ctKernelEnter() comes before its first operation')
  })
})
