import { describe, expect, it } from 'vitest'
import { explore, replay, type ExploreResult } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { defineScenario, load, mapAnonymous, store, type Scenario } from '../../dist/src/scenario/scenario.js'

const AT = 0x10_000
const PAGE = 0x1000

/** One program for each CPU, in an address space with a page at AT. */
const scenarioOf = (...programs: Program[]): Scenario =>
  defineScenario({
    id: 'own-locks',
    summary: 'locks of programs',
    arch: 'x86-64',
    cpus: programs.length,
    cpusMin: 1,
    build: () => ({ boot: [mapAnonymous(AT, PAGE)], programs }),
  })

const dpor = (...programs: Program[]): ExploreResult => explore({ scenario: scenarioOf(...programs), strategy: 'dpor' })
const lock = (word: number): Op => ({ op: 'spinLock', word })
const unlock = (word: number): Op => ({ op: 'spinUnlock', word })
const both = (a: number, b: number): Program => [lock(a), lock(b), unlock(b), unlock(a)]

describe('a spinlock of a program is atomic context', () => {
  it.each<[string, Program, RegExp]>([
    ['a fault', [store(AT)], /^BUG: sleeping function called from invalid context: down_read\(\)/],
    ['a wait, asleep', [{ op: 'awaitWord', word: 1, value: 1 }], /invalid context: schedule\(\)/],
    ['a system call', [{ op: 'munmap', addr: AT, len: PAGE }], /invalid context: down_\w+\(\)/],
    ['a grace period', [{ op: 'synchronizeRcu' }], /synchronize_rcu\(\) waits for the CPU that calls it/],
    ['a completion', [{ op: 'waitForCompletion', word: 1 }], /invalid context: wait_for_completion\(\)/],
    ['a wait queue', [{ op: 'waitEvent', queue: 1, word: 2, value: 1 }], /invalid context: wait_event\(\)/],
    ['a rwsem', [{ op: 'downRead', word: 1 }], /invalid context: down_read\(\)/],
  ])('in which %s is found', (_what, inside, title) => {
    const around = [lock(0), ...inside, unlock(0)]
    for (const other of [[], [load(AT)]]) {
      const { finding } = explore({ scenario: scenarioOf(around, other), executions: 20 })
      expect(finding?.title).toMatch(title)
    }
  })

  it('and so are an MCS lock and an RCU reader', () => {
    const sleep: Op = { op: 'awaitWord', word: 1, value: 0 }
    const mcs = dpor([{ op: 'mcsLock', word: 0, node: 2 }, sleep, { op: 'mcsUnlock', word: 0, node: 2 }])
    const reader = dpor([{ op: 'rcuReadLock' }, sleep, { op: 'rcuReadUnlock' }])
    for (const { finding } of [mcs, reader]) expect(finding?.oracle).toBe('sleep-in-atomic')
  })

  it('in which accesses that do not fault are fine, on as many operations as it lasts', () => {
    const programs = [0, 1].map((): Program => [store(AT), lock(0), store(AT), load(AT), unlock(0)])
    expect(explore({ scenario: scenarioOf(...programs), executions: 300 }).finding).toBeNull()
  })
})

describe('locks of programs', () => {
  it('have an order, and a circle is found in whatever schedule, with each link', () => {
    const result = dpor(both(3, 1), both(2, 3), both(1, 2))
    expect(result.executions).toBe(1)
    expect(result.finding).toMatchObject({ oracle: 'lock-order' })
    expect(result.finding?.title).toMatch(/possible circular locking dependency: word\[0x\d\] is taken while/)
    for (const [inner, outer] of [
      [1, 3],
      [3, 2],
      [2, 1],
    ])
      expect(result.finding?.details.join('\n')).toMatch(
        new RegExp(`CPU \\d in spinLock takes word\\[0x${inner}\\] while it holds word\\[0x${outer}\\]`),
      )
  })

  it('with a circle that a lock of the kernel is part of are found, too', () => {
    // Nobody takes mmap_lock inside a spinlock; a rwsem's holder may sleep.
    const inside: Program = [
      { op: 'downWrite', word: 0 },
      { op: 'munmap', addr: AT, len: PAGE },
      { op: 'upWrite', word: 0 },
    ]
    expect(explore({ scenario: scenarioOf(inside, inside), executions: 200 }).finding).toBeNull()
  })

  it('in one order are clean in every schedule', () => {
    expect(dpor(both(1, 2), both(2, 3), both(1, 3))).toMatchObject({ finding: null, complete: true })
  })

  it('that are taken twice, not given back, or given back by another CPU are found', () => {
    const titles = [[lock(1), lock(1)], [lock(1)], [unlock(1)], [{ op: 'rcuReadLock' } as const]].map(
      (program) => dpor(program).finding?.title,
    )
    expect(titles).toEqual([
      'BUG: possible recursive locking: a second word[0x1] in spinLock',
      'BUG: the program of CPU 0 ends in a section of its own',
      'BUG: CPU 0 unlocks a spinlock that it does not hold',
      'BUG: the program of CPU 0 ends in a section of its own',
    ])
  })
})

