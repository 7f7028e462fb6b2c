/**
 * The interleaving as a table with a column for each CPU. Words that only one CPU touches say little about a race, and
 * RCU's own counters turn up between any two operations: runs of such steps are folded into a line, unless everything
 * is asked for.
 */
import CliTable from 'cli-table3'
import type { AccessRow, Row } from './steps.js'
import type { Palette } from './palette.js'

export interface TableOptions {
  readonly cpus: number
  /** Columns of the terminal. */
  readonly width: number
  /** True: every step, none folded. */
  readonly full: boolean
  readonly palette: Palette
  /** What the execution ended in, and on which CPU (-1: when all had stopped). */
  readonly end: { readonly cpu: number; readonly text: string } | null
  /** The step with which the decisive switch's turn begins; null for none. */
  readonly decisive?: number | null
}

/** Rows that a table shows unless it is full. */
const ROWS_DEFAULT = 60
/** Steps in front of the end that are never folded. */
const TAIL = 6
const COLUMN_MIN = 26

/** Stands before the turn of a CPU. */
interface DecisiveLine {
  readonly kind: 'decisive'
  readonly cpu: number
}

type Line =
  Row | DecisiveLine | { readonly kind: 'folded'; readonly cpu: number; readonly count: number; readonly where: string }

export function interleavingTable(rows: readonly Row[], options: TableOptions): string {
  const marked = withDecisive(rows, options.decisive ?? null)
  const all: readonly Line[] = options.full ? marked : fold(marked)
  const shown = options.full ? all : all.slice(-ROWS_DEFAULT)
  const left = all.length - shown.length
  const cpus = columnsOf(rows, options)
  const header = ['step', ...cpus.map((cpu) => `CPU ${cpu}`)]
  const column = Math.max(COLUMN_MIN, Math.floor((options.width - 10) / cpus.length) - 3)
  const table = new CliTable({
    head: header,
    colWidths: [7, ...cpus.map(() => column)],
    wordWrap: true,
    chars: BORDERS,
    style: { head: [], border: [], compact: true, 'padding-left': 1, 'padding-right': 1 },
  })
  let last = -1
  for (const line of shown) {
    table.push(cells(line, cpus, options.palette, line.cpu !== last))
    last = line.cpu
  }
  const { end } = options
  if (end !== null && end.cpu >= 0) table.push(row(cpus, '', end.cpu, options.palette.bad(`✗ ${end.text}`)))
  const intro = left === 0 ? [] : [options.palette.dim(`… ${left} lines before these (--full shows all)`)]
  const outro = end !== null && end.cpu < 0 ? [options.palette.bad(`✗ when all CPUs had stopped: ${end.text}`)] : []
  return [...intro, table.toString().replace(/ +$/gm, ''), ...outro].join('\n')
}

const BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '│',
}

/** CPUs that have a column: those that did something. All, where nothing was done. */
function columnsOf(rows: readonly Row[], { cpus, end }: TableOptions): number[] {
  const all = Array.from({ length: cpus }, (_, cpu) => cpu)
  const seen = all.filter((cpu) => cpu === end?.cpu || rows.some((row) => row.cpu === cpu))
  return seen.length === 0 ? all : seen
}

/** With a line before the turn that begins with step `decisive`, and before what begins with it. */
function withDecisive(rows: readonly Row[], decisive: number | null): readonly (Row | DecisiveLine)[] {
  let at = rows.findIndex((row) => row.kind === 'access' && row.step === decisive)
  const cpu = rows[at]?.cpu
  if (cpu === undefined) return rows
  while (rows[at - 1]?.cpu === cpu && rows[at - 1]?.kind !== 'access') at--
  return [...rows.slice(0, at), { kind: 'decisive', cpu }, ...rows.slice(at)]
}

function row(cpus: readonly number[], step: string, cpu: number, text: string): string[] {
  return [step, ...cpus.map((column) => (column === cpu ? text : ''))]
}

function cells(line: Line, cpus: readonly number[], palette: Palette, isSwitch: boolean): string[] {
  switch (line.kind) {
    case 'access':
      return row(cpus, String(line.step), line.cpu, accessText(line, palette, isSwitch))
    case 'operation':
      return row(cpus, '', line.cpu, palette.strong(`▸ ${line.text}`))
    case 'event':
      return row(cpus, '', line.cpu, palette.strong(`! ${line.text}`))
    case 'decisive':
      return row(cpus, '', line.cpu, palette.bad('◆ decisive switch'))
    case 'folded':
      return row(
        cpus,
        '',
        line.cpu,
        palette.dim(`… ${line.count} steps${line.where === '' ? '' : `, last in ${line.where}`}`),
      )
  }
}

function accessText(line: AccessRow, palette: Palette, isSwitch: boolean): string {
  const { before, after, stack } = line
  const value =
    before === null ? '' : before === after ? ` = ${before}` : `: ${before} → ${palette.changed(after ?? '')}`
  const place = stack.length === 0 ? '' : `\n${palette.dim(`  ${stack.slice(0, isSwitch ? 3 : 2).join(' < ')}`)}`
  return `${line.access} ${palette.name(line.name)}${value}${place}`
}

// ---- folding ------------------------------------------------------------------------------------------------------

/** Folds runs of two and more accesses on one CPU to words of its own. Exported for tests. */
export function fold(rows: readonly (Row | DecisiveLine)[]): Line[] {
  const shared = sharedWords(rows)
  const lines: Line[] = []
  let run: AccessRow[] = []
  const flush = (): void => {
    const last = run.at(-1)
    if (run.length < 2) lines.push(...run)
    else if (last !== undefined)
      lines.push({ kind: 'folded', cpu: last.cpu, count: run.length, where: last.stack[0] ?? '' })
    run = []
  }
  rows.forEach((row, i) => {
    const folds = row.kind === 'access' && !shared.has(row.addr >>> 3) && i < rows.length - TAIL
    if (!folds || (run.length > 0 && run[0]?.cpu !== row.cpu)) flush()
    if (folds) run.push(row)
    else lines.push(row)
  })
  flush()
  return lines
}

const RCU_WORD = /^rcu(Cpu)?\b/

/** 64-bit words that several CPUs access, one of them changing it: those of RCU's own say little and do not count. */
export function sharedWords(rows: readonly (Row | DecisiveLine)[]): Set<number> {
  const seen = new Map<number, { cpus: number; changed: boolean }>()
  for (const row of rows) {
    if (row.kind !== 'access' || RCU_WORD.test(row.name)) continue
    const word = seen.get(row.addr >>> 3) ?? { cpus: 0, changed: false }
    word.cpus |= 1 << row.cpu
    word.changed ||= row.before !== row.after
    seen.set(row.addr >>> 3, word)
  }
  return new Set(
    [...seen].filter(([, { cpus, changed }]) => changed && (cpus & (cpus - 1)) !== 0).map(([word]) => word),
  )
}
