import { describe, expect, it } from 'vitest'
import { explain } from '../../dist/src/report/explain.js'
import { findingDocument } from '../../dist/src/report/json.js'
import { paletteFor } from '../../dist/src/report/palette.js'
import { pageData } from '../../dist/src/report/playerHtml.js'
import { interleavingTable } from '../../dist/src/report/table.js'
import { findingText } from '../../dist/src/report/text.js'
import { traceDocument } from '../../dist/src/report/traceEvents.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { found } from './execution.js'

// khugepaged clears a PMD entry between the two looks of gup_fast. CPU 1 has to be left before it has taken its
// reference, CPU 0 to go on from there: nothing else can make it fail, so the turn decides, whatever is drawn (always
// the same).
const execution = found('gup-vs-collapse', 'gup-collapse-pmd', { wanted: 'gup-identity' })
const { explanation } = execution
const { rows, machine, finding, decisive } = explanation
const palette = paletteFor(false)
const looks = { palette, width: 120, full: false }

describe('the decisive switch', () => {
  it('is the one that lets the other CPU into the window', () => {
    expect(decisive).toMatchObject({ cpu: 0, operation: expect.stringMatching(/^collapse/) as string, runs: 50 })
    expect(decisive?.before).toBeLessThan(0.1)
    expect(decisive?.after).toBeGreaterThan(0.5)
    const at = rows.findIndex((row) => row.kind === 'access' && row.step === decisive?.step)
    expect(rows[at]?.cpu).toBe(0)
    expect(rows.slice(0, at).findLast((row) => row.kind === 'access')?.cpu).toBe(1)
  })

  it('is the same when it is looked for again, and changes nothing of the execution', () => {
    const again = explain(decodeToken(execution.token), execution.scenario, execution.bug)
    expect(again.decisive).toEqual(decisive)
    expect(again.rows).toEqual(rows)
  })

  it('is marked in the table before its turn, in the column of its CPU, and explained below', () => {
    if (finding === null) throw new Error('nothing found')
    const text = findingText(finding, { ...explanation, ...looks, token: null })
    const lines = text.split('\n')
    const marked = lines.findIndex((line) => line.includes('◆ decisive switch'))
    const column = (lines.find((line) => line.startsWith(' step')) ?? '').indexOf('CPU 0')
    expect(lines[marked]?.indexOf('◆')).toBe(column)
    expect(lines.slice(marked).findIndex((line) => line.startsWith(` ${decisive?.step} `))).toBeGreaterThan(0)
    expect(text).toContain(`◆ the decisive switch, to CPU 0 at step ${decisive?.step}: of 50 random continuations, `)
    expect(text).toMatch(/^ {2}smaller {2}2 of 3 operations on 2 of 2 CPUs$/m)
  })

  it('is in the JSON, at its step in the trace, and in the page', () => {
    if (finding === null) throw new Error('nothing found')
    expect(findingDocument(finding, machine, null, [], explanation).decisive).toEqual(decisive)
    const { traceEvents } = traceDocument({ rows, cpus: 2, finding, decisive, subject: '', command: '' })
    expect(traceEvents.filter(({ name }) => name === 'decisive switch')).toMatchObject([
      { ph: 'i', tid: 0, ts: decisive?.step },
    ])
    const page = pageData(execution)
    expect(page.decisive).toBe(decisive?.step)
    expect(page.steps[(page.decisive ?? 0) - 1]?.cpu).toBe(0)
    expect(page.subject).toMatch(/2 CPUs, 2 of 3 operations on 2 of 2 CPUs$/)
  })

  it('is none where one CPU does it alone', () => {
    const { explanation: alone } = found('fault-vs-split', 'csp-no-purge')
    expect(alone.decisive).toBeNull()
    expect(new Set(alone.rows.map(({ cpu }) => cpu))).toEqual(new Set([0]))
    const table = interleavingTable(alone.rows, { ...looks, cpus: 2, end: null })
    expect(table).not.toMatch(/decisive|CPU 1/)
    expect(table).toContain('CPU 0')
  })
})
