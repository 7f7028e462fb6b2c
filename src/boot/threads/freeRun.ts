/**
 * Runs a machine with one thread for each CPU: boots it here, hands the CPUs to threads, watches, collects, and checks
 * what is left when all have stopped. A crash of a thread becomes a fault in the result, never a hang.
 */
import { UsageError } from '../../base/errors.js'
import type { Bug } from '../../bug/bug.js'
import { patched, type KernelChange, type Patch } from '../../bug/patch.js'
import { Panic, type Finding } from '../../machine/engine/finding.js'
import { SoloEngine } from '../../machine/engine/solo.js'
import { attach, peek32 } from '../../machine/image/image.js'
import { mergeRings, type RingRecord } from '../../machine/trace/ring.js'
import type { Mismatch } from '../../program/interpret.js'
import { OPS, type OpName, type Program } from '../../program/op.js'
import { PROGRAM_CPU, programCpu } from '../../program/state.js'
import { orderOf } from './change.js'
import type { MachineConfig } from '../config.js'
import { CpuThreads } from './cpuThreads.js'
import { Machine, type FileSpec } from '../machine.js'
import { blame } from '../module/blame.js'
import { ownOperationsIn } from '../module/ownOperations.js'
import type { ChangeOrder, CpuEnd, CpuReport } from './protocol.js'
import { cpuWorkerUrl } from './spawn.js'
import { Watch, type Progress, type Stopped, type Watched } from './watch.js'

export type { Progress } from './watch.js'

export interface FreeRunOptions {
  readonly machine: MachineConfig
  /** Runs alone on CPU 0 before the CPUs start. */
  readonly boot: Program
  /** One program for each CPU. */
  readonly programs: readonly Program[]
  /** Files that exist, by their length in pages, and segments. */
  readonly files?: readonly FileSpec[]
  readonly bug?: Bug | null
  /** On top of the bug, or of mainline. What threads run has to be in a file: loadPatch() and loadBug(). */
  readonly patch?: Patch | null
  /** True: generators with random pauses. Otherwise stripped code at full speed. */
  readonly perturb?: boolean
  /** Programs run again and again until the time is up (true unless given), or once. */
  readonly repeat?: boolean
  /** True: results that are not what operations expect are collected. Otherwise the first one is a finding. */
  readonly compares?: boolean
  readonly seed?: number
  /** 5000 unless given; without end when programs run once. */
  readonly durationMs?: number
  /**
   * No operation of any CPU, or of one while others go on, for so long is a stall: 10,000 unless given, more where many
   * CPUs share a core.
   */
  readonly stallMs?: number
  /** The clock that stallMs is measured by, in milliseconds: performance.now() unless given. */
  readonly clock?: () => number
  /** Aborting asks the CPUs to stop; the run ends as at its deadline. */
  readonly signal?: AbortSignal
  /** Called about ten times a second. */
  readonly onProgress?: (progress: Progress) => void
  /** Called with the booted machine before the threads start. */
  readonly prepare?: (machine: Machine) => void
  /** Entry file of the threads, for a CPU of one's own. */
  readonly entry?: URL
  /** Threads of this form that stay afterwards, at least one for each CPU: many short runs start them once. */
  readonly threads?: CpuThreads
}

export type OperationCounts = Partial<Record<OpName, number>>

export interface FreeRunResult {
  /** From the start of the CPUs to the stop request, or to their end. */
  readonly seconds: number
  readonly stopped: Stopped
  /** Operations of all CPUs, by kind, without those of the boot program. */
  readonly operations: OperationCounts
  readonly perCpu: readonly OperationCounts[]
  readonly finding: Finding | null
  /** racewalk itself failed: what happened, with its stack. */
  readonly fault: string | null
  /** With `compares`, results that differ from what operations expected. */
  readonly mismatches: readonly Mismatch[]
  /** The last events of all CPUs, oldest first. */
  readonly rings: readonly RingRecord[]
  /** Names addresses of findings; its image is as the run left it. */
  readonly machine: Machine
}

const DURATION_MS = 5_000
const STALL_MS = 10_000

/**
 * Throws UsageError for a machine that cannot be built, and for what a module of the user's throws; everything else
 * that goes wrong later is in the result.
 */
export async function freeRun(options: FreeRunOptions): Promise<FreeRunResult> {
  const { bug = null, patch = null } = options
  const change = patched(bug, patch)
  const order = orderOf(bug, patch)
  const machine = new Machine(options.machine)
  blame(() => machine.boot(options.boot, change, options.files))
  machine.seedChoices(options.seed ?? 1)
  options.prepare?.(machine)
  const before = countsOf(machine)
  const run = await runThreads(machine, order, options)
  attach(machine.memory)
  const perCpu = countsOf(machine).map((after, cpu) => difference(after, before[cpu] as readonly number[]))
  const { regions, config } = machine
  const rings = mergeRings(regions.rings, config.cpus, config.ringLength)
  return { ...run, ...closing(machine, change, run), perCpu, operations: total(perCpu), rings, machine }
}

