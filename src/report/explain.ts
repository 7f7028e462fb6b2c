/** A token, explained: the execution again, with every step named. */
import { replay } from '../explore/explore.js'
import type { Token } from '../explore/token.js'
import type { KernelChange } from '../bug/patch.js'
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Scenario } from '../scenario/scenario.js'
import { named, partNames } from './names.js'
import { StepTable, type Row } from './steps.js'

export interface Explanation {
  readonly finding: Finding | null
  /** True when the execution took every recorded turn. */
  readonly exact: boolean
  /** Index of the first recorded turn that could not be taken, -1. */
  readonly divergedAt: number
  readonly rows: readonly Row[]
  readonly steps: number
  readonly operations: number
  /** As the execution left it, for naming addresses. */
  readonly machine: Machine
}

/** Deep enough for an interrupt above a fault above an operation. */
const STACK_FRAMES = 60

export function explain(token: Token, scenario: Scenario, change: KernelChange | null): Explanation {
  const framesBefore = Error.stackTraceLimit
  Error.stackTraceLimit = STACK_FRAMES
  const names = partNames(change)
  let table: StepTable | null = null
  try {
    const result = replay(token, scenario, change, ({ machine }) => (table = new StepTable(machine, names)))
    const { rows, steps } = table as unknown as StepTable
    const { exact, divergedAt, session } = result
    const finding = result.finding === null ? null : named(result.finding, names)
    return { finding, exact, divergedAt, rows, steps, operations: session.operationsDone, machine: session.machine }
  } finally {
    Error.stackTraceLimit = framesBefore
  }
}
