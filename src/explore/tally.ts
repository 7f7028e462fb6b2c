/**
 * The tally of a stretch of executions: its counts, findings and coverage. It is plain data, so that threads send it,
 * sums add it up and files store it.
 */
import type { Finding } from '../machine/engine/finding.js'
import type { Divergence } from './schedule/check.js'
import { mergeCoverage, type CoverageData } from './insight/coverageData.js'
import type { SearchProgress } from './strategy/search.js'

/** A finding as its execution left it; present.ts makes it what is shown. */
export interface Found {
  /** Number of the execution, from 1. */
  readonly execution: number
  readonly finding: Finding
  readonly picks: readonly number[]
}

export interface Tally {
  executions: number
  /** Accesses made. */
  steps: number
  /** Operations of programs that ended. */
  operations: number
  /** Executions that were given up at the limit of accesses. */
  unfinished: number
  /** Endings seen, with how often. */
  readonly outcomes: Map<string, number>
  /** The finding that was looked for. The stretch ends with it. */
  found: Found | null
  /** The first finding that was not looked for. */
  unwanted: Found | null
  /** The execution that was not the same again. The stretch ends with it. */
  divergence: Divergence | null
  /** No schedule is left. The stretch ends with it. */
  complete: boolean
  /** How far a systematic search came; null for sampled schedules. */
  progress: SearchProgress | null
  /** The coverage of the executions, as far as it was collected (Runner.collect). */
  coverage: CoverageData
}

export const emptyTally = (): Tally => ({
  executions: 0,
  steps: 0,
  operations: 0,
  unfinished: 0,
  outcomes: new Map(),
  found: null,
  unwanted: null,
  divergence: null,
  complete: false,
  progress: null,
  coverage: mergeCoverage([]),
})

/** Whether nothing is to be done after this. */
export const isOver = ({ found, divergence, complete }: Tally): boolean =>
  found !== null || divergence !== null || complete

/** Adds `more`, the stretch that follows, to `tally`. */
export function addTally(tally: Tally, more: Tally): void {
  tally.executions += more.executions
  tally.steps += more.steps
  tally.operations += more.operations
  tally.unfinished += more.unfinished
  for (const [outcome, count] of more.outcomes) countOutcome(tally.outcomes, outcome, count)
  tally.found ??= more.found
  tally.unwanted ??= more.unwanted
  tally.divergence ??= more.divergence
  tally.complete = more.complete
  tally.progress = more.progress
  tally.coverage = mergeCoverage([tally.coverage, more.coverage])
}

export function countOutcome(outcomes: Map<string, number>, outcome: string, count: number): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count)
}
