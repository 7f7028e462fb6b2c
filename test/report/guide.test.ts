import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { paletteFor } from '../../dist/src/report/palette.js'
import { Anchors, anchorOf } from '../../dist/src/report/guide/anchors.js'
import { readGuide } from '../../dist/src/report/guide/pages.js'
import { guideSite } from '../../dist/src/report/guide/site.js'
import { terminalText } from '../../dist/src/report/guide/terminalText.js'
import { GUIDE, guidePages, nameOf } from '../documents.js'

const guide = readGuide(GUIDE)
const plain = paletteFor(false)
const colours = paletteFor(true)
const shown = (markdown: string, width = 40): string => terminalText(markdown, { width, palette: plain })

const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/

describe('a page in a terminal', () => {
  it('is wrapped at the width, a word with its punctuation', () => {
    expect(shown('# A title\n\nOne, `two words`, **three** and _four_ ([five](six.md)).\n', 25)).toBe(
      'A title\n\n  One, `two words`, three\n  and four (five\n  (racewalk guide six)).\n',
    )
  })

  it('has no text that its Markdown lacks, and no control characters without colours', () => {
    for (const { id, markdown } of guide.pages) {
      expect(shown(markdown, 100), id).not.toMatch(CONTROL)
      const words = (text: string): string => text.replaceAll(/[^\p{L}\p{N}]/gu, '')
      const heading = /^## (.*)$/m.exec(markdown)?.[1] ?? ''
      expect(words(shown(markdown, 100)), id).toContain(words(heading))
    }
  })

  it('is the same text with colours', () => {
    const bare = (text: string): string => text.replaceAll(/\u001b\[\d+m/g, '')
    for (const { markdown } of guide.pages)
      expect(bare(terminalText(markdown, { width: 80, palette: colours }))).toBe(shown(markdown, 80))
    expect(terminalText('# A title\n', { width: 80, palette: colours })).not.toBe(shown('# A title\n', 80))
  })

  it.each([40, 80, 120])('fits into %d columns, but for code', (width) => {
    for (const { id, markdown } of guide.pages) {
      const prose = markdown.replace(/^```[^]*?^```$/gm, '').replaceAll(/`[^`]*`|\S{30,}/g, '`code`')
      const long = shown(prose, width)
        .split('\n')
        .filter((line) => [...line].length > width)
      expect(long, id).toEqual([])
    }
  })

  it('keeps code as it is', () => {
    expect(shown('```\na  b\n\n   c\n```\n', 20)).toBe('    a  b\n\n       c\n')
  })

  it('has lists, whose items hang', () => {
    expect(shown('- one two three four\n- five\n\n1. six\n2. seven\n', 18)).toBe(
      '  - one two three\n    four\n  - five\n\n  1. six\n  2. seven\n',
    )
  })

  it('has tables as columns, and as records where columns do not fit', () => {
    const table = '| name | meaning |\n| --- | --- |\n| one | the first of all |\n'
    expect(shown(table, 24)).toBe('  name  meaning\n  ────  ────────────────\n  one   the first of all\n')
    expect(shown(table, 20)).toBe('  name  meaning\n  ────  ────────────\n  one   the first of\n        all\n')
    const wide = '| first | second | third |\n| --- | --- | --- |\n| abcdefghij | bcdefghijk | c |\n'
    expect(shown(wide, 24)).toBe('  abcdefghij\n    second: bcdefghijk\n    third: c\n')
  })
})

describe('an anchor', () => {
  it('is the one that GitHub makes', () => {
    expect(anchorOf('What is modelled, what is checked, and what is not?')).toBe(
      'what-is-modelled-what-is-checked-and-what-is-not',
    )
    expect(anchorOf('1. Choose a scenario')).toBe('1-choose-a-scenario')
    expect(anchorOf('racewalk guide [PAGE]')).toBe('racewalk-guide-page')
  })

  it('gets a number when its heading comes again', () => {
    const anchors = new Anchors()
    expect(['A', 'B', 'A'].map((heading) => anchors.next(heading))).toEqual(['a', 'b', 'a-1'])
  })
})

describe('the site', () => {
  const site = guideSite(guide)
  const page = (name: string): string => site.find((file) => file.name === name)?.html ?? ''

  it('has each page, and an index first', () => {
    expect(site[0]?.name).toBe('index.html')
    expect(site.map(({ name }) => name.replace('.html', '')).sort()).toEqual(
      ['index', ...guidePages.map(nameOf)].sort(),
    )
  })

  it('needs no script, no network and no other file', () => {
    for (const { name, html } of site) {
      expect(html, name).toContain(`default-src 'none'; style-src 'unsafe-inline'`)
      expect(html, name).not.toMatch(/<script|<link|<img|<iframe|\bsrc=|@import|\son\w+=/i)
      expect(html, name).not.toMatch(/: url\(/)
    }
  })

  it('has links that lead to a page and an element of it', () => {
    const dead = site.flatMap(({ name, html }) =>
      [...html.matchAll(/href="([^"]+)"/g)]
        .map(([, href = '']) => href)
        .filter((href) => !href.startsWith('https://'))
        .filter((href) => {
          const [file = '', anchor] = href.split('#')
          const other = page(file === '' ? name : file)
          return other === '' || (anchor !== undefined && !other.includes(`id="${anchor}"`))
        })
        .map((href) => `${name}: ${href}`),
    )
    expect(dead).toEqual([])
  })

  it('fits a phone and a dark room', () => {
    for (const { html } of site) {
      expect(html).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">')
      expect(html).toContain('@media (prefers-color-scheme: dark)')
    }
  })

  it('escapes code', () => {
    const markdown = '# Q?\n\n`a<b>` and\n\n```\n<i> & "x"\n```\n'
    const [, one] = guideSite({ index: guide.index, pages: [{ id: 'one', question: 'Q?', markdown }] })
    expect(one?.html).toContain('<code>a&lt;b&gt;</code>')
    expect(one?.html).toContain('<pre tabindex="0"><code>&lt;i&gt; &amp; &quot;x&quot;</code></pre>')
  })
})

it('the guide is read in the order of its index', () => {
  expect(guide.pages[0]?.id).toBe('first-race')
  expect(readGuide(join(GUIDE)).pages.map(({ id }) => id)).toEqual(
    [...guide.index.markdown.matchAll(/\(([\w-]+)\.md\)/g)].map(([, id]) => id),
  )
})
