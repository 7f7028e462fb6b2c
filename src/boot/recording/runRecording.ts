/**
 * `racewalk run`: a real program's log, replayed free-running and compared with what the real kernel's snapshots say.
 *
 * Each address space that the log records from a snapshot to a snapshot gets a machine of its own; two CPUs beside
 * those of its threads pin pages and collapse huge pages all the while.
 */
import { CPU_STATE } from '../../arch/cpuState.js'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { UsageError } from '../../base/errors.js'
import { compareMaps } from '../../input/compareMaps.js'
import { linesOfFile } from '../../input/logLines.js'
import { buildRecording, type RecordedSpace, type Recording } from '../../input/recording.js'
import { peek32, pokeF64 } from '../../machine/image/image.js'
import { FILE, MM } from '../../mm/mmStruct.js'
import { CPUS_MAX, FRAMES_MAX, fullMachine, type MachineConfig } from '../config.js'
import { dumpMaps } from './dumpMaps.js'
import { CpuThreads } from '../threads/cpuThreads.js'
import { freeRun, type FreeRunResult } from '../threads/freeRun.js'
import { cpuWorkerUrl } from '../threads/spawn.js'
import type { Machine } from '../machine.js'
import { recordingPrograms, type Omitted, type RecordingPrograms } from './recordingPrograms.js'
import type { RecordedProcess, RunRecordingOptions, RunRecordingResult } from './runRecording.types.js'

type Differences = RunRecordingResult['mapsDifferences']

/** CPUs beside those of the threads: one pins pages, one collapses huge pages. */
const BACKGROUND_CPUS = 2
const FRAMES = 65_536

/** Throws UsageError, naming file and line, when the log or its snapshots are missing, cut, foreign or do not fit. */
export async function runRecording(options: RunRecordingOptions): Promise<RunRecordingResult> {
  const recording = readRecording(options.file)
  const results: ProcessRun[] = []
  const most = Math.max(1, ...recording.spaces.map((space) => cpusFor(space, options)))
  const threads = new CpuThreads(most, cpuWorkerUrl(false))
  try {
    for (const space of recording.spaces) {
      const result = await runProcess(space, threads, options)
      results.push(result)
      if (result.run.finding !== null || result.run.fault !== null || isInterrupted(options)) break
    }
  } finally {
    await threads.destroy()
  }
  const last = results.at(-1)
  if (last === undefined) throw new UsageError(`${options.file} records no process from snapshot 0 to snapshot 1`)
  return {
    file: options.file,
    processes: results.map(({ process }) => process),
    skipped: recording.spaces.slice(results.length).map(({ pid }) => pid),
    operations: sum(results.map(({ run }) => run.operations)),
    notReplayed: results.flatMap(({ omitted, process: { pid } }) => omitted.map((call) => ({ ...call, pid }))),
    mismatches: results.flatMap(({ mismatches }) => mismatches),
    mapsDifferences: results.flatMap(({ differences }) => differences),
    interrupted: isInterrupted(options),
    finding: last.run.finding,
    fault: last.run.fault,
    seconds: results.reduce((total, { run }) => total + run.seconds, 0),
    machine: last.run.machine,
  }
}

const isInterrupted = ({ signal }: RunRecordingOptions): boolean => signal?.aborted === true

interface ProcessRun {
  readonly run: FreeRunResult
  readonly process: RecordedProcess
  readonly omitted: readonly Omitted[]
  readonly mismatches: RunRecordingResult['mismatches']
  readonly differences: Differences
}

const threadsOf = ({ events }: RecordedSpace): number => Math.max(1, new Set(events.map((event) => event.tid)).size)

const cpusFor = (space: RecordedSpace, options: RunRecordingOptions): number =>
  checkCpus(options.cpus ?? Math.min(threadsOf(space) + BACKGROUND_CPUS, CPUS_MAX))

async function runProcess(
  space: RecordedSpace,
  cpuThreads: CpuThreads,
  options: RunRecordingOptions,
): Promise<ProcessRun> {
  const threads = threadsOf(space)
  const programs = recordingPrograms(space, Math.min(threads, cpusFor(space, options) - BACKGROUND_CPUS))
  const run = await runSpace(programs, cpuThreads, options)
  const { calls, omitted } = programs
  const { pid } = space
  // At once: the next run attaches this thread to another image.
  const differences = isInterrupted(options) ? [] : differencesOf(space, programs, run)
  const mismatches = run.mismatches.map((mismatch) => {
    const line = programs.lines[mismatch.cpu]?.[mismatch.index] ?? 0
    return { ...mismatch, pid, line }
  })
  const mappings = space.final.length
  return {
    run,
    process: { pid, threads, cpus: programs.programs.length, calls, mappings },
    omitted,
    mismatches,
    differences,
  }
}