describe('a deadlock', () => {
  const titleOf = (scenario: Scenario, oracles = true): { title: string; details: readonly string[] } => {
    const { finding } = explore({ scenario, executions: 2000, oracles, shrink: oracles })
    expect(finding?.oracle).toBe('deadlock')
    expect(replay(decodeToken(finding?.token ?? ''), scenario, null).exact).toBe(oracles)
    return { title: finding?.title ?? '', details: finding?.details ?? [] }
  }

  it('of the programs alone says so, and names operations, locks, holders and the circle', () => {
    const { finding } = explore({
      scenario: scenarioOf(both(3, 1), both(2, 3), both(1, 2)),
      strategy: 'dpor',
      oracles: false,
    })
    expect(finding?.title).toBe('the programs hang by themselves: 3 CPUs wait for each other')
    expect(finding?.details).toEqual([
      'CPU 0 in spinLock waits for word[0x1], held by CPU 2 (IRQs on)',
      'CPU 1 in spinLock waits for word[0x3], held by CPU 0 (IRQs on)',
      'CPU 2 in spinLock waits for word[0x2], held by CPU 1 (IRQs on)',
      'circle: CPU 0 (spinLock) → word[0x1] → CPU 2, CPU 2 (spinLock) → word[0x2] → CPU 1, ' +
        'CPU 1 (spinLock) → word[0x3] → CPU 0',
      'Only operations of the programs change what is waited for: no fault of the kernel.',
    ])
  })

  it('names an MCS lock and its holder', () => {
    const mcs = (a: number, b: number, node: number): Program => [
      { op: 'mcsLock', word: a, node },
      { op: 'mcsLock', word: b, node: node + 1 },
      { op: 'mcsUnlock', word: b, node: node + 1 },
      { op: 'mcsUnlock', word: a, node },
    ]
    const { finding } = explore({ scenario: scenarioOf(mcs(1, 2, 4), mcs(2, 1, 6)), strategy: 'dpor', oracles: false })
    expect(finding?.details.slice(0, 2)).toEqual([
      'CPU 0 in mcsLock waits for its turn at word[0x2], held by CPU 1 (IRQs on)',
      'CPU 1 in mcsLock waits for its turn at word[0x1], held by CPU 0 (IRQs on)',
    ])
  })

  it('of one CPU is a wait for what nobody brings about', () => {
    const slot = titleOf(
      scenarioOf(
        [
          { op: 'fork', slot: 0 },
          { op: 'adopt', slot: 0 },
        ],
        [{ op: 'reap', slot: 0 }],
      ),
    )
    expect(slot.title).toBe('the programs hang by themselves: a CPU waits for what nobody brings about')
    expect(slot.details[0]).toBe('CPU 0 in adopt waits for slot[0x0].mm (IRQs on)')
    expect(titleOf(scenarioOf([{ op: 'awaitWord', word: 1, value: 1 }])).title).toBe(slot.title)
  })

  it('of CPUs that wait for one that waits for a word is the programs’, too', () => {
    const holder: Program = [
      { op: 'downWrite', word: 1 },
      { op: 'awaitWord', word: 2, value: 1 },
      { op: 'upWrite', word: 1 },
    ]
    const waiter: Program = [
      { op: 'downRead', word: 1 },
      { op: 'writeOnce', word: 2, value: 1 },
      { op: 'upRead', word: 1 },
    ]
    const { title, details } = titleOf(scenarioOf(holder, waiter))
    expect(title).toBe('the programs hang by themselves: 2 CPUs wait for what nobody brings about')
    expect(details[1]).toBe('CPU 1 in downRead waits for its turn at word[0x1], held by CPU 0 (IRQs on)')
  })
})
