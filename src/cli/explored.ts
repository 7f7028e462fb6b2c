/** The output of an exploration beside its counts and its finding: its resumption, its threads, its check. */
import type { ExploreResult } from '../explore/explore.js'
import { divergenceDocument, divergenceText } from '../report/divergence.js'
import { unfinishedText } from '../report/unfinished.js'
import { EXIT, seconds, thousands, type ExitCode } from './terminal.js'

/** Fields of the JSON document. */
export function exploredDocument({ resumed, unkept, shards, divergence, session }: ExploreResult): object {
  return {
    resumed,
    unkept,
    shards,
    divergence: divergence === null ? null : divergenceDocument(divergence, session.machine),
  }
}

/** Lines between the counts and the finding. */
export function exploredNotes({ resumed, shards, unfinished, maxSteps }: ExploreResult): string[] {
  const notes: string[] = []
  if (unfinished > 0) notes.push(`  ${unfinishedText(unfinished, maxSteps)}`)
  if (resumed !== null)
    notes.push(`  resumed after ${thousands(resumed.executions)} executions and ${seconds(resumed.seconds)}`)
  if (shards === null) return notes
  if (shards.cut > 0)
    notes.push(`  and ${thousands(shards.cut)} executions that do not count: one before them was cut off at the end`)
  for (const why of shards.redone) notes.push(`  done again in another thread: ${firstLine(why)}`)
  return notes
}

/** Whether it ended for a reason that is not the kernel's, so that what was looked for may be behind. */
export const brokeOff = ({ divergence, shards }: ExploreResult): boolean =>
  divergence !== null || (shards !== null && shards.fault !== null)

/** What went wrong beside the kernel; null for nothing. */
export function exploredFault({ divergence, shards, unkept, session }: ExploreResult): string | null {
  const faults: string[] = []
  if (divergence !== null) faults.push(divergenceText(divergenceDocument(divergence, session.machine)))
  const fault = shards?.fault ?? null
  if (fault !== null) faults.push(`a fault of racewalk, or of a module of yours, that stayed: ${fault}`)
  if (unkept !== null) faults.push(unkept)
  return faults.length === 0 ? null : faults.join('\n')
}

export function exploredCode(result: ExploreResult): ExitCode {
  if (brokeOff(result)) return EXIT.fault
  if (result.finding !== null) return EXIT.finding
  return result.unkept === null ? EXIT.clean : EXIT.fault
}

const firstLine = (text: string): string => text.split('\n')[0] as string
