import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

// A comment on a barrier says which access comes before which, what breaks otherwise, and with which access of another
// CPU it pairs. "Pairs with" names the function where that access is, and the function exists.

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const SOURCES = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

const COMMENT = /\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+|\/\/.*/gm
const DEFINED =
  /(?:\bfunction\*?\s+|^\s*(?:(?:protected|private|static|override|async|get|set)\s+)*\*?)(#?\w+)\s*(?:<[^>]*>)?\(/gm
/** A sentence, whose only full stops are inside of names (Rcu.sleepUntil). */
const PAIRS = /\bpairs\s+with\b(?:[^.]|\.(?=\w))*/gi

interface Pairing {
  readonly file: string
  readonly text: string
  readonly functions: readonly string[]
}

const codes = new Map(SOURCES.map((path) => [path, readFileSync(join(SRC, path), 'utf8')]))
const defined = new Set(
  [...codes.values()].flatMap((code) => [...code.replace(COMMENT, '').matchAll(DEFINED)].map(([, name]) => name)),
)
const pairings = [...codes].flatMap(([file, code]) =>
  [...code.matchAll(COMMENT)].flatMap(([comment]) => pairingsOf(file, comment)),
)

function pairingsOf(file: string, comment: string): Pairing[] {
  const text = comment.replace(/\s*\n\s*(?:\*|\/\/)\s?/g, ' ')
  return [...text.matchAll(PAIRS)].map(([sentence]) => {
    const functions = [...sentence.matchAll(/([\w.#]+)\(\)/g)].map(([, name = '']) => name.split('.').at(-1) as string)
    return { file, text: sentence, functions }
  })
}

describe('comments on barriers', () => {
  it('are found', () => {
    expect(pairings.length).toBeGreaterThan(60)
    expect(defined.has('rcuGpCleanup')).toBe(true)
    expect(pairingsOf('', '// Pairs with (A) in\n // Rcu.sleepUntil(). Else nothing.')[0]?.functions).toEqual([
      'sleepUntil',
    ])
  })

  it('name the function where the other access is, and it exists', () => {
    const lost = pairings.filter(
      ({ functions }) => functions.length === 0 || functions.some((name) => !defined.has(name)),
    )
    expect(lost.map(({ file, text }) => `${file}: ${text}`)).toEqual([])
  })
})
