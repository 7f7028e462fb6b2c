/**
 * One machine in this thread, booted once, run thousands of times: each execution restores the booted image and runs the
 * programs under a strategy.
 */
import { assert } from '../base/assert.js'
import type { KernelChange } from '../bug/patch.js'
import { Machine, type BootedCpu } from '../boot/machine.js'
import { blame, thrownByUser } from '../boot/module/blame.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import { ControlledEngine, type StepRecorder, type Strategy } from '../machine/engine/controlled.js'
import type { Step } from '../machine/engine/engine.js'
import { findingOf, type Finding } from '../machine/engine/finding.js'
import { peek32, restore, snapshot } from '../machine/image/image.js'
import { Interpreter, type ProgramListener } from '../program/interpret.js'
import { isBare, type Program } from '../program/op.js'
import { reduced, type Reduction } from '../program/reduction.js'
import { setUp, type Scenario } from '../scenario/scenario.js'
import { describeDeadlock } from './deadlock.js'

export interface Execution {
  readonly finding: Finding | null
  /** The ending that the scenario names, null without one or with a finding. */
  readonly outcome: string | null
  /** Given up: the search knows an execution that is as good. */
  readonly pruned?: true
}

const PRUNED: Execution = { finding: null, outcome: null, pruned: true }

export class Session {
  readonly machine: Machine
  readonly scenario: Scenario
  readonly engine: ControlledEngine
  readonly #cpus: readonly BootedCpu[]
  /** The scenario's. */
  readonly wholePrograms: readonly Program[]
  #programs: readonly Program[]
  #reduction: Reduction | null = null
  /** A litmus test: it touches words only. */
  readonly bare: boolean
  readonly #bareOperations: number
  /** By CPU, operations that the boot ended. */
  readonly bootOperations: readonly number[]

  /** `sites`: the oracles keep the kernel functions of each allocation and free, for reports. `oracles`: they look at all. */
  constructor(scenario: Scenario, change: KernelChange | null, cpus: number, sites = false, oracles = true) {
    const built = setUp(scenario, 'explore', cpus, change?.config)
    this.scenario = scenario
    this.machine = new Machine({ ...built.machine, oracles, ...(sites ? { sites: 'full' } : {}) })
    this.#programs = this.wholePrograms = built.programs
    this.bare = built.programs.every(isBare)
    assert(built.programs.length === cpus, 'a scenario has one program for each CPU')
    blame(() => this.machine.boot(built.boot, change, scenario.files))
    const handlers: (() => ReturnType<BootedCpu['cpu']['ipi']['handle']>)[] = []
    this.engine = new ControlledEngine(
      Array.from(
        { length: cpus },
        (_, cpu) => () => (handlers[cpu] as () => ReturnType<BootedCpu['cpu']['ipi']['handle']>)(),
      ),
      { pick: (current) => current, choose: () => 0 },
    )
    this.#cpus = Array.from({ length: cpus }, (_, id) => this.machine.makeCpu(id, this.engine, change))
    for (const booted of this.#cpus) handlers.push(() => booted.cpu.ipi.handle())
    this.#bareOperations = this.#programs.reduce((sum, program) => sum + program.length, 0)
    this.bootOperations = this.#cpus.map((_, cpu) => this.#opsDone(cpu))
    snapshot(this.machine.layout.size)
  }

  /** Operations that the last execution ended. A litmus test that was not stopped ends all of them. */
  get operationsDone(): number {
    if (this.bare) return this.#bareOperations
    return this.#cpus.reduce((sum, _, cpu) => sum + this.#opsDone(cpu) - (this.bootOperations[cpu] ?? 0), 0)
  }

  /** What each CPU runs. */
  get programs(): readonly Program[] {
    return this.#programs
  }

  /** What is left of the scenario's programs; null for all of them. */
  get reduction(): Reduction | null {
    return this.#reduction
  }

  /** From now on runs what `reduction` leaves of the scenario's programs. Throws UsageError when it is of other programs. */
  reduce(reduction: Reduction | null): void {
    const pageSize = this.machine.geo.pageSize
    this.#programs = reduction === null ? this.wholePrograms : reduced(this.wholePrograms, reduction, pageSize)
    this.#reduction = reduction
  }

  /** Who hears of operations and choices of the programs from now on. */
  set listener(listener: ProgramListener | null) {
    for (const { interpreter } of this.#cpus) interpreter.listener = listener
  }

  #opsDone(cpu: number): number {
    return peek32(this.machine.regions.cpus.cpus + cpu * CPU_AREA.size + CPU_AREA.at.opsDone)
  }

  /** Runs the programs once under `strategy`. The picks it took are in engine.picks. */
  execute(strategy: Strategy, recorder: StepRecorder | null = null): Execution {
    restore()
    this.engine.strategy = strategy
    this.engine.recorder = both(recorder, strategy.recorder ?? null)
    try {
      const end = this.engine.run(this.#cpus.map((cpu, id) => this.#start(cpu, this.#programs[id] as Program)))
      if (end.kind === 'deadlock') return { finding: describeDeadlock(this.machine, end.waiting), outcome: null }
      if (end.kind === 'pruned') return PRUNED
      if (end.kind === 'steps') return { finding: livelock(end.limit), outcome: null }
      // A litmus test has no memory management to check: its ending is its oracle.
      if (this.bare) return this.#ending()
      const finding = this.machine.finalCheck(this.#cpus[0] as BootedCpu)
      return finding === null ? this.#ending() : { finding, outcome: null }
    } catch (error) {
      const finding = findingOf(error, this.engine.current)
      if (finding !== null) return { finding, outcome: null }
      throw thrownByUser(error) ?? error
    }
  }

  /** A CPU that has nothing left to run is idle from the beginning. */
  #start({ interpreter }: BootedCpu, program: Program): Step<void> | null {
    if (this.#reduction !== null && program.length === 0) return null
    return this.bare ? interpreter.runBare(program) : interpreter.runOnce(program)
  }

  #ending(): Execution {
    const { outcome, allowed } = this.scenario
    if (outcome === undefined) return { finding: null, outcome: null }
    const { program } = this.machine.regions
    const ending = outcome(
      (cpu, reg) => Interpreter.register(program, cpu, reg),
      (word) => Interpreter.word(program, word),
    )
    if (allowed === undefined || allowed.includes(ending)) return { finding: null, outcome: ending }
    const details = [`ended with ${ending}`, `allowed: ${allowed.join(', ')}`]
    const title = `${this.scenario.id}: an ending that is not allowed: ${ending}`
    return { finding: { oracle: 'outcome', title, cpu: -1, address: null, details, stack: [] }, outcome: ending }
  }
}

function livelock(limit: number): Finding {
  const title = `no end after ${limit} accesses`
  const details = ['The usual reason is a loop that waits for another CPU without waitUntil().']
  return { oracle: 'livelock', title, cpu: -1, address: null, details, stack: [] }
}

/** Two that hear the same steps as one. */
/** A recorder that tells both; null for neither. */
export function both(a: StepRecorder | null, b: StepRecorder | null): StepRecorder | null {
  if (a === null || b === null) return a ?? b
  return {
    step: (cpu, kind, addr) => {
      a.step(cpu, kind, addr)
      b.step(cpu, kind, addr)
    },
    interrupt: (cpu) => {
      a.interrupt(cpu)
      b.interrupt(cpu)
    },
    end: () => {
      a.end()
      b.end()
    },
  }
}
