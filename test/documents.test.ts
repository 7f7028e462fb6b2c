import { Command } from 'commander'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { bugs } from '../dist/src/bug/index.js'
import { STRATEGIES } from '../dist/src/explore/searches.js'
import { ARCHITECTURES } from '../dist/src/isa/index.js'
import { Anchors } from '../dist/src/report/guide/anchors.js'
import { scenarios } from '../dist/src/scenario/catalog/index.js'
import { GUIDE, ROOT, documents, guideIndex, guidePages, nameOf, readme, type Document } from './documents.js'

// The README and the guide against the program that they describe.

const README_BYTES_MAX = 8192
const LINE_MAX = 120

const withoutCode = (text: string): string => text.replace(/^```[^]*?^```$/gm, '')
const questionOf = ({ text }: Document): string => text.slice(2, text.indexOf('\n'))

describe('the documents', () => {
  it('begin with a README of at most 8 KB', () => {
    expect(Buffer.byteLength(readme.text)).toBeLessThanOrEqual(README_BYTES_MAX)
  })

  it.each(guidePages.map((page) => [nameOf(page), page] as const))('have a question in front: %s', (name, page) => {
    expect(page.text).toMatch(/^# .+\?\n/)
    expect(guideIndex.text).toContain(`- [${name}](${name}.md): ${questionOf(page)}\n`)
    expect(readme.text).toContain(`- [${questionOf(page)}](src/guide/${name}.md)\n`)
  })

  it('are of lines that fit, but for tables and code', () => {
    const long = documents.flatMap(({ path, text }) =>
      withoutCode(text)
        .split('\n')
        .filter((line) => line.length > LINE_MAX && !line.startsWith('|'))
        .map((line) => `${path}: ${line}`),
    )
    expect(long).toEqual([])
  })
})

// ---- links and paths -----------------------------------------------------------------------------------------------

const byFile = new Map(documents.map((document) => [join(ROOT, document.path), document]))

function anchorsOf({ text }: Document): string[] {
  const anchors = new Anchors()
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchors.next(heading))
}

describe('a link', () => {
  const links = documents.flatMap((document) =>
    [...withoutCode(document.text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ document, target })),
  )
  const local = links.filter(({ target }) => !target.startsWith('https://'))

  it('leads to a document and a heading of it', () => {
    expect(local.length).toBeGreaterThan(30)
    const dead = local.filter(({ document, target }) => {
      const [path = '', anchor] = target.split('#')
      const other = path === '' ? document : byFile.get(join(ROOT, dirname(document.path), path))
      return other === undefined || (anchor !== undefined && !anchorsOf(other).includes(anchor))
    })
    expect(dead.map(({ document, target }) => `${document.path}: ${target}`)).toEqual([])
  })

  it('of a page stays in the guide, which ships without the rest of the repository', () => {
    const leaving = local.filter(({ document, target }) => document !== readme && target.includes('/'))
    expect(leaving.map(({ document, target }) => `${document.path}: ${target}`)).toEqual([])
  })
})

describe('a path of the repository', () => {
  const paths = documents.flatMap(({ path, text }) =>
    [...text.matchAll(/\b(?:src|test|bench|workers|dist\/bench)\/[\w./-]*[\w/]/g)].map(([named]) => ({ path, named })),
  )

  it('exists', () => {
    expect(paths.length).toBeGreaterThan(10)
    const source = (named: string): string => named.replace(/^dist\/(.*)\.js$/, '$1.ts')
    const missing = paths.filter(({ named }) => !existsSync(join(ROOT, source(named))))
    expect(missing.map(({ path, named }) => `${path}: ${named}`)).toEqual([])
  })
})

// ---- commands ------------------------------------------------------------------------------------------------------

/** The commands as commander has them: each module of cli/ that adds one exports a function for it. */
async function commands(): Promise<ReadonlyMap<string, Command>> {
  const program = new Command()
  const folder = join(ROOT, 'dist/src/cli')
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'main.js')) {
    const exported = (await import(join(folder, file))) as Record<string, unknown>
    for (const [name, add] of Object.entries(exported))
      if (/^add[A-Z]/.test(name)) (add as (program: Command, done: () => void) => void)(program, () => {})
  }
  return new Map(program.commands.map((command) => [command.name(), command]))
}

const optionsOf = (command: Command): string[] => command.options.map(({ long }) => long ?? '')
const flagsIn = (text: string): string[] => text.match(/(?<![\w-])--[a-z][a-z-]*/g) ?? []

