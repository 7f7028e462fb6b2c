/** A finding in words: what was broken, where, who did it, how it came to that, and how to see it again. */
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import { describeAddress } from './address.js'
import { hex } from './entry.js'
import type { Palette } from './palette.js'
import type { Row } from './steps.js'
import { interleavingTable } from './table.js'

export interface ReportOptions {
  readonly machine: Machine
  readonly palette: Palette
  readonly width: number
  /** Whole table instead of its last lines. */
  readonly full: boolean
  /** Steps of the execution, where it was a controlled one. */
  readonly rows: readonly Row[]
  /** Replays it; null where nothing does. */
  readonly token: string | null
  /** What the command that replays it needs beside the token: ` --patch fix.ts`. */
  readonly replayOptions?: string
}

export function findingText(finding: Finding, options: ReportOptions): string {
  const { palette, token, replayOptions = '' } = options
  const parts = [headText(finding, options.machine, palette)]
  if (options.rows.length > 0) parts.push(tableText(finding, options))
  if (token !== null) parts.push(`replay it:\n  ${palette.command(replayCommand(token) + replayOptions)}`)
  return parts.join('\n\n')
}

export const replayCommand = (token: string): string => `npx racewalk replay ${token}`

/** Title, oracle, place, details and kernel functions. */
export function headText(finding: Finding, machine: Machine, palette: Palette): string {
  const lines = [palette.bad(finding.title), `  oracle   ${finding.oracle}`]
  lines.push(`  CPU      ${finding.cpu < 0 ? 'none: seen when all CPUs had stopped' : finding.cpu}`)
  if (finding.address !== null)
    lines.push(
      `  address  ${palette.name(describeAddress(machine, finding.address))}, ${hex(finding.address)} in the image`,
    )
  for (const detail of finding.details) lines.push(`  ${detail}`)
  if (finding.stack.length > 0) lines.push('', `  kernel functions on CPU ${finding.cpu}, innermost first:`)
  for (const name of finding.stack) lines.push(`    ${name}`)
  return lines.join('\n')
}

function tableText(finding: Finding, { machine, palette, width, full, rows }: ReportOptions): string {
  const end = { cpu: finding.cpu, text: finding.title }
  const intro = full
    ? 'every step, a column for each CPU:'
    : 'how it came to that (steps on words that no other CPU changes are folded):'
  return `${intro}\n\n${interleavingTable(rows, { cpus: machine.config.cpus, width, full, palette, end })}`
}
