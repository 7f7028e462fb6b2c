import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { ORACLES, ruleOf } from '../../dist/src/report/rules.js'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))
/** Where an oracle gives its name: a constant, a field of a finding, the first argument of a report. */
const NAMED =
  /\bORACLE = '([a-z-]+)'|\boracle: '([a-z-]+)'|\b(?:report|finding)\(\s*'([a-z-]+)'|#report\(\s*pfn,\s*'([a-z-]+)'/g

function oraclesOfTheSource(): string[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  const names = files.flatMap((path) =>
    [...readFileSync(join(SRC, path), 'utf8').matchAll(NAMED)].map((match) =>
      match.slice(1).find((n) => n !== undefined),
    ),
  )
  return [...new Set(names as string[])].sort()
}

describe('the rules', () => {
  it('are there for every oracle of the source, and for no other', () => {
    const oracles = oraclesOfTheSource()
    expect(oracles.length).toBeGreaterThan(20)
    expect([...ORACLES].sort()).toEqual(oracles)
  })

  it('are sentences with a place in the kernel', () => {
    for (const oracle of ORACLES) {
      const rule = ruleOf({ oracle, title: '' })
      expect(rule?.text, oracle).toMatch(/^[A-Z].{30,}\.$/)
      expect(rule?.source, oracle).toMatch(/\.[ch]\b|\.rst|\.txt|BUG_ON/)
    }
  })

  it('are chosen by the title where an oracle has several', () => {
    const of = (oracle: string, title: string): string => ruleOf({ oracle, title })?.text ?? ''
    expect(of('tlb-stale', 'BUG: TLB multi-hit: huge PMD became a table in SplitHugePmd.publishTable')).toMatch(
      /two sizes/,
    )
    expect(of('tlb-stale', 'BUG: page freed while a TLB translates to it in Folios.put')).toMatch(
      /freed only when no TLB/,
    )
    expect(of('tlb-stale', 'BUG: stale TLB entry after munmap')).toMatch(/^When munmap/)
    expect(of('frame-state', 'BUG: page table linked twice in Zap.x')).toMatch(/^A page table is linked in one place/)
    expect(of('frame-state', 'BUG: KASAN: use-after-free in UpperTables.tableOf')).toMatch(/between its allocation/)
    expect(of('lock-order', 'BUG: lock held when returning to user space: pteLock')).toMatch(/user space/)
  })

  it('are none for an oracle of somebody else', () => {
    expect(ruleOf({ oracle: 'mine', title: 'x' })).toBeNull()
    expect(ruleOf({ oracle: 'constructor', title: 'x' })).toBeNull()
  })
})
