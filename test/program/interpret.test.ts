import { beforeEach, describe, expect, it } from 'vitest'
import { smallMachine } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { Panic, type Finding } from '../../dist/src/machine/engine/finding.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32 } from '../../dist/src/machine/image/image.js'
import { Interpreter } from '../../dist/src/program/interpret.js'
import { MAP, PROT, type Op, type Program } from '../../dist/src/program/op.js'
import { OPERATIONS } from '../../dist/src/program/operations/table.js'
import { PROGRAM_CPU, programCpu, wordAt } from '../../dist/src/program/state.js'

const AT = 0x10_000
const PAGE = 4096
const map = (pages: number, prot: number = PROT.read | PROT.write): Op => ({
  op: 'mmap',
  addr: AT,
  len: pages * PAGE,
  prot,
  flags: MAP.private | MAP.anonymous | MAP.fixed,
})

function findingOfPanic(run: () => void): Finding {
  try {
    run()
  } catch (error) {
    if (error instanceof Panic) return error.finding
    throw error
  }
  throw new Error('nothing was found')
}

describe('a program', () => {
  let machine: Machine
  let cpu: BootedCpu
  const run = (program: Program): void => drive(cpu.interpreter.runOnce(program))
  const register = (reg: number): number => Interpreter.register(machine.regions.program, 0, reg)
  const word = (index: number): number => peek32(wordAt(machine.regions.program, index))
  const count = (op: Op['op']): number =>
    peek32(programCpu(machine.regions.program, 0) + PROGRAM_CPU.at.counts + (OPERATIONS.get(op)?.number ?? 0) * 4)

  beforeEach(() => {
    machine = new Machine(smallMachine(1))
    machine.boot([], null, [2])
    machine.seedChoices(1)
    cpu = machine.makeCpu(0, new SoloEngine(), null)
  })

  it('loads what it stored, page by page, and zeroes where it stored nothing', () => {
    run([map(3), { op: 'store', addr: AT, pages: 2, value: 42 }, { op: 'load', addr: AT + PAGE, reg: 0 }])
    expect(register(0)).toBe(42)
    run([{ op: 'load', addr: AT + 2 * PAGE, reg: 1 }])
    expect(register(1)).toBe(0)
  })

  it('reaches the word that gup found, not the one that is mapped later', () => {
    run([map(1), { op: 'store', addr: AT }, { op: 'gupWrite', addr: AT, value: 9 }, { op: 'load', addr: AT, reg: 2 }])
    expect(register(2)).toBe(9)
  })

  it('repeats, chooses, and counts each operation that ended', () => {
    const writes = (value: number): Op[] => [{ op: 'writeOnce', word: 0, value }]
    run([{ op: 'repeat', times: 20, body: [{ op: 'oneOf', of: [writes(1), writes(2)] }] }])
    expect(count('writeOnce')).toBe(20)
    expect([1, 2]).toContain(word(0))
    run([{ op: 'repeat', times: 0, body: writes(3) }])
    expect(word(0)).not.toBe(3)
  })

  it('adds to a word and goes on as a register says', () => {
    const whenOne = (reg: number, value: number): Op => ({
      op: 'ifEqual',
      reg,
      value: 1,
      body: [{ op: 'writeOnce', word: value, value }],
    })
    run([
      { op: 'fetchAdd', word: 0, value: 1, reg: 0 },
      { op: 'fetchAdd', word: 0, value: 1, reg: 1 },
      whenOne(0, 5),
      whenOne(1, 6),
    ])
    expect([register(0), register(1), word(0), word(5), word(6)]).toEqual([0, 1, 2, 0, 6])
    expect(count('writeOnce')).toBe(1)
  })

  it('takes addresses from a range anew at each execution, never from outside of it', () => {
    const addr = { from: AT, step: PAGE, count: 3 }
    run([map(4), { op: 'repeat', times: 60, body: [{ op: 'store', addr, value: 5 }] }])
    run([0, 1, 2, 3].map((page): Op => ({ op: 'load', addr: AT + page * PAGE, reg: page })))
    // Chance that one of three pages was missed in 60 draws: below 10^-9; the seed is fixed.
    expect([0, 1, 2, 3].map(register)).toEqual([5, 5, 5, 0])
  })

  it('ends at the first result that it did not expect, with a finding', () => {
    const store = { op: 'store', addr: AT, value: 5 } as const
    const finding = findingOfPanic(() => run([map(1), store, { op: 'load', addr: AT, expect: 6 }]))
    expect(finding).toMatchObject({ oracle: 'expect', title: 'load returned 5, expected 6', cpu: 0 })
    expect(finding.details).toEqual(['operation 2 of CPU 0: load 0x10000'])
  })

  it('collects results that it did not expect, and goes on, when it is told to', () => {
    cpu.interpreter.expectations = 'collected'
    run([map(1), { op: 'munmap', addr: AT, len: PAGE, expect: -22 }, { op: 'writeOnce', word: 1, value: 7 }])
    expect(cpu.interpreter.mismatches).toMatchObject([{ cpu: 0, index: 1, expected: -22, found: 0 }])
    expect(word(1)).toBe(7)
  })

  it('that touches what it may not gets the fault as its result', () => {
    cpu.interpreter.expectations = 'collected'
    run([map(1, PROT.read), { op: 'store', addr: AT, expect: 0 }, { op: 'load', addr: AT + 8 * PAGE, expect: 0 }])
    expect(cpu.interpreter.mismatches.map(({ found }) => found < 0)).toEqual([true, true])
  })

  it('moves to a forked process and back out, and leaves nothing behind when it exits', () => {
    run([map(2), { op: 'store', addr: AT, value: 1 }, { op: 'fork', slot: 0 }, { op: 'store', addr: AT, value: 2 }])
    run([
      { op: 'adopt', slot: 0 },
      { op: 'load', addr: AT, reg: 3 },
    ])
    expect(register(3)).toBe(1)
    run([{ op: 'exit' }])
    expect(machine.finalCheck(cpu)).toBeNull()
  })
})
