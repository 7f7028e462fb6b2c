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
import { buildRecording, compareMaps, type RecordedSpace, type Recording } from '../../input/recording.js'
import { peek32, pokeF64 } from '../../machine/image/image.js'
import { FILE, MM } from '../../mm/mmStruct.js'
import { CPUS_MAX, fullMachine } from '../config.js'
import { dumpMaps } from './dumpMaps.js'
import { freeRun, type FreeRunResult } from '../threads/freeRun.js'
import type { Machine } from '../machine.js'
import { recordingPrograms, type RecordingPrograms } from './recordingPrograms.js'
import type { RecordedProcess, RunRecordingOptions, RunRecordingResult } from './runRecording.types.js'

type Differences = RunRecordingResult['mapsDifferences']

/** CPUs beside those of the threads: one pins pages, one collapses huge pages. */
const BACKGROUND_CPUS = 2
const FRAMES = 65_536

/** Throws UsageError, naming file and line, when the log or its snapshots are missing, cut, foreign or do not fit. */
export async function runRecording(options: RunRecordingOptions): Promise<RunRecordingResult> {
  const recording = readRecording(options.file)
  const results: { space: RecordedSpace; run: FreeRunResult; process: RecordedProcess; differences: Differences }[] = []
  for (const space of recording.spaces) {
    const threads = new Set(space.events.map((event) => event.tid)).size
    const cpus = checkCpus(options.cpus ?? Math.max(1, threads) + BACKGROUND_CPUS)
    const programs = recordingPrograms(space, Math.min(Math.max(1, threads), cpus - BACKGROUND_CPUS))
    const run = await runSpace(programs, options)
    const mappings = space.final.length
    const process = { pid: space.pid, threads, cpus: programs.programs.length, calls: programs.calls, mappings }
    // At once: the next run attaches this thread to another image.
    results.push({ space, run, process, differences: differencesOf(space, programs, run) })
    if (run.finding !== null || run.fault !== null || options.signal?.aborted === true) break
  }
  const last = results.at(-1)
  if (last === undefined) throw new UsageError(`${options.file} records no process from snapshot 0 to snapshot 1`)
  return {
    file: options.file,
    processes: results.map(({ process }) => process),
    operations: sum(results.map(({ run }) => run.operations)),
    mismatches: results.flatMap(({ run, space }) =>
      run.mismatches.map((mismatch) => ({ ...mismatch, pid: space.pid })),
    ),
    mapsDifferences: results.flatMap(({ differences }) => differences),
    finding: last.run.finding,
    fault: last.run.fault,
    seconds: results.reduce((total, { run }) => total + run.seconds, 0),
    machine: last.run.machine,
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
  return buildRecording({ file, log: readFileSync(file, 'utf8'), maps })
}

function checkCpus(cpus: number): number {
  if (Number.isInteger(cpus) && cpus > BACKGROUND_CPUS && cpus <= CPUS_MAX) return cpus
  throw new UsageError(
    `--cpus ${cpus}`,
    `a recording runs on ${BACKGROUND_CPUS + 1} to ${CPUS_MAX} CPUs: its threads, one that pins, one that collapses`,
  )
}

function runSpace(programs: RecordingPrograms, options: RunRecordingOptions): Promise<FreeRunResult> {
  const { heap } = programs
  return freeRun({
    machine: fullMachine(programs.programs.length, FRAMES),
    boot: programs.boot,
    programs: programs.programs,
    files: programs.filePages,
    patch: options.patch ?? null,
    repeat: false,
    compares: true,
    prepare: (machine) => {
      if (heap !== undefined) setBreak(machine, heap.start, heap.end)
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  })
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
  const { files } = run.machine.regions.kernel
  const fileName = (file: number): string => programs.files[(file - files) / FILE.size] ?? '/dev/zero'
  const found = dumpMaps(mmOf(run.machine), fileName, space.start)
  const expected = space.final.filter((vma) => vma.start >= 0)
  return compareMaps(expected, found).map((difference) => ({ ...difference, pid: space.pid }))
}

function sum(counts: readonly FreeRunResult['operations'][]): FreeRunResult['operations'] {
  const totals: Record<string, number> = {}
  for (const each of counts) for (const [op, count] of Object.entries(each)) totals[op] = (totals[op] ?? 0) + count
  return totals
}
