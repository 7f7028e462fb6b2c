import { describe, expect, it } from 'vitest'
import { explore } from '../../dist/src/explore/explore.js'
import type { Op, Program } from '../../dist/src/program/op.js'
import { defineScenario, type Scenario } from '../../dist/src/scenario/scenario.js'

const read = (word: number, reg: number): Op => ({ op: 'readOnce', word, reg })
const write = (word: number, value: number): Op => ({ op: 'writeOnce', word, value })

/** The endings of every schedule: registers 0 and 1 of the last CPU, and its word 15. */
function endings(...programs: Program[]): string[] {
  const last = programs.length - 1
  const scenario: Scenario = defineScenario({
    id: 'words',
    summary: 'operations on words',
    arch: 'x86-64',
    cpus: programs.length,
    cpusMin: 1,
    exploreOnly: true,
    build: () => ({ boot: [], programs }),
    outcome: (reg, word) => `${reg(last, 0)}${reg(last, 1)}${word(15)}`,
  })
  const result = explore({ scenario, strategy: 'dpor', executions: 100_000 })
  expect(result).toMatchObject({ finding: null, complete: true })
  return [...result.outcomes.keys()].sort()
}

describe('RCU in a litmus test', () => {
  const reader: Program = [{ op: 'rcuReadLock' }, read(1, 0), read(0, 1), { op: 'rcuReadUnlock' }]

  it('never has a reader on both sides of a grace period: MP with synchronize_rcu()', () => {
    expect(endings([write(0, 1), { op: 'synchronizeRcu' }, write(1, 1)], reader)).toEqual(['000', '010', '110'])
  })

  it('does not wait for readers that begin later, and orders nothing without a reader', () => {
    const bare: Program = [read(1, 0), read(0, 1)]
    expect(endings([write(1, 1), { op: 'synchronizeRcu' }, write(0, 1)], bare)).toEqual(['000', '010', '100', '110'])
    expect(endings([write(1, 1), { op: 'synchronizeRcu' }, write(0, 1)], reader)).toEqual(['000', '100', '110'])
  })

  it('nests, and a reader that waits for its own grace period is found', () => {
    const nested: Program = [{ op: 'rcuReadLock' }, ...reader, { op: 'rcuReadUnlock' }]
    expect(endings([write(0, 1), { op: 'synchronizeRcu' }, write(1, 1)], nested)).toEqual(['000', '010', '110'])
  })
})

describe('a sequence counter', () => {
  it('lets no torn pair of reads pass', () => {
    const writer: Program = [
      { op: 'writeSeqcountBegin', word: 2 },
      write(0, 1),
      write(1, 1),
      { op: 'writeSeqcountEnd', word: 2 },
    ]
    const reader: Program = [
      {
        op: 'repeatUntil',
        times: 3,
        reg: 3,
        value: 0,
        body: [
          { op: 'readSeqcountBegin', word: 2, reg: 2 },
          read(0, 0),
          read(1, 1),
          { op: 'readSeqcountRetry', word: 2, start: { reg: 2 }, reg: 3 },
        ],
      },
    ]
    expect(endings(writer, reader)).toEqual(['000', '110'])
  })
})

describe('registers, branches and loops', () => {
  it('are values and addends of operations', () => {
    const copy: Program = [
      { op: 'setRegister', reg: 0, value: 3 },
      { op: 'setRegister', reg: 1, value: { reg: 0 }, plus: 1 },
      { op: 'writeOnce', word: 15, value: { reg: 1 } },
      { op: 'fetchAdd', word: 15, value: { reg: 0 }, reg: 2 },
    ]
    expect(endings(copy)).toEqual(['347'])
  })

  it('take the other way where a register has another value', () => {
    const program: Program = [
      read(0, 0),
      { op: 'ifEqual', reg: 0, value: 1, body: [write(15, 1)], otherwise: [write(15, 2)] },
    ]
    expect(endings([write(0, 1)], program)).toEqual(['002', '101'])
  })

  it('repeat until a register has the value, and so often at most', () => {
    const count: Program = [
      { op: 'repeatUntil', reg: 0, value: 2, times: 5, body: [{ op: 'fetchAdd', word: 15, value: 1, reg: 0 }] },
      { op: 'repeatUntil', reg: 1, value: 9, times: 2, body: [{ op: 'fetchAdd', word: 14, value: 1, reg: 1 }] },
    ]
    expect(endings(count)).toEqual(['213'])
  })
})

describe('sleeping locks and waits of programs', () => {
  const section: Program = [
    read(15, 0),
    { op: 'setRegister', reg: 1, value: { reg: 0 }, plus: 1 },
    { op: 'writeOnce', word: 15, value: { reg: 1 } },
  ]

  /** Sampled: a kernel runs around these. */
  const sampled = (...programs: Program[]): string[] => {
    const scenario = defineScenario({
      id: 'sleeping',
      summary: 'operations that sleep',
      arch: 'x86-64',
      cpus: programs.length,
      build: () => ({ boot: [], programs }),
      outcome: (_reg, word) => `${word(15)}`,
    })
    const result = explore({ scenario, executions: 400 })
    expect(result.finding).toBeNull()
    return [...result.outcomes.keys()].sort()
  }

  it('a rwsem lets one writer in at a time', () => {
    const program: Program = [{ op: 'downWrite', word: 0 }, ...section, { op: 'upWrite', word: 0 }]
    expect(sampled(program, program)).toEqual(['2'])
    expect(sampled(section, section)).toEqual(['1', '2'])
  })

  it('a completion is waited for, and a wait queue is woken', () => {
    expect(
      sampled([{ op: 'waitForCompletion', word: 0 }, ...section], [...section, { op: 'complete', word: 0 }]),
    ).toEqual(['2'])
    expect(
      sampled(
        [{ op: 'waitEvent', queue: 1, word: 2, value: 1 }, ...section],
        [...section, write(2, 1), { op: 'wakeUpAll', word: 1 }],
      ),
    ).toEqual(['2'])
  })

  it('a callback of RCU runs when its readers have left', () => {
    const reader: Program = [{ op: 'rcuReadLock' }, read(0, 0), read(15, 1), { op: 'rcuReadUnlock' }]
    const remove: Program = [write(0, 1), { op: 'callRcu', word: 15, value: 7 }]
    expect(sampled(reader, remove)).toEqual(['7'])
  })
})
