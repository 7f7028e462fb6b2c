import { describe, expect, it } from 'vitest'
import type { Curve } from '../../dist/src/explore/insight/curve.js'
import { document, racewalk } from './command.js'

describe('--curve', async () => {
  const found = await racewalk('explore', 'gup-fast-miniature', '--curve', '--json')
  const result = document(found) as { curve: Curve; findings: { token: string }[] }

  it('is a field of the document of explore, and of replay for the same token', async () => {
    expect(found.code).toBe(1)
    expect(result.curve.points.at(-1)).toMatchObject({ failures: 100, runs: 100 })
    const token = result.findings[0]?.token ?? ''
    expect(document(await racewalk('replay', token, '--curve', '--json'))['curve']).toEqual(result.curve)
  })

  it('is drawn, with the decisive step in words', async () => {
    const { out } = await racewalk('replay', result.findings[0]?.token ?? '', '--curve')
    expect(out).toMatch(/probability of failure .*\n\n +100 % │.*█\n/)
    expect(out).toMatch(/decisive: step \d+, the turn of CPU \d, \w+ .*:\n {2}failures \d+ % before it, \d+ % after it/)
  })
})
