/** The probability of failure over the steps of an execution, drawn in text. */
import { share, type Curve, type CurvePoint } from '../explore/insight/curve.js'
import type { Row } from './steps.js'

const HEIGHT = 6
/** A jump of less is told from chance by more runs only. */
const DECIDES = 0.2
/** A column of a row, filled from below by eighths. */
const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
const LABELS: Readonly<Record<number, string>> = { 0: '100 %', [HEIGHT / 2]: ' 50 %', [HEIGHT - 1]: '  0 %' }

/** `rows`: the steps of the execution, for naming the decisive one. */
export function curveText(curve: Curve, rows: readonly Row[]): string {
  const { points, decisive } = curve
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return 'no probability of failure: it was stopped before the first run'
  const lines = [
    `probability of failure when it goes on at random after some of its steps (${first.runs} runs each):`,
    '',
  ]
  for (let row = 0; row < HEIGHT; row++)
    lines.push(`${(LABELS[row] ?? '').padStart(7)} │${points.map((point) => cell(point, HEIGHT - 1 - row)).join('')}`)
  const ruler = `step ${first.step}`
  lines.push(`${''.padStart(7)} └${'─'.repeat(points.length)}`)
  lines.push(`${''.padStart(9)}${ruler}${String(last.step).padStart(Math.max(1, points.length - ruler.length))}`)
  if (decisive !== null) lines.push('', decisiveText(decisive, rows))
  return lines.join('\n')
}

/** What of the column of `point` is in row `row`, counted from below. */
function cell(point: CurvePoint, row: number): string {
  const eighths = Math.round(share(point) * HEIGHT * 8)
  return EIGHTHS[Math.max(0, Math.min(8, eighths - row * 8))] as string
}

function decisiveText({ before, after, cpu }: NonNullable<Curve['decisive']>, rows: readonly Row[]): string {
  const step = before.step + 1
  const row = rows.find((candidate) => candidate.kind === 'access' && candidate.step === step)
  const what = row?.kind === 'access' ? `, ${row.access} ${row.name}` : ''
  const where = row?.kind === 'access' && row.stack[0] !== undefined ? ` in ${row.stack[0]}` : ''
  const title = share(after) - share(before) < DECIDES ? 'no step decides alone; the largest jump' : 'decisive'
  return (
    `${title}: step ${step}, the turn of CPU ${cpu}${what}${where}:\n` +
    `  failures ${percent(before)} before it, ${percent(after)} after it`
  )
}

const percent = (point: CurvePoint): string => `${Math.round(share(point) * 100)} %`
