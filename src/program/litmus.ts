/** The operations of litmus tests: accesses to a few words that the kernel knows nothing of, and locks on such words. */
import { phys, type PhysAddr } from '../base/units.js'
import { isEqual, type Cpu } from '../machine/cpu/cpu.js'
import type { Step } from '../machine/engine/engine.js'
import { peekF64, pokeF64 } from '../machine/image/image.js'
import { mcsSpinLock, mcsSpinUnlock } from '../sync/mcsSpinlock.js'
import { queuedSpinLock, queuedSpinUnlock } from '../sync/spinlock.js'
import type { Op } from './op.js'
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

  /** One operation on words; 0 for those that are none. */
  *execute(op: Op): Step<number> {
    const cpu = this.#cpu
    switch (op.op) {
      case 'readOnce':
        return this.setRegister(op.reg, yield* cpu.readOnce32(wordAt(this.#regions, op.word)))
      case 'loadAcquire':
        return this.setRegister(op.reg, yield* cpu.loadAcquire32(wordAt(this.#regions, op.word)))
      case 'writeOnce':
        yield* cpu.writeOnce32(wordAt(this.#regions, op.word), op.value)
        return 0
      case 'storeRelease':
        yield* cpu.storeRelease32(wordAt(this.#regions, op.word), op.value)
        cpu.wakeWaiters(wordAt(this.#regions, op.word))
        return 0
      case 'xchg':
        return this.setRegister(op.reg, yield* cpu.xchg32(wordAt(this.#regions, op.word), op.value))
      case 'cmpxchg':
        return this.setRegister(op.reg, yield* cpu.cmpxchg32(wordAt(this.#regions, op.word), op.expected, op.value))
      case 'fetchAdd':
        return this.setRegister(op.reg, yield* cpu.atomicFetchAdd32(wordAt(this.#regions, op.word), op.value))
      default:
        return yield* this.#wait(op)
    }
  }

  /** Operations that wait for other CPUs, and barriers. */
  *#wait(op: Op): Step<number> {
    const cpu = this.#cpu
    switch (op.op) {
      case 'awaitWord':
        return yield* cpu.waitUntil(wordAt(this.#regions, op.word), isEqual, op.value)
      case 'cmpxchgWhen':
        yield* cpu.cmpxchgWhen32(wordAt(this.#regions, op.word), op.expected, op.value)
        return 0
      case 'spinLock':
        yield* queuedSpinLock(cpu, wordAt(this.#regions, op.word))
        return 0
      case 'spinUnlock':
        yield* queuedSpinUnlock(cpu, wordAt(this.#regions, op.word))
        return 0
      case 'mcsLock':
        yield* mcsSpinLock(cpu, wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        return 0
      case 'mcsUnlock':
        yield* mcsSpinUnlock(cpu, wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        return 0
      case 'smpMb':
        yield* cpu.smpMb()
        return 0
      case 'smpRmb':
        yield* cpu.smpRmb()
        return 0
      case 'smpWmb':
        yield* cpu.smpWmb()
        return 0
      default:
        return 0
    }
  }
}
