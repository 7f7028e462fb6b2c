import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bugs } from '../../dist/src/bug/index.js'
import { ORACLES } from '../../dist/src/report/rules.js'

// RULES.md is what comments cite. Each label, number and version that src/ names is in it, and it has no other.

const SRC = fileURLToPath(new URL('../../src', import.meta.url))
const read = (path: string): string => readFileSync(join(SRC, path), 'utf8')
const SOURCES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
const RULES = read('mm/RULES.md')

const commentsOf = (code: string): string => [...code.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*/g)].join('\n')
const allOf = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((m) => m[1] as string)
const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort()

interface RuleEntry {
  readonly label: string
  readonly text: string
  readonly upstream: string
  readonly watched: string
  readonly broken: string
}

function ruleEntries(): RuleEntry[] {
  const entry =
    /^- \*\*([A-Z]\d+)\*\* ([\s\S]*?)\n  - upstream: ([\s\S]*?)\n  - watched by: ([\s\S]*?)\n  - broken by: ([\s\S]*?)(?=\n- |\n\n|$)/gm
  return [...RULES.matchAll(entry)].map((m) => {
    const [, label = '', text = '', upstream = '', watched = '', broken = ''] = m
    return { label, text, upstream, watched, broken }
  })
}

const section = (title: string): string => RULES.split(/^## /m).find((part) => part.startsWith(title)) as string

/** The cells of the rows of a table. */
const rowsOf = (text: string): string[][] =>
  allOf(text, /^(\|.*\|)$/gm)
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )

describe('the rules of mm/RULES.md', () => {
  const rules = ruleEntries()
  const labels = rules.map((rule) => rule.label)

  it('are those that comments cite, each once', () => {
    const series = new RegExp(
      `(?<![\\w-])([${sorted(labels.map((label) => label.charAt(0))).join('')}]\\d)(?![\\w-])`,
      'g',
    )
    const cited = SOURCES.flatMap((path) => allOf(commentsOf(read(path)), series))
    expect(labels.length).toBeGreaterThan(30)
    expect(labels).toHaveLength(
      allOf(RULES, /^- \*\*([A-Z]\d+)\*\*/gm).filter((label) => !label.startsWith('K')).length,
    )
    expect(sorted(labels)).toEqual(sorted(cited))
    expect(new Set(labels).size).toBe(labels.length)
  })

  it('are sentences with a place upstream, which is a function', () => {
    for (const { label, text, upstream } of rules) {
      expect(text, label).toMatch(/^[A-Z][\s\S]{30,}[.]$/)
      for (const name of upstream.split(',')) expect(name.trim(), label).toMatch(/^`\w+\(\)`$/)
    }
  })

  it('are watched by oracles and files that exist, and broken by bugs that exist', () => {
    for (const { label, watched, broken } of rules) {
      const names = allOf(watched, /`([^`]+)`/g)
      if (names.length === 0) expect(watched, label).toMatch(/^nothing: .{20,}/)
      for (const name of names) expect(ORACLES.includes(name) || existsSync(join(SRC, name)), name).toBe(true)
      const faults = allOf(broken, /`([^`]+)`/g)
      if (faults.length === 0) expect(broken, label).toBe('none here')
      for (const id of faults)
        expect(
          bugs.some((bug) => bug.id === id),
          `${label}: ${id}`,
        ).toBe(true)
    }
  })
})

describe('the upstream bugs of mm/RULES.md', () => {
  const entries = allOf(section('Upstream bugs'), /^- (\*\*[\s\S]*?)(?=\n- |\n*$(?![\s\S]))/gm).map((text) => ({
    numbers: allOf(text, /\*\*([A-Z]+-?\d+)\*\*/g),
    id: /`([\w-]+)`:/.exec(text)?.[1],
    text,
  }))

  it('are those that src/bug/ has or that comments cite', () => {
    const cited = SOURCES.flatMap((path) => allOf(read(path), /\b((?:BUG-|K)\d\d)\b/g))
    expect(sorted(entries.flatMap((entry) => entry.numbers))).toEqual(sorted(cited))
  })

  it('have the numbers and commits of the bugs that they name', () => {
    for (const bug of bugs) {
      const entry = entries.find(({ id }) => id === bug.id)
      const numbers = [bug.number, ...(bug.also ?? [])].filter((number) => /\d/.test(number))
      expect(entry?.numbers ?? [], bug.id).toEqual(numbers)
      const fixed = bug.upstream?.fixed
      if (entry !== undefined && fixed !== undefined && fixed !== 'unknown') expect(entry.text).toContain(fixed)
    }
    const named = entries.flatMap(({ id }) => id ?? [])
    expect(named.filter((id) => !bugs.some((bug) => bug.id === id))).toEqual([])
  })

  it('say what was wrong where src/bug/ does not', () => {
    for (const { id, text } of entries) if (id === undefined) expect(text).toMatch(/"\. [A-Z][\s\S]{40,}\.$/)
  })
})

describe('the versions of mm/RULES.md', () => {
  // What the kernel of today has; src/bug/ tells of the past, and so do the files that explore it.
  const kernel = SOURCES.filter((path) => /^(machine|sync|arch|mm|isa)\//.test(path))

  it('are those that files name, but for the one that all follow', () => {
    const named = kernel.flatMap((path) => allOf(commentsOf(read(path)), /\b(v\d\.\d+)\b/g).map((v) => `${path} ${v}`))
    const rows = rowsOf(section('Versions')).map(([file, version]) => `${file?.slice(1, -1)} ${version}`)
    expect(sorted(rows)).toEqual(sorted(named.filter((pair) => !pair.endsWith(' v6.12'))))
    expect(new Set(rows).size).toBe(rows.length)
  })

  it('come with the place of every file of mm/', () => {
    const named = rowsOf(section('Where upstream')).flatMap(([, here = '']) => allOf(here, /`([\w/]+\.ts)`/g))
    // Kernel and Part are no files of upstream's.
    const files = kernel.filter((path) => path.startsWith('mm/') && !/^mm\/(kernel|part)\.ts$/.test(path))
    expect(sorted(named)).toEqual(sorted(files.map((path) => path.slice('mm/'.length))))
  })
})
