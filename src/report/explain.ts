/** A token, explained: the execution again, with every step named. */
import { criticalSwitch, type CriticalSwitch } from '../explore/insight/criticalSwitch.js'
import type { Deviation } from '../explore/schedule/deviations.js'
import { replay } from '../explore/explore.js'
import type { Token } from '../explore/schedule/token.js'
import type { KernelChange } from '../bug/patch.js'
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { Scenario } from '../scenario/scenario.js'
import { named, partNames } from './names.js'
import { reducedOf, type Reduced } from './reduced.js'
import { StepTable, type Row } from './steps.js'
import type { History } from './state/recorder.js'

export interface Explanation {
  readonly finding: Finding | null
  /** True when it was given up at the limit of accesses. */
  readonly unfinished: boolean
  /** True when the execution deviated from the default schedule wherever the token says. */
  readonly exact: boolean
  /** Deviations taken, and the first that was not; null when all were. */
  readonly taken: number
  readonly missed: Deviation | null
  readonly rows: readonly Row[]
  /** The switch that decided it; null where none did. */
  readonly decisive: DecisiveStep | null
  /** What is left of the scenario's programs; null when that is all. */
  readonly reduced: Reduced | null
  /** The state before the first step, and what each step changed. */
  readonly history: History
  readonly steps: number
  readonly operations: number
  /** As the execution left it, for naming addresses. */
  readonly machine: Machine
}

/** The switch without which most executions that begin like this one end well. */
export interface DecisiveStep extends Pick<CriticalSwitch, 'before' | 'after' | 'runs'> {
  /** Who goes on with it. */
  readonly cpu: number
  /** Its first step then, and the operation that it is in, or comes to; null for none. */
  readonly step: number
  readonly operation: string | null
}

/** Deep enough for an interrupt above a fault above an operation. */
const STACK_FRAMES = 200

export function explain(token: Token, scenario: Scenario, change: KernelChange | null): Explanation {
  const decisive = decisiveOf(token, scenario, change)
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
    const { exact, taken, missed, session, unfinished } = result
    const finding = result.finding === null ? null : named(result.finding, names)
    const { machine, operationsDone: operations } = session
    return {
      finding,
      unfinished,
      exact,
      taken,
      missed,
      rows,
      decisive: decisive === null ? null : decisiveStep(decisive, rows),
      reduced: reducedOf(session),
      history: recorded.history(),
      steps,
      operations,
      machine,
    }
  } finally {
    Error.stackTraceLimit = framesBefore
  }
}

/** From an execution of its own, which leaves nothing behind for the one that is shown. */
function decisiveOf(token: Token, scenario: Scenario, change: KernelChange | null): CriticalSwitch | null {
  const { finding, session } = replay(token, scenario, change)
  return finding === null ? null : criticalSwitch(session, session.engine.picks, finding)
}

function decisiveStep({ cpu, steps, before, after, runs }: CriticalSwitch, rows: readonly Row[]): DecisiveStep | null {
  const at = rows.findIndex((row) => row.kind === 'access' && row.cpu === cpu && row.step > steps)
  const row = rows[at]
  if (row?.kind !== 'access') return null
  const isOwn = (mark: Row): boolean => mark.kind === 'operation' && mark.cpu === cpu
  const mark = rows.slice(0, at).findLast(isOwn) ?? rows.slice(at).find(isOwn)
  const operation = mark?.kind === 'operation' ? mark.text : null
  return { cpu, step: row.step, operation, before, after, runs }
}
