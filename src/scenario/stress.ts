/** A scenario at full speed: its programs again and again in the real geometry, one thread for each CPU. */
import { CPUS_MAX } from '../boot/config.js'
import type { CpuThreads } from '../boot/threads/cpuThreads.js'
import { freeRun, type FreeRunResult, type Progress } from '../boot/threads/freeRun.js'
import { UsageError } from '../base/errors.js'
import type { Bug } from '../bug/bug.js'
import { patched, type Patch } from '../bug/patch.js'
import { checkCpus, setUp, type Scenario } from './scenario.js'

export interface StressOptions {
  readonly scenario: Scenario
  readonly bug?: Bug | null
  /** On top of the bug, or of mainline; from a file (loadPatch). */
  readonly patch?: Patch | null
  readonly cpus?: number
  readonly durationMs?: number
  /** Generators in the threads, with random pauses at their points: slower, with wider windows. */
  readonly perturb?: boolean
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
  /** Threads of this form that stay afterwards (boot/threads/freeRun.ts). */
  readonly threads?: CpuThreads
}

/** Throws UsageError for a scenario that is only explored and for CPUs that it cannot have. */
export async function stress(options: StressOptions): Promise<FreeRunResult> {
  const { scenario, bug = null, patch = null, cpus = scenario.cpus, ...rest } = options
  if (scenario.exploreOnly === true)
    throw new UsageError(
      `${scenario.id} is not for stress`,
      'it says something once, not in a loop',
      `racewalk explore ${scenario.id}`,
    )
  checkCpus(scenario, cpus, CPUS_MAX)
  const { machine, boot, programs } = setUp(scenario, 'stress', cpus, patched(bug, patch)?.config)
  return await freeRun({ ...rest, machine, boot, programs, bug, patch, files: scenario.files ?? [] })
}