interface ThreadsRun {
  readonly seconds: number
  readonly stopped: Stopped
  readonly finding: Finding | null
  readonly fault: string | null
  readonly mismatches: readonly Mismatch[]
}

async function runThreads(machine: Machine, change: ChangeOrder | null, options: FreeRunOptions): Promise<ThreadsRun> {
  const { perturb = false, repeat = true, compares = false, seed = 1 } = options
  const watch = new Watch(machine, watchOptions(options))
  const { cpus } = machine.config
  const threads = options.threads ?? new CpuThreads(cpus, options.entry ?? cpuWorkerUrl(perturb))
  const operations = ownOperationsIn(options.programs)
  const order = { config: machine.config, memory: machine.memory, change, operations, seed }
  let watched: Watched = { seconds: 0, stopped: 'fault', stall: null, fault: null, panicBy: -1 }
  try {
    await threads.all(cpus, (cpu, id) => cpu.boot({ ...order, cpu: id }))
    const reports = threads.all(cpus, (cpu, id) => cpu.run(options.programs[id] ?? [], repeat, compares))
    watched = await watch.over(reports)
    if (watched.stall !== null || watched.fault !== null)
      return {
        ...watched,
        stopped: watched.fault === null ? 'finding' : 'fault',
        finding: watched.stall,
        mismatches: [],
      }
    return verdict(watched, await reports)
  } catch (error) {
    // What a thread threw has lost its class on the way.
    if (error instanceof Error && error.name === 'UsageError') throw new UsageError(error.message)
    const fault = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { ...watched, stopped: 'fault', finding: null, fault, mismatches: [] }
  } finally {
    if (options.threads === undefined) await threads.destroy()
  }
}

function watchOptions(options: FreeRunOptions): ConstructorParameters<typeof Watch>[1] {
  const { repeat = true, stallMs = STALL_MS, signal, onProgress } = options
  const clock = options.clock ?? (() => performance.now())
  return { durationMs: options.durationMs ?? (repeat ? DURATION_MS : Infinity), stallMs, clock, signal, onProgress }
}

/** What went wrong first counts; the rest may have come of it. */
function verdict(watched: Watched, reports: readonly CpuReport[]): ThreadsRun {
  const mismatches = reports.flatMap((report) => report.mismatches)
  const first: CpuEnd = reports[watched.panicBy]?.end ?? { kind: 'done' }
  if (first.kind === 'thrown') throw new UsageError(first.message)
  const finding = first.kind === 'finding' ? first.finding : null
  const fault = first.kind === 'fault' ? `CPU ${watched.panicBy}: ${first.message}` : null
  const stopped = finding !== null ? 'finding' : fault !== null ? 'fault' : watched.stopped
  return { seconds: watched.seconds, stopped, finding, fault, mismatches }
}

/** After a clean stop: what the oracles say of the machine at rest. */
function closing(
  machine: Machine,
  change: KernelChange | null,
  run: ThreadsRun,
): Pick<ThreadsRun, 'stopped' | 'finding' | 'fault'> {
  const { stopped, finding, fault } = run
  if (finding !== null || fault !== null) return { stopped, finding, fault }
  try {
    const found = machine.finalCheck(machine.makeCpu(0, new SoloEngine(), change))
    return { stopped: found === null ? stopped : 'finding', finding: found, fault: null }
  } catch (error) {
    if (error instanceof Panic) return { stopped: 'finding', finding: error.finding, fault: null }
    return {
      stopped: 'fault',
      finding: null,
      fault: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  }
}

// ---- counts -------------------------------------------------------------------------------------------------------

/** Operations done by each CPU, by number of kind. */
function countsOf(machine: Machine): number[][] {
  return Array.from({ length: machine.config.cpus }, (_, cpu) => {
    const counts = programCpu(machine.regions.program, cpu) + PROGRAM_CPU.at.counts
    return OPS.map((_, kind) => peek32(counts + kind * 4))
  })
}

function difference(after: readonly number[], before: readonly number[]): OperationCounts {
  const done = OPS.map((op, kind) => [op, ((after[kind] as number) - (before[kind] as number)) >>> 0] as const)
  return Object.fromEntries(done.filter(([, count]) => count !== 0))
}

function total(perCpu: readonly OperationCounts[]): OperationCounts {
  const sums = OPS.map((op) => [op, perCpu.reduce((sum, counts) => sum + (counts[op] ?? 0), 0)] as const)
  return Object.fromEntries(sums.filter(([, count]) => count !== 0))
}
