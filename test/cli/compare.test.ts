import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { document, racewalk, racewalkProcess } from './command.js'

interface Compared {
  command: string
  what: string
  seed: number
  executions: number
  interrupted: boolean
  variants: {
    id: string
    fragments: number
    verdict: string
    scenarios: { scenario: string; verdict: string; executions: number; title: string | null; token: string | null }[]
    churn: { tables: number; pagesPerTable: number; idleParts: number; idleFor: number; callRcu: number } | null
    allocFreeNs: number
  }[]
}

describe('racewalk compare table-freeing', async () => {
  // One run, as a process, with the document and the page.
  const folder = mkdtempSync(join(tmpdir(), 'racewalk-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'compare.html')
  const compared = document(
    racewalkProcess('compare', 'table-freeing', '--executions', '200', '--html', file, '--json'),
  ) as unknown as Compared
  const variant = (id: string) => compared.variants.find((v) => v.id === id) as Compared['variants'][number]

  it('puts every design through the same scenarios', async () => {
    const { designs } = document(await racewalk('list', '--json')) as unknown as { designs: { id: string }[] }
    expect(compared.variants.map(({ id }) => id)).toEqual(designs.map(({ id }) => id))
    const names = compared.variants.map(({ scenarios }) =>
      scenarios.map(({ scenario }) => scenario.split('@')[0]).join(),
    )
    expect(new Set(names).size).toBe(1)
    expect(compared).toMatchObject({ command: 'compare', seed: 1, executions: 200, interrupted: false })
  })

  it('lets what was merged survive, and not the first drafts', () => {
    for (const id of ['one-page', 's390-active', 's390-pphhaa-global', 's390-pphhaa-on-list', 'powerpc-fragments'])
      expect(variant(id).verdict, id).toBe('survives')
    for (const id of ['s390-shared-head', 's390-list-node']) expect(variant(id).verdict, id).toBe('fails')
  })

  it('gives a token for each failure, which replays to it', async () => {
    const failed = variant('s390-shared-head').scenarios.find(({ verdict }) => verdict === 'fails')
    const { code, out } = await racewalk('replay', failed?.token ?? '', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      scenario: failed?.scenario,
      exact: true,
      findings: [{ title: expect.stringContaining(failed?.title ?? 'nothing') as unknown }],
    })
  })

  it('answers what it costs not to hand parts out again: pages, and parts that lie idle', () => {
    const cost = (id: string) => variant(id).churn ?? { pagesPerTable: NaN, idleParts: NaN, idleFor: NaN }
    expect(cost('one-page').pagesPerTable).toBeGreaterThanOrEqual(1)
    expect(cost('s390-active').pagesPerTable).toBeGreaterThan(cost('s390-pphhaa-global').pagesPerTable)
    expect(cost('s390-active').idleFor).toBeGreaterThan(cost('s390-pphhaa-global').idleFor)
    expect(cost('powerpc-fragments').idleParts).toBeGreaterThan(cost('s390-active').idleParts)
    expect(variant('s390-shared-head').churn).toBeNull()
    for (const { allocFreeNs } of compared.variants) expect(allocFreeNs).toBeGreaterThan(0)
  })

  it('writes the same as a page that needs nothing else', () => {
    const page = readFileSync(file, 'utf8')
    for (const { id } of compared.variants) expect(page).toContain(`<th>${id}</th>`)
    expect(page).toMatch(/class="fails" title="BUG: [^"]*">fails in execution 1</)
    expect(page).toMatch(/<code>npx racewalk replay rw2-[\w-]+<\/code>/)
    expect(page).not.toMatch(/<script|https?:/)
  })

  it('says at once that a page cannot be written', async () => {
    const { code, err } = await racewalk('compare', 'table-freeing', '--html', '/no/such/folder/page.html')
    expect([code, err]).toEqual([2, expect.stringContaining('/no/such/folder/page.html')])
  })

  it('says what can be compared when asked for something else', async () => {
    const { code, err } = await racewalk('compare', 'schedulers')
    expect([code, err]).toEqual([2, expect.stringContaining('table-freeing')])
  })
})

describe('SCENARIO@DESIGN', () => {
  it('runs a scenario with a design of page tables', async () => {
    const { code, out } = await racewalk('explore', 'retract-vs-gup@powerpc-fragments', '--executions', '200', '--json')
    expect([code, (JSON.parse(out) as { scenario: string }).scenario]).toEqual([0, 'retract-vs-gup@powerpc-fragments'])
    expect((await racewalk('stress', 'gup-vs-munmap@s390-active', '--duration', '200ms')).code).toBe(0)
  })

  it('names the designs there are when there is none of that name', async () => {
    const { code, err } = await racewalk('explore', 'retract-vs-gup@power', '--executions', '1')
    expect(code).toBe(2)
    expect(err).toMatch(/no architecture or design of page tables 'power'.*powerpc-fragments/s)
  })
})
