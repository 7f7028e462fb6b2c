import { describe, expect, it } from 'vitest'
import { bugs } from '../../dist/src/bug/index.js'
import { explore } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { describeAddress } from '../../dist/src/report/address.js'
import { explain } from '../../dist/src/report/explain.js'
import { partNames } from '../../dist/src/report/names.js'
import { paletteFor } from '../../dist/src/report/palette.js'
import { fold, interleavingTable } from '../../dist/src/report/table.js'
import { findingText } from '../../dist/src/report/text.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import type { AccessRow } from '../../dist/src/report/steps.js'

const palette = paletteFor(false)
const scenario = scenarioById('fault-vs-split')
const bug = bugs.find(({ id }) => id === 'pmdp-inval-addr') ?? null

const access = (step: number, cpu: number, addr: number, after = 'a'): AccessRow => ({
  kind: 'access',
  cpu,
  step,
  access: 'readOnce32',
  addr,
  name: `w${addr}`,
  before: 'a',
  after,
  stack: ['f'],
  interrupt: false,
})

describe('an explanation', () => {
  const found = explore({ scenario, bug, seed: 2, executions: 5000 }).finding
  if (found === null) throw new Error('seed 2 finds nothing in 5000 executions')
  const explanation = explain(decodeToken(found.token), scenario, bug)
  const accesses = explanation.rows.filter((row): row is AccessRow => row.kind === 'access')

  it('has a row for each access, in order', () => {
    expect(accesses.map(({ step }) => step)).toEqual(accesses.map((_, i) => i + 1))
    expect(accesses).toHaveLength(explanation.steps)
  })

  it('names kernel functions of CPUs that were left and resumed', () => {
    const resumed = accesses.filter((row, i) => i > 0 && accesses[i - 1]?.cpu !== row.cpu)
    expect(resumed.length).toBeGreaterThan(2)
    // An interrupt handler begins in machine/, which is no kernel function; everything else has one.
    expect(resumed.filter(({ stack }) => stack.length > 0).length).toBeGreaterThan(resumed.length / 2)
  })

  it('shows page-table entries as what they say', () => {
    const values = accesses
      .filter(({ name }) => /^mm0\.(pmd|pte)/.test(name))
      .flatMap(({ before, after }) => [before, after])
    expect(values.length).toBeGreaterThan(0)
    for (const value of values) expect(value).toMatch(/^(none|table 0x|page 0x|huge 0x|migration 0x)/)
  })

  it('sees a value change only where the access is a store', () => {
    const changed = accesses.filter(({ before, after }) => before !== after)
    expect(changed.length).toBeGreaterThan(0)
    expect(changed.filter(({ access: name }) => /^(readOnce|loadAcquire|plainRead)/.test(name))).toEqual([])
  })

  it('becomes a report that ends in the replay command', () => {
    const { finding, machine, rows, history } = explanation
    if (finding === null) throw new Error('the replay found nothing')
    const text = findingText(finding, { machine, rows, history, palette, width: 120, full: false, token: found.token })
    expect(text.split('\n')[0]).toBe(finding.title)
    expect(text).toContain(`oracle   ${finding.oracle}`)
    expect(text).toMatch(/^ {2}rule {5}One address is never cached in two sizes[^]*mm\/huge_memory\.c/m)
    expect(text).toMatch(/what became of it[^]*mm0\.pmd\[0\] of 0x10000 +huge 0x\w+ rw dirty → huge [^]*→ table 0x/)
    expect(text.endsWith(`npx racewalk replay ${found.token}`)).toBe(true)
  })

  it('names words of the image by their use', () => {
    const { machine } = explanation
    const { memmap } = machine
    expect(describeAddress(machine, memmap.page(3) + 4)).toBe('page[0x3].refcount')
    expect(describeAddress(machine, machine.layout.base('mm') + 192)).toBe('mm[0].tlbFlushPending')
    expect(describeAddress(machine, machine.layout.base('word') + 64)).toBe('word 1')
    expect(describeAddress(machine, memmap.frame(0))).toMatch(/^frame 0x0 \(/)
  })
})

describe('the table of an interleaving', () => {
  it('keeps steps on words that several CPUs use and one changes, and folds the others', () => {
    const own = Array.from({ length: 20 }, (_, i) => access(i + 1, 0, 800 + i * 8))
    const rows = [
      ...own,
      access(21, 0, 8, 'b'),
      access(22, 1, 8),
      ...Array.from({ length: 6 }, (_, i) => access(23 + i, 1, 16)),
    ]
    expect(
      fold(rows).map((line) => (line.kind === 'folded' ? `fold ${line.count}` : 'step' in line ? line.step : '')),
    ).toEqual(['fold 20', 21, 22, 23, 24, 25, 26, 27, 28])
  })

  it('never folds steps of two CPUs into one line', () => {
    const rows = [
      access(1, 0, 8),
      access(2, 0, 8),
      access(3, 1, 16),
      access(4, 1, 16),
      ...Array.from({ length: 6 }, (_, i) => access(5 + i, 1, 24)),
    ]
    expect(fold(rows).slice(0, 2)).toMatchObject([
      { kind: 'folded', cpu: 0, count: 2 },
      { kind: 'folded', cpu: 1, count: 2 },
    ])
  })

  it('puts each step in the column of its CPU', () => {
    const text = interleavingTable([access(1, 0, 8, 'b'), access(2, 1, 8)], {
      cpus: 2,
      width: 100,
      full: true,
      palette,
      end: { cpu: 1, text: 'BUG' },
    })
    const lines = text.split('\n')
    const second = (lines[0] ?? '').indexOf('CPU 1')
    expect(lines.find((line) => line.startsWith(' 1 '))?.indexOf('readOnce32')).toBeLessThan(second)
    expect(lines.find((line) => line.startsWith(' 2 '))?.indexOf('readOnce32')).toBe(second)
    expect(lines.find((line) => line.includes('✗'))?.indexOf('✗')).toBe(second)
  })
})

describe('the name of a kernel function', () => {
  const names = partNames(bug)

  it('is that of the bug where the bug replaces the method', () => {
    expect(names('FillsThenInvalidates.splitPresentPmd')).toBe('FillsThenInvalidates.splitPresentPmd')
  })

  it("is mainline's where the method is mainline's", () => {
    expect(names('FillsThenInvalidates.publishTable')).toBe('SplitHugePmd.publishTable')
    expect(names('GupFast.gupFastPteRange')).toBe('GupFast.gupFastPteRange')
  })
})
