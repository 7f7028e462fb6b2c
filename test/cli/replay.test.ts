import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { decodeToken, encodeToken } from '../../dist/src/explore/schedule/token.js'
import { document, racewalk } from './command.js'

const folder = mkdtempSync(join(tmpdir(), 'racewalk-replay-'))
afterAll(() => rmSync(folder, { recursive: true }))

interface Document {
  exact: boolean
  findings: { title: string; token: string }[]
  continued: { executions: number; finding: { title: string; token: string } | null } | null
}

describe('racewalk replay', async () => {
  const file = join(folder, 'found.token')
  /** What seed 1 finds with these arguments; its token is in `tokenFile` as well. */
  async function finding(tokenFile: string, ...args: string[]): Promise<Document['findings'][number]> {
    const explored = document(await racewalk('explore', ...args, '--token', tokenFile, '--json'))
    const [first] = (explored as unknown as Document).findings
    if (first === undefined) throw new Error('seed 1 finds nothing')
    return first
  }
  const found = await finding(file, 'message-passing-reversed')
  const small = join(folder, 'small.token')
  const reduced = await finding(small, 'numa-vs-dontneed', '--bug', 'dontneed-numa', '--check')

  it('takes a token from a file', async () => {
    const { code, out } = await racewalk('replay', file, '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ exact: true, continued: null, findings: [{ title: found.title }] })
  })

  it('names the point of a token that does not come, and searches on from the turns that did', async () => {
    const token = decodeToken(found.token)
    const gone = { ...(token.deviations.at(-1) as (typeof token.deviations)[number]), occurrence: 77 }
    const other = encodeToken({ ...token, deviations: [...token.deviations.slice(0, -1), gone] })
    const { code, out } = await racewalk('replay', other)
    const turns = token.deviations.length
    expect(out).toMatch(
      new RegExp(`turn ${turns} of ${turns} did not come \\(CPU \\d, operation \\d, the 78th \\w+ of `),
    )
    expect(out).toMatch(/going on from there[^]*found in execution \d+:[^]*npx racewalk replay rw2-/)
    expect(code).toBe(1)
    const { continued, exact } = document(await racewalk('replay', other, '--json')) as unknown as Document
    expect(exact).toBe(false)
    const again = document(await racewalk('replay', continued?.finding?.token ?? '', '--json')) as unknown as Document
    expect(again).toMatchObject({ exact: true, findings: [{ title: continued?.finding?.title }] })
  })

  it('refuses a token that keeps operations which the scenario does not have', async () => {
    const token = decodeToken(found.token)
    const reduction = [[{ path: [7], choice: 0, size: 0 }], []]
    const { code, err } = await racewalk('replay', encodeToken({ ...token, reduction }))
    expect(err).toMatch(/keeps operation 7 of CPU 0, and the scenario has none[^]*find it again with racewalk explore/)
    expect(code).toBe(2)
  })

  it('takes a token of reduced programs for everything that it takes others for', async () => {
    const { code, out } = await racewalk('replay', small, '--curve')
    expect(out).toMatch(
      /replayed step for step[^]*smaller +2 of 4 operations on 2 of 2 CPUs[^]*◆ decisive switch[^]*probability of failure/,
    )
    expect(code).toBe(1)
    const [finding] = document(await racewalk('replay', small, '--json'))['findings'] as [
      { decisive: object; reduced: object },
    ]
    expect(finding.reduced).toMatchObject({
      operations: { before: 4, after: 2 },
      cpus: { before: 2, after: 2 },
      programs: [[expect.stringMatching(/^numaHint 0x/)], [expect.stringMatching(/^madvise 0x.* dontneed$/)]],
      leftOut: [
        { cpu: 0, operation: expect.stringMatching(/^load 0x/) as string },
        { cpu: 1, operation: expect.stringMatching(/^store 0x/) as string },
      ],
    })
    expect(finding.decisive).toMatchObject({ step: expect.any(Number) as number, runs: 50 })
  })

  it('searches on among the reduced programs where a point of theirs does not come', async () => {
    const token = decodeToken(reduced.token)
    const gone = { ...(token.deviations.at(-1) as (typeof token.deviations)[number]), occurrence: 77 }
    const other = encodeToken({ ...token, deviations: [...token.deviations.slice(0, -1), gone] })
    const { continued } = document(await racewalk('replay', other, '--json')) as unknown as Document
    const operations = decodeToken(continued?.finding?.token ?? '').reduction?.flat().length
    expect(operations).toBe(2)
  })
})
