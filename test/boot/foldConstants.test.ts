import { describe, expect, it } from 'vitest'
import { ConstantFolder } from '../../dist/src/boot/lower/foldConstants.js'

const MODULES: Readonly<Record<string, string>> = {
  '/page.js': `import { struct } from './struct.js'
export const PAGE = struct('page', 64, { flags: [0, 4], refcount: [4, 4], 'odd-name': [8, 4] })
export const LRU = struct('lru', 64, { next: [24, 4, 'lru'], ptl: [48, 8] })
const BIT = 1
export const PG_HEAD = 1 << 7, NO_PAGE = -1, BOTH = PG_HEAD | BIT
export const Level = { pte: 1, pmd: 2 }
export const now = Date.now()
export let counter = 3
export const BIG = 5n`,
  '/round.js': `import { A } from './about.js'
export const B = 2, C = A`,
  '/about.js': `import { B } from './round.js'
export const A = B + 1`,
}

function fold(code: string, imports = 'LRU, PG_HEAD, NO_PAGE, BOTH, Level, now, counter, BIG'): string {
  const folder = new ConstantFolder(
    (path) => MODULES[path] ?? null,
    (_, specifier) => (specifier.startsWith('.') ? specifier.slice(1) : null),
  )
  const head = `import { ${imports} } from './page.js';`
  return folder.fold(head + code, '/user.js').slice(head.length)
}

describe('constants of other modules', () => {
  it('are written out: numbers, named numbers and the offsets of structures', () => {
    expect(fold('f(LRU.at.ptl, LRU.at.next + PG_HEAD, Level.pmd, BOTH)')).toBe('f(48, 24 + 128, 2, 129)')
    expect(fold('x = a-NO_PAGE')).toBe('x = a-(-1)')
    expect(fold('f(HEAD)', 'PG_HEAD as HEAD')).toBe('f(128)')
    expect(fold('const FOUR = PG_HEAD >> 5, TWO = 2; f(TWO, FOUR)')).toBe('const FOUR = 128 >> 5, TWO = 2; f(2, FOUR)')
  })

  it('stay where the value is not a number that syntax tells', () => {
    const code = 'f(now, counter, BIG, LRU, LRU.at, LRU.size, LRU.at[x], LRU.at?.ptl, Level[y], LRU.at.none)'
    expect(fold(code)).toBe(code)
    expect(fold('f(PAGE.at.flags)', 'PAGE')).toBe('f(PAGE.at.flags)')
  })

  it('stay where the name is something else', () => {
    for (const code of [
      'f({ PG_HEAD, x: 1 })',
      'f({ PG_HEAD: 1 }, o.PG_HEAD)',
      'class C { PG_HEAD() {} NO_PAGE = 3 }',
      'export { PG_HEAD }',
      'function f(PG_HEAD) { return PG_HEAD }',
      'for (const PG_HEAD of list) f(PG_HEAD)',
      'function f() { const { a: [PG_HEAD] } = o; return PG_HEAD }',
      'try { f() } catch (PG_HEAD) { f(PG_HEAD) }',
    ])
      expect(fold(code)).toBe(code)
  })

  it('keep the lines', () => {
    expect(fold('f(\n  LRU\n    .at\n    .ptl,\n  x)')).toBe('f(\n  48\n\n,\n  x)')
  })

  it('may be needed in a circle of imports, which gives up and does not hang', () => {
    const folder = new ConstantFolder(
      (path) => MODULES[path] ?? null,
      (_, specifier) => specifier.slice(1),
    )
    expect(folder.fold("import { A } from './about.js'; import { B } from './round.js'; f(A, B)", '/x.js')).toContain(
      'f(3, 2)',
    )
  })

  it('are folded in what ships', async () => {
    const { readFileSync } = await import('node:fs')
    for (const form of ['dist', 'dist/free'])
      expect(readFileSync(new URL(`../../${form}/src/mm/folio.js`, import.meta.url), 'utf8')).not.toMatch(
        /PAGE\.at\.\w/,
      )
  })
})
