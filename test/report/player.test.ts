import { parse } from 'acorn'
import { describe, expect, it } from 'vitest'
import { hitAfter, hitBefore, search, searchTexts } from '../../dist/src/report/player/search.js'
import { States } from '../../dist/src/report/player/states.js'
import { nextSwitch, previousSwitch, stretches } from '../../dist/src/report/player/turns.js'
import type { PageData, PageStep } from '../../dist/src/report/player/data.js'
import { pageData, playerHtml } from '../../dist/src/report/playerHtml.js'
import type { AccessRow } from '../../dist/src/report/steps.js'
import { again, byDefault } from './execution.js'

const split = byDefault('gup-vs-split', 'pmdp-inval-addr')
const data = pageData(split)

const EVIL = '</script><script>window.taken = true</script><!-- \u2028 & "'

/** The JSON inside a page. */
function dataIn(html: string): PageData {
  const text = /<script type="application\/json" id="data">([^<]*)<\/script>/.exec(html)?.[1]
  return JSON.parse(text ?? '') as PageData
}

describe('the page of a step player', () => {
  const html = playerHtml(split)

  it('is the same bytes for the same token', () => {
    expect(playerHtml(again(split))).toBe(html)
  })

  it('loads nothing: no link, no source, no address of the network', () => {
    expect(html).not.toMatch(/<(link|img|iframe)\b|\bsrc=|@import|url\(|fetch\(|import\(/i)
    const addresses = html.match(/https?:\/\/[^\s"'<>]+/g) ?? []
    expect(addresses).toEqual(['http://www.w3.org/2000/svg'])
  })

  it('has scripts that a browser can read, without imports', () => {
    const script = /<script>\n([^]*)<\/script>/.exec(html)?.[1] ?? ''
    expect(() => parse(script, { ecmaVersion: 2023, sourceType: 'script' })).not.toThrow()
  })

  it('has every step, with its functions and what it changed', () => {
    const { rows, history } = split.explanation
    const accesses = rows.filter((row): row is AccessRow => row.kind === 'access')
    const page = dataIn(html)
    expect(page.steps.map(({ cpu, access, word, before, after }) => [cpu, access, word, before, after])).toEqual(
      accesses.map(({ cpu, access, name, before, after }) => [cpu, access, name, before, after]),
    )
    expect(page.steps.map(({ stack }) => page.stacks[stack])).toEqual(accesses.map(({ stack }) => stack))
    expect(page.changes).toEqual(history.changes)
    expect(page.steps.flatMap(({ began }) => began)).toEqual(['splitFolio 0x10000', 'gup 0x10000 pages 2', 'interrupt'])
  })

  it('says what was found, which rule it breaks, and how to replay it', () => {
    const page = dataIn(html)
    expect(page.finding?.title).toBe(split.explanation.finding?.title)
    expect(page.finding?.rule?.source).toContain('mm/huge_memory.c')
    expect(page.command).toBe(`npx racewalk replay ${split.token}`)
    expect(page.subject).toBe('gup-vs-split, bug pmdp-inval-addr, x86-64, 2 CPUs')
  })

  it('keeps text of the data from becoming markup', () => {
    const evil = playerHtml({ ...split, scenario: { ...split.scenario, summary: EVIL, id: EVIL } })
    expect(dataIn(evil).summary).toContain(EVIL)
    expect(evil.match(/<script/g)).toHaveLength(2)
    expect(evil.match(/<\/script/g)).toHaveLength(2)
    const { finding } = split.explanation
    if (finding === null) throw new Error('no finding')
    const titled = playerHtml({ ...split, explanation: { ...split.explanation, finding: { ...finding, title: EVIL } } })
    expect(/<title>([^]*?)<\/title>/.exec(titled)?.[1]).not.toMatch(/[<>]/)
  })

  it('shows an execution in which nothing was found', () => {
    const page = dataIn(playerHtml({ ...split, explanation: { ...split.explanation, finding: null } }))
    expect(page.finding).toBeNull()
    expect(page.steps).toHaveLength(data.steps.length)
  })
})

describe('the state at a step', () => {
  const states = new States({
    start: ['a', null],
    changes: [
      [{ item: 0, text: 'b' }],
      [],
      [
        { item: 0, text: null },
        { item: 1, text: 'x' },
      ],
      [{ item: 1, text: 'y' }],
    ],
  })

  it('is that of the last change up to it', () => {
    expect([0, 1, 2, 3, 4].map((step) => states.text(0, step))).toEqual(['a', 'b', 'b', null, null])
    expect([0, 1, 2, 3, 4].map((step) => states.text(1, step))).toEqual([null, null, null, 'x', 'y'])
  })

  it('knows when that was, and what was there before', () => {
    expect([0, 2, 3, 4].map((step) => states.changedAt(0, step))).toEqual([0, 1, 3, 3])
    expect(states.before(1, 4)).toBe('x')
    expect(states.before(0, 0)).toBeNull()
  })

  it('is the same step by step and at once', () => {
    const all = new States(data)
    const now = [...data.start]
    data.changes.forEach((list, i) => {
      for (const { item, text } of list) now[item] = text
      expect(now.map((_, item) => all.text(item, i + 1))).toEqual(now)
    })
  })
})

describe('a search', () => {
  const texts = searchTexts(data)

  it('finds steps by CPU, word, function and what they changed, all words of it', () => {
    const steps = (query: string): readonly PageStep[] => search(texts, query).map((n) => data.steps[n - 1] as PageStep)
    expect(steps('PMD[0]').length).toBeGreaterThan(3)
    expect(steps('pmd[0] cpu 1').every(({ cpu }) => cpu === 1)).toBe(true)
    expect(steps('publishTable').length).toBeGreaterThan(0)
    expect(search(texts, 'page[0xc] refcount').length).toBeGreaterThan(0)
    expect(steps('no such thing')).toEqual([])
    expect(steps('  ')).toEqual([])
  })

  it('goes round at the ends', () => {
    expect([0, 3, 5, 9].map((step) => hitAfter([3, 5], step))).toEqual([3, 5, 3, 3])
    expect([0, 3, 5, 9].map((step) => hitBefore([3, 5], step))).toEqual([5, 5, 3, 5])
    expect([hitAfter([], 1), hitBefore([], 1)]).toEqual([0, 0])
  })
})

describe('the schedule', () => {
  const steps = [0, 0, 1, 1, 0].map((cpu) => ({ ...(data.steps[0] as PageStep), cpu, interrupt: false }))

  it('is in stretches of one CPU', () => {
    expect(stretches(steps).map(({ cpu, from, to }) => [cpu, from, to])).toEqual([
      [0, 1, 2],
      [1, 3, 4],
      [0, 5, 5],
    ])
  })

  it('switches where another CPU makes the step than the one before', () => {
    expect([0, 2, 3, 5].map((step) => nextSwitch(steps, step))).toEqual([3, 3, 5, 5])
    expect([0, 2, 3, 4, 5].map((step) => previousSwitch(steps, step))).toEqual([0, 0, 0, 3, 3])
  })
})
