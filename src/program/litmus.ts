/**
 * The operations of litmus tests: accesses to a few words that the kernel knows nothing of, and locks on such words.
 */
import { fail } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isEqual, type Step } from '../machine/engine/engine.js'
import { peekF64, pokeF64 } from '../machine/image/image.js'
import { mcsSpinLock, mcsSpinUnlock } from '../sync/mcsSpinlock.js'
import { queuedSpinLock, queuedSpinUnlock } from '../sync/spinlock.js'
import type { Op, Program } from './op.js'
import { PROGRAM_CPU, programCpu, wordAt, type ProgramRegions } from './state.js'

export class Litmus {
  readonly #cpu: Cpu
  readonly #regions: ProgramRegions
  readonly #regs: PhysAddr

  constructor(cpu: Cpu, regions: ProgramRegions) {
    this.#cpu = cpu
    this.#regions = regions
    this.#regs = phys(programCpu(regions, cpu.id) + PROGRAM_CPU.at.regs)
  }

  register(reg: number): number {
    return peekF64(this.#regs + reg * 8)
  }

  setRegister(reg: number, value: number): number {
    pokeF64(this.#regs + reg * 8, value)
    return value
  }

  /** One operation on words: what it read, 0 when it read nothing. */
  *execute(op: Op): Step<number> {
    yield* this.run([op])
    return 'reg' in op && op.reg !== undefined ? this.register(op.reg) : 0
  }

  /** Operations on words. One coroutine for all: making one for each would cost more than the accesses. */
  *run(program: Program): Step<void> {
    const cpu = this.#cpu
    for (let index = 0; index < program.length; index++) {
      const op = program[index] as Op
      switch (op.op) {
        case 'readOnce':
          this.setRegister(op.reg, yield* cpu.readOnce32(wordAt(this.#regions, op.word)))
          break
        case 'loadAcquire':
          this.setRegister(op.reg, yield* cpu.loadAcquire32(wordAt(this.#regions, op.word)))
          break
        case 'writeOnce':
          yield* cpu.writeOnce32(wordAt(this.#regions, op.word), op.value)
          break
        case 'storeRelease':
          yield* cpu.storeRelease32(wordAt(this.#regions, op.word), op.value)
          cpu.wakeWaiters(wordAt(this.#regions, op.word))
          break
        case 'xchg':
          this.setRegister(op.reg, yield* cpu.xchg32(wordAt(this.#regions, op.word), op.value))
          break
        case 'cmpxchg':
          this.setRegister(op.reg, yield* cpu.cmpxchg32(wordAt(this.#regions, op.word), op.expected, op.value))
          break
        case 'fetchAdd':
          this.setRegister(op.reg, yield* cpu.atomicFetchAdd32(wordAt(this.#regions, op.word), op.value))
          break
        case 'smpMb':
          yield* cpu.smpMb()
          break
        case 'smpRmb':
          yield* cpu.smpRmb()
          break
        case 'smpWmb':
          yield* cpu.smpWmb()
          break
        case 'ifEqual':
          if (this.register(op.reg) === op.value) yield* this.run(op.body)
          break
        default:
          yield* this.#wait(op)
      }
    }
  }

  /** Operations that wait for other CPUs. */
  *#wait(op: Op): Step<void> {
    const cpu = this.#cpu
    switch (op.op) {
      case 'awaitWord':
        yield* cpu.waitUntil(wordAt(this.#regions, op.word), isEqual, op.value)
        break
      case 'cmpxchgWhen':
        yield* cpu.cmpxchgWhen32(wordAt(this.#regions, op.word), op.expected, op.value)
        break
      case 'spinLock':
        yield* queuedSpinLock(cpu, wordAt(this.#regions, op.word))
        break
      case 'spinUnlock':
        yield* queuedSpinUnlock(cpu, wordAt(this.#regions, op.word))
        break
      case 'mcsLock':
        yield* mcsSpinLock(cpu, wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        break
      case 'mcsUnlock':
        yield* mcsSpinUnlock(cpu, wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        break
      default:
        fail(`${op.op} is no operation on words`)
    }
  }
}
