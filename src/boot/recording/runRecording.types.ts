/** The request of `racewalk run` and its answer. */
import type { Patch } from '../../bug/patch.js'
import type { MapsDifference } from '../../input/recording.js'
import type { Finding } from '../../machine/engine/finding.js'
import type { Mismatch } from '../../program/interpret.js'
import type { FreeRunResult, OperationCounts, Progress } from '../threads/freeRun.js'

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
  readonly operations: OperationCounts
  /** Calls that returned something else than in the log. */
  readonly mismatches: readonly (Mismatch & { readonly pid: number })[]
  /** Where the mappings at the end are not those of the log's last snapshot. */
  readonly mapsDifferences: readonly (MapsDifference & { readonly pid: number })[]
  readonly finding: Finding | null
  /** racewalk itself failed: what happened, with its stack. */
  readonly fault: string | null
  readonly seconds: number
  /** Of the process with the finding, for naming its address; otherwise of the last one. */
  readonly machine: FreeRunResult['machine']
}
