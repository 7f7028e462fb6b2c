/** A simulated CPU's thread: serves the control channel of boot/threads/protocol.ts. */
import * as Comlink from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import { fail } from '../../base/assert.js'
import { phys } from '../../base/units.js'
import { CONTROL, CPU_AREA } from '../../machine/cpu/area.js'
import { drive } from '../../machine/engine/engine.js'
import { findingOf, Halted } from '../../machine/engine/finding.js'
import { FreeEngine } from '../../machine/engine/free.js'
import { PerturbEngine } from '../../machine/engine/perturb.js'
import { add32, cmpxchg32 } from '../../machine/image/image.js'
import type { Program } from '../../program/op.js'
import { Machine, type BootedCpu } from '../machine.js'
import { thrownByUser } from '../module/blame.js'
import type { CpuBoot, CpuControl, CpuEnd, CpuReport, CpuTask } from './protocol.js'

Error.stackTraceLimit = 50

/** Serves one CPU until it is closed. `perturbed`: this thread has the generator form, to be run with random pauses. */
export function serveCpu({ port }: CpuTask, perturbed: boolean): Promise<void> {
  return new Promise((resolve) => {
    Comlink.expose(new CpuThread(perturbed, resolve), nodeEndpoint(port))
  })
}

class CpuThread implements CpuControl {
  readonly #perturbed: boolean
  readonly #close: () => void
  #machine: Machine | null = null
  #cpu: BootedCpu | null = null
  #engine: FreeEngine = new FreeEngine()

  constructor(perturbed: boolean, close: () => void) {
    this.#perturbed = perturbed
    this.#close = close
  }

  async boot({ memory, config, cpu, change, operations, seed }: CpuBoot): Promise<void> {
    const machine = new Machine(config, memory)
    if (this.#perturbed)
      this.#engine = new PerturbEngine(seed, cpu, phys(machine.regions.cpus.cpus + cpu * CPU_AREA.size))
    this.#machine = machine
    // Loaded by those who need it: the bugs, and what looks them up, are a third of a thread's start.
    const chosen = change === null ? null : await (await import('./change.js')).changeOf(change)
    if (operations !== null) await (await import('../module/ownOperations.js')).loadOwnOperations(operations)
    this.#cpu = machine.makeCpu(cpu, this.#engine, chosen)
  }

  run(program: Program, repeat: boolean, compares: boolean): CpuReport {
    const cpu = this.#cpu ?? fail('run() before boot()')
    cpu.interpreter.expectations = compares ? 'collected' : 'checked'
    const end = this.#runToEnd(cpu, program, repeat)
    return { end, mismatches: cpu.interpreter.mismatches }
  }

  #runToEnd({ cpu, interpreter }: BootedCpu, program: Program, repeat: boolean): CpuEnd {
    const control = this.#machine?.regions.cpus.control ?? 0
    add32(control + CONTROL.at.arrived, 1)
    try {
      const step = interpreter.runAsThread(program, repeat)
      if (this.#engine instanceof PerturbEngine) this.#engine.drive(step)
      else drive(step)
      return { kind: 'done' }
    } catch (error) {
      // The first to panic is the one that counts; everybody else halts at the next safe point.
      if (!(error instanceof Halted)) cmpxchg32(control + CONTROL.at.panic, 0, cpu.id + 1)
      const finding = findingOf(error, cpu.id)
      if (finding !== null) return { kind: 'finding', finding }
      if (error instanceof Halted) return { kind: 'halted' }
      const thrown = thrownByUser(error)
      if (thrown !== null) return { kind: 'thrown', message: thrown.message }
      return { kind: 'fault', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
  }

  close(): void {
    setImmediate(this.#close)
  }
}
