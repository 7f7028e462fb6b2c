/** A finding in words: what was broken, where, who did it, how it came to that, and how to see it again. */
import type { Machine } from '../boot/machine.js'
import type { Finding } from '../machine/engine/finding.js'
import type { BeforeAfter } from '../explore/shrink/shrink.js'
import { describeAddress } from './address.js'
import { whatChanged, type Changed } from './changed.js'
import { hex } from './entry.js'
import type { DecisiveStep } from './explain.js'
import type { Palette } from './palette.js'
import { smallerText, type Reduced } from './reduced.js'
import { ruleOf } from './rules.js'
import type { History } from './state/recorder.js'
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
  /** What they changed; with it the report tells the changes of the words that the finding is about. */
  readonly history?: History
  readonly decisive?: DecisiveStep | null
  /** What is left of the programs; and switches between CPUs before and after shrinking, where that is known. */
  readonly reduced?: Pick<Reduced, 'operations' | 'cpus'> | null
  readonly switches?: BeforeAfter | null
  /** Replays it; null where nothing does. */
  readonly token: string | null
  /** What the command that replays it needs beside the token: ` --patch fix.ts`. */
  readonly replayOptions?: string
}

export function findingText(finding: Finding, options: ReportOptions): string {
  const { palette, token, replayOptions = '' } = options
  const parts = [headText(finding, options)]
  if (options.rows.length > 0) parts.push(tableText(finding, options))
  const changes = changesText(finding, options)
  if (changes !== '') parts.push(changes)
  if (token !== null) parts.push(`replay it:\n  ${palette.command(replayCommand(token) + replayOptions)}`)
  return parts.join('\n\n')
}

export const replayCommand = (token: string): string => `npx racewalk replay ${token}`

/** Title, rule, oracle, place, details and kernel functions. */
function headText(finding: Finding, options: ReportOptions): string {
  const { machine, palette, width, reduced = null, switches = null } = options
  const lines = [palette.bad(finding.title), ...ruleLines(finding, width), `  oracle   ${finding.oracle}`]
  lines.push(`  CPU      ${finding.cpu < 0 ? 'none: seen when all CPUs had stopped' : finding.cpu}`)
  if (finding.address !== null)
    lines.push(
      `  address  ${palette.name(describeAddress(machine, finding.address))}, ${hex(finding.address)} in the image`,
    )
  const smaller = smallerText(reduced, switches)
  if (smaller !== '') lines.push(`  smaller  ${smaller}`)
  for (const detail of finding.details) lines.push(`  ${detail}`)
  if (finding.stack.length > 0) lines.push('', `  kernel functions on CPU ${finding.cpu}, innermost first:`)
  for (const name of finding.stack) lines.push(`    ${name}`)
  return lines.join('\n')
}

const FIELD = '           '

function ruleLines(finding: Finding, width: number): string[] {
  const rule = ruleOf(finding)
  if (rule === null) return []
  return [
    ...wrapped(rule.text, width - FIELD.length).map((line, i) => `${i === 0 ? '  rule     ' : FIELD}${line}`),
    ...wrapped(`(${rule.source})`, width - FIELD.length).map((line) => FIELD + line),
  ]
}

/** `text` in lines of at most `width` characters, where its words allow it. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

// ---- what changed -------------------------------------------------------------------------------------------------

/** Changes of one cell that are shown: the last ones, which led to the finding. */
const CHANGES_SHOWN = 3
const CHANGED_SHOWN = 16

function changesText(finding: Finding, { machine, history, rows, full, palette }: ReportOptions): string {
  const all = history === undefined ? [] : whatChanged(finding, machine, history, rows)
  if (all.length === 0) return ''
  const shown = full ? all : [...all].sort((a, b) => lastStep(b) - lastStep(a)).slice(0, CHANGED_SHOWN)
  const kept = all.filter((changed) => shown.includes(changed))
  const column = Math.max(...kept.map(({ what }) => what.length))
  const lines = kept.map(
    (changed) => `  ${palette.name(changed.what.padEnd(column))}  ${chainText(changed, full, palette)}`,
  )
  const more =
    all.length === kept.length ? [] : [palette.dim(`  … and ${all.length - kept.length} more (--full shows all)`)]
  return ['what became of it (from which step on):\n', ...lines, ...more].join('\n')
}

const lastStep = ({ after }: Changed): number => after.at(-1)?.step ?? 0

/** `table 0x9 → none (56, CPU 0)`; of flags only what came and went. */
function chainText({ what, before, after }: Changed, full: boolean, palette: Palette): string {
  const isFlags = what.endsWith(' flags')
  const shown = full ? after : after.slice(-CHANGES_SHOWN)
  const left = after.length - shown.length
  const said = [after[left - 1]?.text ?? before, ...shown.map(({ text }) => text)]
  const steps = shown.map(({ step, cpu, text }, i) => {
    const became = isFlags ? flagsText(said[i] ?? '', text ?? '') : `→ ${text ?? 'none'}`
    return `${palette.changed(became)} (${step}, CPU ${cpu})`
  })
  if (after.length === 0) return `${before ?? 'none'} (unchanged)`
  return [before ?? 'none', ...(left === 0 ? [] : ['→ …']), ...steps].join(' ')
}

/** `+locked -exclusive`. */
function flagsText(before: string, after: string): string {
  const [old, now] = [before.split(' '), after.split(' ')]
  const came = now.filter((flag) => flag !== '' && !old.includes(flag)).map((flag) => `+${flag}`)
  const went = old.filter((flag) => flag !== '' && !now.includes(flag)).map((flag) => `-${flag}`)
  return [...came, ...went].join(' ')
}

// ---- how it came to that ------------------------------------------------------------------------------------------

function tableText(finding: Finding, options: ReportOptions): string {
  const { machine, palette, width, full, rows, decisive = null } = options
  const end = { cpu: finding.cpu, text: finding.title }
  const intro = full
    ? 'every step, a column for each CPU:'
    : 'how it came to that (steps on words that no other CPU changes are folded):'
  const { cpus } = machine.config
  const table = interleavingTable(rows, { cpus, width, full, palette, end, decisive: decisive?.step ?? null })
  const legend = decisive === null ? [] : wrapped(decisiveText(decisive), width)
  return [intro, '', table, ...(decisive === null ? [] : ['', ...legend])].join('\n')
}

function decisiveText({ cpu, step, before, after, runs }: DecisiveStep): string {
  return (
    `◆ the decisive switch, to CPU ${cpu} at step ${step}: of ${runs} random continuations, ${percent(before)} fail from ` +
    `before it, ${percent(after)} from the end of the turn that it begins`
  )
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
