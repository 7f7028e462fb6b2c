import { describe, expect, it } from 'vitest'
import { executions } from '../budget.js'
import { Machine, name, survey, type Outcome, type Task } from './machine.js'
import { KINDS, reader, updater } from './rcuTasks.js'

/** Executions in which a mutant has to be seen. */
const HUNT = 3000
/** Executions in which mainline is to be clean. */
const CLEAN = executions(2000)
/** Executions in which what a mutant shows must not be seen elsewhere. */
const SILENT = executions(HUNT)

async function hunt(variant: object, tasks: readonly Task[], executions = HUNT): Promise<Record<string, number>> {
  return survey(await Machine.boot(tasks.length, 'rcu', variant), executions, tasks)
}

/** Whether some of so many executions end in `outcome`; stops at the first. */
async function isSeen(outcome: string, variant: object, tasks: readonly Task[]): Promise<boolean> {
  const machine = await Machine.boot(tasks.length, 'rcu', variant)
  for (let seed = 1; seed <= HUNT; seed++) if (name(machine.run(seed, tasks)) === outcome) return true
  return false
}

describe('RCU, every schedule', () => {
  it.each(KINDS)('lets no grace period end before a reader that was inside at its start: %s', async (kind) => {
    for (const how of ['call', 'wait', 'expedite'] as const) {
      const outcomes = await hunt({}, [updater(how), reader([kind]), reader([kind])], CLEAN)
      expect(outcomes).toEqual({ done: CLEAN })
    }
  })

  it('holds with many updaters and every kind of reader', async () => {
    const outcomes = await hunt({}, [updater('call'), updater('wait'), updater('call'), reader(), reader()], CLEAN)
    expect(outcomes).toEqual({ done: CLEAN })
  })

  it('holds with callbacks in the middle of operations', async () => {
    const outcomes = await hunt({ preemptible: true }, [updater('call'), updater('call'), reader(), reader()], CLEAN)
    expect(outcomes).toEqual({ done: CLEAN })
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
    expect(await hunt({}, tasks, CLEAN)).toEqual({ done: CLEAN })
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
    expect(await hunt({}, tasks, SILENT)).toEqual({ done: SILENT })
    expect(Object.keys(await hunt({ preemptible: true }, tasks)).sort()).toEqual(['done', 'freed'])
  })
})

describe('expedited grace periods', () => {
  it('end for everybody who asked, whoever does the work, among normal ones and every kind of reader', async () => {
    const tasks: Task[] = [updater('expedite'), updater('expedite'), updater('expedite'), updater('wait'), reader()]
    expect(await hunt({}, tasks, CLEAN)).toEqual({ done: CLEAN })
  })

  // Each is seen in at least one of 200 schedules; a miss in all 3,000 has a chance below 1e-6.
  it.each(['rcu', 'preempt'])('are caught when an interrupt counts as a quiescent state: %s', async (kind) => {
    const tasks: Task[] = [updater('expedite'), updater('expedite'), reader([kind])]
    expect(await isSeen('freed', { mutant: 'interrupt', quiet: true }, tasks)).toBe(true)
    if (kind === 'rcu') expect(await isSeen('rcu-misuse', { mutant: 'interrupt' }, tasks)).toBe(true)
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
    expect(await isSeen('freed', variant, [updater('call'), reader([kind]), reader([kind])])).toBe(true)
  })

  it.each(['rcu', 'preempt'])('is caught when an interrupt counts as a quiescent state: %s', async (kind) => {
    const variant = { mutant: 'interrupt', quiet: true }
    expect(await isSeen('freed', variant, [updater('call'), updater('call'), reader([kind])])).toBe(true)
  })

  it('is not caught by readers with IRQs off when an interrupt counts, since none comes in', async () => {
    const variant = { mutant: 'interrupt', quiet: true }
    expect(await hunt(variant, [updater('call'), updater('call'), reader(['irqs'])], SILENT)).toEqual({ done: SILENT })
  })

  it('is caught when callbacks are content with the grace period that runs', async () => {
    const variant = { mutant: 'running', quiet: true }
    expect(await isSeen('freed', variant, [updater('call'), updater('call'), reader(), reader()])).toBe(true)
  })

  it('is caught when interrupts of idle CPUs go unnoticed', async () => {
    const tasks: Task[] = [['nothing'], ['prodder', 4], updater('call'), updater('wait')]
    expect(await isSeen('freed', { mutant: 'idle' }, tasks)).toBe(true)
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
    expect(await hunt({}, tasks(false), CLEAN)).toEqual({ done: CLEAN })
  })

  it('is tested against a wait for readers, which is not enough', async () => {
    expect(await isSeen('barrier', {}, tasks(true))).toBe(true)
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
