/** A token, explained: the execution again, with every step named. */
import type { Deviation } from '../explore/deviations.js'
import { replay } from '../explore/explore.js'
import type { Token } from '../explore/token.js'
import type { KernelChange } from '../bug/patch.js'
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Scenario } from '../scenario/scenario.js'
import { named, partNames } from './names.js'
import { StepTable, type Row } from './steps.js'
import type { History } from './state/recorder.js'

export interface Explanation {
  readonly finding: Finding | null
  /** True when the execution deviated from the default schedule wherever the token says. */
  readonly exact: boolean
  /** Deviations taken, and the first that was not; null when all were. */
  readonly taken: number
  readonly missed: Deviation | null
  readonly rows: readonly Row[]
  /** The state before the first step, and what each step changed. */
  readonly history: History
  readonly steps: number
  readonly operations: number
  /** As the execution left it, for naming addresses. */
  readonly machine: Machine
}

/** Deep enough for an interrupt above a fault above an operation. */
const STACK_FRAMES = 200

export function explain(token: Token, scenario: Scenario, change: KernelChange | null): Explanation {
  const framesBefore = Error.stackTraceLimit
  Error.stackTraceLimit = STACK_FRAMES
  const names = partNames(change)
  let table: StepTable | null = null
  try {
    const result = replay(
      token,
      scenario,
      change,
      ({ machine, programs }) => (table = new StepTable(machine, programs, names)),
    )
    const recorded = table as unknown as StepTable
    const { rows, steps } = recorded
    const { exact, taken, missed, session } = result
    const finding = result.finding === null ? null : named(result.finding, names)
    const { machine, operationsDone: operations } = session
    return { finding, exact, taken, missed, rows, history: recorded.history(), steps, operations, machine }
  } finally {
    Error.stackTraceLimit = framesBefore
  }
}