function readRecording(file: string): Recording {
  if (!existsSync(file))
    throw new UsageError(
      `no file '${file}'`,
      'run takes the path of an strace log',
      'try test/fixtures/strace/ls.strace',
    )
  const folder = join(dirname(file), `${basename(file).replace(/\.strace$/, '')}.maps`)
  if (!existsSync(folder))
    throw new UsageError(
      `no folder '${folder}'`,
      'the snapshots PID.K.maps of a log NAME.strace are in NAME.maps beside it',
    )
  const maps = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  return buildRecording({ file, log: linesOfFile(file), maps })
}

function checkCpus(cpus: number): number {
  if (Number.isInteger(cpus) && cpus > BACKGROUND_CPUS && cpus <= CPUS_MAX) return cpus
  throw new UsageError(
    `--cpus ${cpus}`,
    `a recording runs on ${BACKGROUND_CPUS + 1} to ${CPUS_MAX} CPUs: its threads, one that pins, one that collapses`,
  )
}

function runSpace(
  programs: RecordingPrograms,
  threads: CpuThreads,
  options: RunRecordingOptions,
): Promise<FreeRunResult> {
  const { heap } = programs
  return freeRun({
    machine: machineFor(programs),
    boot: programs.boot,
    programs: programs.programs,
    files: programs.files.specs(),
    patch: options.patch ?? null,
    repeat: false,
    threads,
    compares: true,
    prepare: (machine) => {
      if (heap !== undefined) setBreak(machine, heap.start, heap.end)
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  })
}

/** A machine with room for the recording. */
function machineFor({ programs, files, room }: RecordingPrograms): MachineConfig {
  const machine = fullMachine(programs.length, Math.min(FRAMES + room.populated, FRAMES_MAX))
  const { vmas, anonVmas, files: slots, filePages } = machine.kernel
  const kernel = {
    ...machine.kernel,
    vmas: Math.max(vmas, 4 * room.vmas),
    anonVmas: Math.max(anonVmas, 4 * room.vmas),
    files: slots + files.count + room.sharedFiles,
    filePages: filePages + files.pages + room.sharedPages,
  }
  return { ...machine, kernel }
}

/** The program break is where the log says: nothing in /proc/PID/maps does. */
function setBreak(machine: Machine, start: number, end: number): void {
  const mm = mmOf(machine)
  pokeF64(mm + MM.at.brkStart, start)
  pokeF64(mm + MM.at.brk, end)
}

const mmOf = (machine: Machine): number => peek32(machine.regions.cpus.cpus + CPU_STATE.at.currentMm)

function differencesOf(space: RecordedSpace, programs: RecordingPrograms, run: FreeRunResult): Differences {
  if (run.finding !== null || run.fault !== null) return []
  const { model, files, labels } = programs
  const first = run.machine.regions.kernel.files
  const found = dumpMaps(mmOf(run.machine), {
    file: (file) => files.nameOf((file - first) / FILE.size) ?? SHARED_ANONYMOUS,
    label: (label) => labels.nameOf(label),
    startStack: startStackOf(space),
  })
  const expected = space.final.filter((vma) => vma.start >= 0 && vma.path !== AIO_RING)
  const tolerance = {
    isSeam: (address: number) => model.isSeam(address),
    isUnknown: (start: number, end: number) => model.isUnknown(start, end),
  }
  return compareMaps(expected, found, tolerance).map((difference) => ({ ...difference, pid: space.pid }))
}

const SHARED_ANONYMOUS = '/dev/zero'
/** What io_setup() maps, which is not replayed. */
const AIO_RING = '/[aio]'

/** Somewhere in the part of the stack that the last snapshot names so: the stack may have been cut since the start. */
function startStackOf({ start, final }: RecordedSpace): number | undefined {
  const [before, after] = [start, final].map((maps) => maps.find(({ path }) => path === '[stack]'))
  return (after ?? before)?.end === undefined ? undefined : ((after ?? before)?.end as number) - 1
}

function sum(counts: readonly FreeRunResult['operations'][]): FreeRunResult['operations'] {
  const totals: Record<string, number> = {}
  for (const each of counts) for (const [op, count] of Object.entries(each)) totals[op] = (totals[op] ?? 0) + count
  return totals
}
