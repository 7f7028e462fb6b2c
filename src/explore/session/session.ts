/**
 * A session is one machine in this thread, booted once and run thousands of times: each execution restores the booted
 * image and runs the programs under a strategy.
 */
import { assert } from '../../base/assert.js'
import type { KernelChange } from '../../bug/patch.js'
import { Machine, type BootedCpu } from '../../boot/machine.js'
import { blame, thrownByUser } from '../../boot/module/blame.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { ControlledEngine, type StepRecorder, type Strategy } from '../../machine/engine/controlled.js'
import type { Step } from '../../machine/engine/engine.js'
import { findingOf, type Finding } from '../../machine/engine/finding.js'
import { peek32, restore, snapshot } from '../../machine/image/image.js'
import { Interpreter } from '../../program/interpret.js'
import { isBare, type Program } from '../../program/op.js'
import type { ProgramListener } from '../../program/task.js'
import { reduced, type Reduction } from '../../program/reduction.js'
import { setUp, type Scenario } from '../../scenario/scenario.js'
import { operationName } from '../../boot/threads/waiting.js'
import { describeDeadlock } from './deadlock.js'
import { Endings } from './endings.js'
import { Progress } from './progress.js'
import { both } from './recorders.js'
import { stepsFor } from './stepLimit.js'

export interface Execution {
  readonly finding: Finding | null
  /** The ending that the scenario names, null without one or with a finding. */
  readonly outcome: string | null
  /** Given up: the search knows an execution that is as good. */
  readonly pruned?: true
  /** Given up: it made as many accesses as an execution may (SessionOptions.maxSteps). */
  readonly unfinished?: true
}

export interface SessionOptions {
  /** The oracles keep the kernel functions of each allocation and free, for reports. */
  readonly sites?: boolean
  /** The oracles look at all; they do unless this is false. */
  readonly oracles?: boolean
  /** Accesses that one execution may make; as many as its programs need (stepLimit.ts) unless given. */
  readonly maxSteps?: number | null
}

const NOTHING_TO_SAY: Execution = { finding: null, outcome: null }
const PRUNED: Execution = { finding: null, outcome: null, pruned: true }
const UNFINISHED: Execution = { finding: null, outcome: null, unfinished: true }

export class Session {
  readonly machine: Machine
  readonly scenario: Scenario
  readonly engine: ControlledEngine
  readonly #cpus: readonly BootedCpu[]
  /** The scenario's. */
  readonly wholePrograms: readonly Program[]
  #programs: readonly Program[]
  #reduction: Reduction | null = null
  readonly #steps: (Step<void> | null)[] = []
  /** A litmus test: it touches words only. */
  readonly bare: boolean
  readonly #progress: Progress
  /** Null for a scenario whose endings have no names. */
  readonly #endings: Endings | null
  /** By CPU, operations that the boot ended. */
  readonly bootOperations: readonly number[]

  constructor(scenario: Scenario, change: KernelChange | null, cpus: number, options: SessionOptions = {}) {
    const { sites = false, oracles = true, maxSteps = null } = options
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
      { pick: ({ current }) => current, choose: () => 0 },
    )
    this.engine.stepLimit = maxSteps ?? stepsFor(built.programs, this.machine.geo.pageSize)
    this.#progress = new Progress(this.engine, () => this.operationsDone)
    this.#cpus = Array.from({ length: cpus }, (_, id) => this.machine.makeCpu(id, this.engine, change))
    for (const booted of this.#cpus) handlers.push(() => booted.cpu.ipi.handle())
    const { program } = this.machine.regions
    const reg = (cpu: number, at: number): number => Interpreter.register(program, cpu, at)
    const word = (at: number): number => Interpreter.word(program, at)
    this.#endings = scenario.outcome === undefined ? null : new Endings(scenario.outcome, { reg, word })
    this.bootOperations = this.#cpus.map((_, cpu) => this.#opsDone(cpu))
    snapshot(this.machine.layout.size)
  }

  /** Operations that ended by now, in the last execution or the one at hand. */
  get operationsDone(): number {
    if (this.bare) return this.#cpus.reduce((sum, { interpreter }) => sum + interpreter.bareEnded, 0)
    return this.#cpus.reduce((sum, _, cpu) => sum + this.#opsDone(cpu) - (this.bootOperations[cpu] ?? 0), 0)
  }

  /** The program of each CPU. */
  get programs(): readonly Program[] {
    return this.#programs
  }

  /** The rest of the scenario's programs; null for all of them. */
  get reduction(): Reduction | null {
    return this.#reduction
  }

  /**
   * From now on runs what `reduction` leaves of the scenario's programs. Throws UsageError when it is of other
   * programs.
   */
  reduce(reduction: Reduction | null): void {
    const pageSize = this.machine.geo.pageSize
    this.#programs = reduction === null ? this.wholePrograms : reduced(this.wholePrograms, reduction, pageSize)
    this.#reduction = reduction
    // What operations expect rests on all of them.
    const expectations = reduction === null ? 'checked' : 'ignored'
    for (const { interpreter } of this.#cpus) interpreter.expectations = expectations
  }

  /** The listener to operations and choices of the programs from now on. */
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
    this.#progress.begin(both(recorder, strategy.recorder ?? null))
    try {
      const end = this.engine.run(this.#start())
      if (end.kind === 'deadlock') return { finding: describeDeadlock(this.machine, end.waiting), outcome: null }
      if (end.kind === 'livelock') return { finding: this.#livelock(), outcome: null }
      if (end.kind === 'pruned') return PRUNED
      if (end.kind === 'steps') return UNFINISHED
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

  /** The programs from their beginnings, null for a CPU that has nothing left to run; one list for all executions. */
  #start(): readonly (Step<void> | null)[] {
    for (let id = 0; id < this.#cpus.length; id++) {
      const { interpreter } = this.#cpus[id] as BootedCpu
      const program = this.#programs[id] as Program
      if (this.#reduction !== null && program.length === 0) this.#steps[id] = null
      else this.#steps[id] = this.bare ? interpreter.runBare(program) : interpreter.runOnce(program)
    }
    return this.#steps
  }

  #livelock(): Finding {
    return this.#progress.finding(this.machine.layout, (cpu) => operationName(this.machine, cpu))
  }

  #ending(): Execution {
    if (this.#endings === null) return NOTHING_TO_SAY
    const { allowed } = this.scenario
    const ending = this.#endings.name()
    if (allowed === undefined || allowed.includes(ending)) return { finding: null, outcome: ending }
    const details = [`ended with ${ending}`, `allowed: ${allowed.join(', ')}`]
    const title = `${this.scenario.id}: an ending that is not allowed: ${ending}`
    return { finding: { oracle: 'outcome', title, cpu: -1, address: null, details, stack: [] }, outcome: ending }
  }
}
