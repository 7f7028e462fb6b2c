import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { decodeToken, encodeToken } from '../../dist/src/explore/token.js'
import { document, racewalk } from './command.js'

const folder = mkdtempSync(join(tmpdir(), 'racewalk-replay-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Document {
  exact: boolean
  findings: { title: string; token: string }[]
  continued: { executions: number; finding: { title: string; token: string } | null } | null
}

describe('racewalk replay', () => {
  const file = join(folder, 'found.token')
  const explored = document(racewalk('explore', 'fork-vs-gup', '--bug', 'fork-gupfast', '--token', file, '--json'))
  const [found] = (explored as unknown as Document).findings
  if (found === undefined) throw new Error('seed 1 finds nothing')

  it('takes a token from a file', () => {
    const { code, out } = racewalk('replay', file, '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ exact: true, continued: null, findings: [{ title: found.title }] })
  })

  it('names the point of a token that does not come, and searches on from the turns that did', () => {
    const token = decodeToken(found.token)
    const gone = { ...(token.deviations.at(-1) as (typeof token.deviations)[number]), occurrence: 77 }
    const other = encodeToken({ ...token, deviations: [...token.deviations.slice(0, -1), gone] })
    const { code, out } = racewalk('replay', other)
    const turns = token.deviations.length
    expect(out).toMatch(
      new RegExp(`turn ${turns} of ${turns} did not come \\(CPU \\d, operation \\d, the 78th \\w+ of `),
    )
    expect(out).toMatch(/going on from there[^]*found in execution \d+:[^]*npx racewalk replay rw2-/)
    expect(code).toBe(1)
    const { continued, exact } = document(racewalk('replay', other, '--json')) as unknown as Document
    expect(exact).toBe(false)
    const again = document(racewalk('replay', continued?.finding?.token ?? '', '--json')) as unknown as Document
    expect(again).toMatchObject({ exact: true, findings: [{ title: continued?.finding?.title }] })
  })
})
