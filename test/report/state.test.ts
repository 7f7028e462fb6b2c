import { describe, expect, it } from 'vitest'
import { replay } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { paletteFor } from '../../dist/src/report/palette.js'
import { findingText } from '../../dist/src/report/text.js'
import { whatChanged } from '../../dist/src/report/changed.js'
import { stateDocument } from '../../dist/src/report/state/document.js'
import { States } from '../../dist/src/report/player/states.js'
import type { AccessRow } from '../../dist/src/report/steps.js'
import { again, byDefault, found } from './execution.js'

const split = byDefault('gup-vs-split', 'pmdp-inval-addr')
const { rows, history, finding, machine } = split.explanation
const accesses = rows.filter((row): row is AccessRow => row.kind === 'access')
const states = new States(history)
const itemOf = (panel: string, group: string, name: string): number =>
  history.items.findIndex((item) => item.panel === panel && item.group === group && item.name === name)

describe('the recorded state', () => {
  it('has a list of changes for each step', () => {
    expect(history.changes).toHaveLength(accesses.length)
    expect(history.start).toHaveLength(history.items.length)
  })

  it('is the same each time', () => {
    expect(stateDocument(again(split).explanation.history)).toEqual(stateDocument(history))
  })

  it('costs the execution no step', () => {
    const bare = replay(decodeToken(split.token), split.scenario, split.bug)
    expect(bare.exact).toBe(true)
    expect(bare.session.engine.steps).toBe(accesses.length)
  })

  it('says of page-table entries what the steps say', () => {
    const entries = accesses.filter(({ name }) => /^mm0\.p/.test(name))
    expect(entries.length).toBeGreaterThan(5)
    for (const { step, name, before, after } of entries) {
      const item = itemOf('tables', 'mm0', name.slice('mm0.'.length))
      expect(states.text(item, step - 1) ?? 'none', `before step ${step}`).toBe(before)
      expect(states.text(item, step) ?? 'none', `after step ${step}`).toBe(after)
    }
  })

  it('says of reference counts what the steps say', () => {
    const counts = accesses.filter(({ name }) => /^page\[0x\w+\]\.refcount$/.test(name))
    expect(counts.length).toBeGreaterThan(0)
    for (const { step, name, after } of counts) {
      const item = itemOf('frames', /\[(.*)\]/.exec(name)?.[1] ?? '', 'refcount')
      expect(states.text(item, step), name).toBe(after)
    }
  })

  it('knows who holds a spinlock and who waits for it', () => {
    const lock = history.items.findIndex(({ panel, name }) => panel === 'locks' && /^page\[0x\w+\]\.ptl$/.test(name))
    const texts = accesses.map(({ step }) => states.text(lock, step)).filter((text) => text !== null)
    expect(texts).toContain('CPU 0')
    expect(texts.filter((text) => !/^(CPU \d|being released|nobody)(; CPU \d waits)?$/.test(text))).toEqual([])
  })

  it('shows an interrupt from its sending to its end', () => {
    const request = itemOf('ipis', 'requests', 'CPU 0 to CPU 1')
    const texts = history.changes.flat().flatMap(({ item, text }) => (item === request ? [text] : []))
    expect(texts.map((text) => text?.split(',')[0] ?? null)).toEqual(['being sent', 'sent', 'being handled', null])
  })

  it('has the operations of the CPUs with their arguments', () => {
    const operations = [0, 1].map((cpu) => itemOf('cpus', `CPU ${cpu}`, 'operation'))
    expect(operations.map((item) => states.text(item, 0))).toEqual(['not begun', 'not begun'])
    expect(operations.map((item) => states.text(item, accesses.length))).toEqual([
      'splitFolio 0x10000',
      'gup 0x10000 pages 2',
    ])
  })

  it('has grace periods, readers and callbacks of RCU', () => {
    const freed = found('retract-vs-munmap', 's390-2k-release', { shrink: false }).explanation.history
    const said = (name: string): string =>
      freed.changes
        .flat()
        .filter(({ item }) => freed.items[item]?.panel === 'rcu' && freed.items[item]?.name === name)
        .map(({ text }) => text)
        .join('\n')
    expect(said('state')).toMatch(/^\d runs, waits for CPU/m)
    expect(said('callbacks')).toMatch(/^page\[0x\w+\] queued$/m)
    expect(said('reader')).toContain('in rcu_read_lock()')
  })
})

describe('what became of it', () => {
  it('is the entry of the finding, from step to step, and the translation that stayed', () => {
    if (finding === null) throw new Error('no finding')
    const changed = whatChanged(finding, machine, history, rows)
    const entry = changed.find(({ what }) => what === 'mm0.pmd[0] of 0x10000')
    expect(entry?.before).toMatch(/^huge 0x/)
    expect(entry?.after.map(({ text }) => text)).toEqual([
      expect.stringMatching(/invalidated$/),
      expect.stringMatching(/^table 0x/),
    ])
    for (const { step, cpu } of entry?.after ?? []) expect(accesses[step - 1]?.cpu).toBe(cpu)
    const translation = changed.find(({ what }) => what === 'TLB of CPU 0: 0x10000 of mm0 (4 pages)')
    expect(translation).toMatchObject({ before: expect.stringMatching(/^huge 0x/), after: [] })
  })

  it('is in the report, with what stayed marked so', () => {
    if (finding === null) throw new Error('no finding')
    const options = { machine, rows, history, palette: paletteFor(false), width: 120, full: false, token: null }
    const text = findingText(finding, options)
    expect(text).toMatch(/^ {2}TLB of CPU 0: 0x10000 of mm0 \(4 pages\) +huge 0x\w+ rw dirty \(unchanged\)$/m)
    expect(text).toMatch(/^ {2}page\[0xc\] flags +uptodate .* \+locked \(\d+, CPU 0\) \+dirty \(\d+, CPU 0\)$/m)
  })

  it('leaves out frames that have nothing to do with it', () => {
    if (finding === null) throw new Error('no finding')
    const pages = whatChanged(finding, machine, history, rows).filter(({ what }) => what.startsWith('page['))
    expect(new Set(pages.map(({ what }) => what.split(' ')[0]))).toEqual(new Set(['page[0xc]']))
  })
})
