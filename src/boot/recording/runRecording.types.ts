/** The request of `racewalk run` and its answer. */
import type { Patch } from '../../bug/patch.js'
import type { MapsDifference } from '../../input/compareMaps.js'
import type { Finding } from '../../machine/engine/finding.js'
import type { Mismatch } from '../../program/interpret.js'
import type { FreeRunResult, OperationCounts, Progress } from '../threads/freeRun.js'
import type { Omitted } from './recordingPrograms.js'

export interface RunRecordingOptions {
  /** Path of the strace log; its snapshots are in the folder NAME.maps beside it. */
  readonly file: string
  /** CPUs of each machine; as many as the recording needs unless given. */
  readonly cpus?: number
  /** What the kernel has in the place of mainline's parts; from a file (loadPatch). */
  readonly patch?: Patch | null
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** One address space of the recording, run in a machine of its own. */
export interface RecordedProcess {
  readonly pid: number
  readonly threads: number
  readonly cpus: number
  /** Calls of the log that were replayed. */
  readonly calls: number
  /** Mappings at the end. */
  readonly mappings: number
}

export interface RunRecordingResult {
  readonly file: string
  readonly processes: readonly RecordedProcess[]
  /** Processes that the run did not come to. */
  readonly skipped: readonly number[]
  readonly operations: OperationCounts
  /** Calls of the log that were not replayed: what is said of agreement does not hold for them. */
  readonly notReplayed: readonly (Omitted & { readonly pid: number })[]
  /** Calls that returned something else than in the log, with their lines. */
  readonly mismatches: readonly (Mismatch & { readonly pid: number; readonly line: number })[]
  /** Where the mappings at the end are not those of the log's last snapshot; none of a process that was interrupted. */
  readonly mapsDifferences: readonly (MapsDifference & { readonly pid: number })[]
  /** The run was stopped before its end. */
  readonly interrupted: boolean
  readonly finding: Finding | null
  /** racewalk itself failed: what happened, with its stack. */
  readonly fault: string | null
  readonly seconds: number
  /** Of the process with the finding, for naming its address; otherwise of the last one. */
  readonly machine: FreeRunResult['machine']
}