/** `racewalk …` in blocks and in code of the text, as words. */
const lines = documents.flatMap(({ path, text, blocks }) => {
  const inBlocks = blocks.flatMap(({ code }) => code.match(/^(?:\$ | {2})?npx racewalk .*$/gm) ?? [])
  const inText = [...withoutCode(text).matchAll(/`((?:npx )?racewalk [^`]+)`/g)].map(([, line = '']) => line)
  return [...inBlocks, ...inText].map((line) => ({
    path,
    words: line
      .replace(/^.*?racewalk /, '')
      .replace(/ {2,}#.*/, '')
      .split(' '),
  }))
})

describe('a command line', () => {
  let known: ReadonlyMap<string, Command>
  beforeAll(async () => void (known = await commands()))

  it('names a command and options that exist', () => {
    expect(lines.length).toBeGreaterThan(30)
    const wrong = lines.filter(({ words: [name = '', ...rest] }) => {
      if (name === 'COMMAND') return false
      const command = known.get(name)
      return command === undefined || flagsIn(rest.join(' ')).some((flag) => !optionsOf(command).includes(flag))
    })
    expect(wrong.map(({ path, words }) => `${path}: ${words.join(' ')}`)).toEqual([])
  })

  it('names scenarios and bugs of the catalogue, or files', () => {
    const scenarioIds = scenarios.map(({ id }) => id)
    const bugIds = bugs.flatMap(({ id, number, also = [] }) => [id, number, ...also])
    const isFree = (word: string): boolean =>
      /^[A-Z]+$/.test(word) || word.startsWith('./') || word.startsWith('SCENARIO')
    const wrong = lines.filter(({ words }) => {
      const [name = '', subject = 'SCENARIO'] = words
      const bug = words.includes('--bug') ? (words[words.indexOf('--bug') + 1] ?? '') : 'ID'
      const isSubject = ['stress', 'explore'].includes(name)
      return (
        (isSubject && !isFree(subject) && !scenarioIds.includes(subject.split('@')[0] ?? '')) ||
        (!isFree(bug) && !bugIds.includes(bug))
      )
    })
    expect(wrong.map(({ path, words }) => `${path}: ${words.join(' ')}`)).toEqual([])
  })

  it('of each kind has a section in the page of the commands, with all options and no others', () => {
    const page = guidePages.find((page) => nameOf(page) === 'commands')
    const sections = (page?.text ?? '').split(/^## /m).slice(1)
    const documented = sections.filter((section) => section.startsWith('racewalk '))
    expect(documented.map((section) => section.split(/\s/)[1]).sort()).toEqual([...known.keys()].sort())
    for (const section of documented) {
      const command = known.get(section.split(/\s/)[1] ?? '') as Command
      const listed = (section.match(/^- `--[^]*?(?=^- |^$|(?![^]))/gm) ?? []).map((item) => item.split(': ')[0] ?? '')
      expect(listed.flatMap(flagsIn).sort(), command.name()).toEqual(optionsOf(command).sort())
    }
  })
})

// ---- names ---------------------------------------------------------------------------------------------------------

describe('the page of the strategies', () => {
  const text = guidePages.find((page) => nameOf(page) === 'strategies')?.text ?? ''

  it('has each strategy', () => {
    const rows = [...text.matchAll(/^\| `(\w+)` +\| (?:sampled|systematic)/gm)].map(([, id]) => id)
    expect(rows).toEqual(STRATEGIES.map(({ id }) => id))
  })

  it('measures bugs of the catalogue in scenarios that show them', () => {
    const rows = [...text.matchAll(/^\| `([\w-]+)` +\| `([\w-]+)` /gm)].map(([, bug, scenario]) => ({ bug, scenario }))
    expect(rows.length).toBeGreaterThan(10)
    const wrong = rows.filter(({ bug, scenario }) => {
      return !bugs.find(({ id }) => id === bug)?.scenarios.some((shownBy) => shownBy.split('@')[0] === scenario)
    })
    expect(wrong).toEqual([])
  })
})

it('the page of the architectures has each of them', () => {
  const text = guidePages.find((page) => nameOf(page) === 'architectures')?.text ?? ''
  for (const { id } of ARCHITECTURES) expect(text).toContain(`\n- \`${id}\`: `)
})

it('the folder of the guide has pages and nothing else', () => {
  expect(readdirSync(GUIDE).filter((file) => !/^[\w-]+\.md$/.test(file))).toEqual([])
})
