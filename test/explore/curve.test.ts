import { describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { failureCurve, share, type Curve } from '../../dist/src/explore/insight/curve.js'
import { explore, replay } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'

async function curveOf(scenarioId: string, bugId: string | null, stop = () => false): Promise<Curve> {
  const [scenario, bug] = [scenarioById(scenarioId), bugId === null ? null : bugById(bugId)]
  const { finding } = explore({ scenario, bug, executions: 20_000, shrink: true })
  if (finding === null) throw new Error('nothing found in 20,000 executions with seed 1')
  const { reduction, engine } = replay(decodeToken(finding.token), scenario, bug).session
  const execution = { reduction, picks: [...engine.picks] }
  return await failureCurve({ scenario, change: bug, cpus: scenario.cpus, ...execution, finding, runs: 50, stop })
}

describe('the curve of an execution that fails', () => {
  it('ends where every run fails, and begins where few do', async () => {
    const { points } = await curveOf('gup-vs-collapse', 'gup-collapse-pmd')
    const [first, last] = [points[0], points.at(-1)]
    if (first === undefined || last === undefined) throw new Error('no points')
    expect(first).toMatchObject({ turns: 0, step: 0, runs: 50 })
    expect(share(first)).toBeLessThan(0.2)
    expect(share(last)).toBe(1)
    expect(points.map(({ step }) => step)).toEqual(points.map(({ step }) => step).sort((a, b) => a - b))
  })

  it('names the turn at which it is decided, the two points that differ by it alone', async () => {
    const { decisive } = await curveOf('gup-fast-miniature', null)
    if (decisive === null) throw new Error('nothing decided')
    expect(decisive.after.turns).toBe(decisive.before.turns + 1)
    expect(share(decisive.after) - share(decisive.before)).toBeGreaterThan(0.2)
  })

  it('is the same when it is drawn again', async () => {
    expect(await curveOf('gup-fast-miniature', null)).toEqual(await curveOf('gup-fast-miniature', null))
  })

  it('stops when it is asked to, with the places it has', async () => {
    let asked = 0
    const { points, decisive } = await curveOf('gup-vs-collapse', 'gup-collapse-pmd', () => ++asked > 5)
    expect(points).toHaveLength(5)
    expect(decisive).toBeNull()
  })
})
