/**
 * The operations of litmus tests: accesses to a few words that the kernel knows nothing of, and locks on such words.
 */
import { fail } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { isEqual, type Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../machine/image/image.js'
import { mcsSpinLock, mcsSpinUnlock } from '../sync/mcsSpinlock.js'
import { mightSleep } from '../sync/mightSleep.js'
import { readSeqcountBegin, readSeqcountRetry, writeSeqcountBegin, writeSeqcountEnd } from '../sync/seqcount.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import type { Value } from './fields.js'
import { LitmusRcu } from './litmusRcu.js'
import type { Op, Program } from './op.js'
import { OPERATIONS } from './operations/table.js'
import { Sections } from './sections.js'
import { LITMUS, PROGRAM_CPU, programCpu, wordAt, type ProgramRegions } from './state.js'

export class Litmus {
  /** Operations that ended since runBare() began, in a litmus test. */
  ended = 0
  readonly sections: Sections
  readonly #cpu: Cpu
  readonly #regions: ProgramRegions
  readonly #regs: PhysAddr
  readonly #rcu: LitmusRcu

  constructor(cpu: Cpu, regions: ProgramRegions) {
    const own = programCpu(regions, cpu.id)
    this.#cpu = cpu
    this.#regions = regions
    this.#regs = phys(own + PROGRAM_CPU.at.regs)
    this.sections = new Sections(cpu, own)
    this.#rcu = new LitmusRcu(cpu, regions)
  }

  register(reg: number): number {
    return peekF64(this.#regs + reg * 8)
  }

  setRegister(reg: number, value: number): number {
    pokeF64(this.#regs + reg * 8, value)
    return value
  }

  /** A number as an operation has it: itself, or what is in a register. */
  value(value: Value): number {
    return typeof value === 'number' ? value : this.register(value.reg)
  }

  /** A whole litmus test, without a kernel around it. */
  *runBare(program: Program): Step<void> {
    this.ended = 0
    yield* this.run(program)
    this.sections.checkClosed()
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
          yield* cpu.writeOnce32(wordAt(this.#regions, op.word), this.value(op.value))
          break
        case 'storeRelease':
          yield* cpu.storeRelease32(wordAt(this.#regions, op.word), this.value(op.value))
          cpu.wakeWaiters(wordAt(this.#regions, op.word))
          break
        case 'xchg':
          this.setRegister(op.reg, yield* cpu.xchg32(wordAt(this.#regions, op.word), this.value(op.value)))
          break
        case 'cmpxchg': {
          const [expected, value] = [this.value(op.expected), this.value(op.value)]
          this.setRegister(op.reg, yield* cpu.cmpxchg32(wordAt(this.#regions, op.word), expected, value))
          break
        }
        case 'fetchAdd':
          this.setRegister(op.reg, yield* cpu.atomicFetchAdd32(wordAt(this.#regions, op.word), this.value(op.value)))
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
        case 'setRegister':
          this.setRegister(op.reg, this.value(op.value) + this.value(op.plus ?? 0))
          break
        // Operations that run others count as none.
        case 'ifEqual':
          if (this.register(op.reg) === this.value(op.value)) yield* this.run(op.body)
          else if (op.otherwise !== undefined) yield* this.run(op.otherwise)
          continue
        case 'repeat':
          for (let round = 0; round < op.times; round++) yield* this.run(op.body)
          continue
        case 'repeatUntil':
          for (let round = 0; round < op.times; round++) {
            yield* this.run(op.body)
            if (this.register(op.reg) === this.value(op.value)) break
          }
          continue
        default:
          poke32(cpu.area + CPU_AREA.at.opKind, OPERATIONS.get(op.op)?.number ?? 0)
          yield* this.#wait(op)
      }
      this.ended++
    }
  }

  /** Operations that wait for other CPUs, and those that let them go on. */
  *#wait(op: Op): Step<void> {
    const cpu = this.#cpu
    switch (op.op) {
      case 'awaitWord':
        mightSleep(cpu, 'schedule')
        yield* cpu.waitUntil(wordAt(this.#regions, op.word), isEqual, this.value(op.value))
        break
      case 'cmpxchgWhen': {
        const [expected, value] = [this.value(op.expected), this.value(op.value)]
        yield* cpu.cmpxchgWhen32(wordAt(this.#regions, op.word), expected, value)
        break
      }
      case 'spinLock':
        yield* spinLock(cpu, wordAt(this.#regions, op.word))
        this.sections.open('spinning')
        break
      case 'spinUnlock':
        yield* spinUnlock(cpu, wordAt(this.#regions, op.word))
        this.sections.close('spinning')
        break
      case 'mcsLock':
        yield* this.#mcsLock(wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        break
      case 'mcsUnlock':
        yield* this.#mcsUnlock(wordAt(this.#regions, op.word), wordAt(this.#regions, op.node))
        break
      case 'rcuReadLock':
        yield* this.#rcu.rcuReadLock()
        this.sections.open('reading')
        break
      case 'rcuReadUnlock':
        yield* this.#rcu.rcuReadUnlock()
        this.sections.close('reading')
        break
      case 'synchronizeRcu':
        yield* this.#rcu.synchronizeRcu()
        break
      case 'readSeqcountBegin':
        this.setRegister(op.reg, yield* readSeqcountBegin(cpu, wordAt(this.#regions, op.word)))
        break
      case 'readSeqcountRetry': {
        const retry = yield* readSeqcountRetry(cpu, wordAt(this.#regions, op.word), this.value(op.start))
        this.setRegister(op.reg, retry ? 1 : 0)
        break
      }
      case 'writeSeqcountBegin':
        yield* writeSeqcountBegin(cpu, wordAt(this.#regions, op.word))
        break
      case 'writeSeqcountEnd':
        yield* writeSeqcountEnd(cpu, wordAt(this.#regions, op.word))
        break
      default:
        fail(`${op.op} is no operation on words`)
    }
  }

  /** As spinLock(): an MCS lock alone keeps no owner, and leaves preemption to its caller. */
  *#mcsLock(lock: PhysAddr, node: PhysAddr): Step<void> {
    const cpu = this.#cpu
    cpu.locks.lockAcquires(cpu, lock)
    cpu.preemptDisable()
    poke32(node + LITMUS.at.queue, lock)
    yield* mcsSpinLock(cpu, lock, node)
    poke32(lock + LITMUS.at.holder, cpu.id + 1)
    cpu.locks.lockAcquired(cpu, lock, false)
    this.sections.open('spinning')
  }

  *#mcsUnlock(lock: PhysAddr, node: PhysAddr): Step<void> {
    const cpu = this.#cpu
    if (peek32(lock + LITMUS.at.holder) !== cpu.id + 1)
      cpu.report('lock-misuse', `BUG: CPU ${cpu.id} unlocks an MCS lock that it does not hold`, lock)
    poke32(lock + LITMUS.at.holder, 0)
    cpu.locks.lockReleased(cpu, lock)
    yield* mcsSpinUnlock(cpu, lock, node)
    cpu.preemptEnable()
    this.sections.close('spinning')
  }
}
