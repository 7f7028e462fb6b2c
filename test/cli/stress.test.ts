import { describe, expect, it } from 'vitest'
import { document, racewalk } from './command.js'

describe('racewalk stress', () => {
  it('counts operations by kind and CPU, and finds nothing in fixed code', async () => {
    const ended = await racewalk('stress', 'gup-vs-split', '--duration', '1s', '--json')
    expect(ended.code).toBe(0)
    const result = document(ended)
    expect(result).toMatchObject({
      command: 'stress',
      scenario: 'gup-vs-split',
      bug: null,
      engine: 'free',
      cpus: 2,
      seed: 1,
      stopped: 'duration',
      findings: [],
      fault: null,
    })
    const perCpu = result['perCpu'] as Record<string, number>[]
    const perOperation = result['perOperation'] as Record<string, number>
    expect(perCpu).toHaveLength(2)
    for (const [op, total] of Object.entries(perOperation))
      expect(
        perCpu.reduce((sum, counts) => sum + (counts[op] ?? 0), 0),
        op,
      ).toBe(total)
    expect(Object.values(perOperation).reduce((a, b) => a + b, 0)).toBe(result['operations'])
    expect(perCpu.every((counts) => Object.values(counts).some((count) => count > 0))).toBe(true)
  })

  it('prints totals and rates', async () => {
    const { code, out } = await racewalk('stress', 'gup-vs-dontneed', '--duration', '500ms', '--perturb')
    expect(code).toBe(0)
    expect(out).toMatch(/operation +total +rate +CPU 0 +CPU 1/)
    expect(out).toMatch(/madvise +[\d,]+ +[\d,]+\/s/)
  })
})
