import { describe, expect, it } from 'vitest'
import { document, racewalk } from './command.js'

interface Found {
  oracle: string
  title: string
  cpu: number
  address: string | null
  token: string
}

describe('racewalk explore', () => {
  it('ends clean, with the exact set of endings, on message-passing', async () => {
    const ended = await racewalk('explore', 'message-passing', '--executions', '3000', '--json')
    expect(ended.code).toBe(0)
    const result = document(ended)
    expect(result).toMatchObject({
      command: 'explore',
      scenario: 'message-passing',
      bug: null,
      engine: 'controlled',
      executions: 3000,
      operations: 12_000,
      findings: [],
    })
    expect(Object.keys(result['outcomes'] as object).sort()).toEqual([
      'flag=0 data=0',
      'flag=0 data=1',
      'flag=1 data=1',
    ])
  })

  it('does the same with the same seed', async () => {
    const outcomes = async (): Promise<unknown> =>
      document(await racewalk('explore', 'message-passing', '--executions', '500', '--seed', '7', '--json'))['outcomes']
    expect(await outcomes()).toEqual(await outcomes())
  })

  it('finds the reversed writer and ends with 1', async () => {
    const ended = await racewalk('explore', 'message-passing-reversed', '--executions', '3000', '--json')
    expect(ended.code).toBe(1)
    expect(document(ended)['findings']).toEqual([
      {
        oracle: 'outcome',
        rule: { text: expect.stringContaining('endings'), source: expect.any(String) },
        title: 'message-passing-reversed: an ending that is not allowed: flag=1 data=0',
        cpu: -1,
        address: null,
        physical: null,
        details: expect.any(Array),
        stack: [],
        token: expect.stringMatching(/^rw2-/),
        changed: [],
        decisive: {
          cpu: expect.any(Number),
          step: expect.any(Number),
          operation: expect.any(String),
          before: expect.any(Number),
          after: 1,
          runs: 50,
        },
        reduced: null,
      },
    ])
  })

  it('prints a report that ends in the command that replays it', async () => {
    const { code, out } = await racewalk('explore', 'message-passing-reversed')
    expect(code).toBe(1)
    expect(out).toContain('│ CPU 0')
    expect(out).toMatch(/storeRelease32 word 1: 0 → 1/)
    expect(out.trimEnd().split('\n').at(-1)).toMatch(/^ {2}npx racewalk replay rw2-\S+$/)
  })

  it('stops at its time', async () => {
    const ended = await racewalk('explore', 'message-passing', '--time', '300ms', '--json')
    expect(ended.code).toBe(0)
    expect(document(ended)['executions']).toBeGreaterThan(0)
  })
})

describe('racewalk replay', async () => {
  const [found] = document(
    await racewalk('explore', 'fault-vs-split', '--bug', 'pmdp-inval-addr', '--time', '60s', '--json'),
  )['findings'] as [Found]

  it('finds the same, step for step', async () => {
    const ended = await racewalk('replay', found.token, '--json')
    expect(ended.code).toBe(1)
    const result = document(ended)
    const { oracle, title, cpu, address } = found
    expect(result).toMatchObject({
      command: 'replay',
      scenario: 'fault-vs-split',
      bug: 'pmdp-inval-addr',
      exact: true,
      findings: [{ oracle, title, cpu, address }],
    })
  })

  it('lists every step with the CPU, the access, the address by name and the kernel function', async () => {
    const steps = document(await racewalk('replay', found.token, '--json'))['steps'] as {
      step: number
      cpu: number
      access: string
      address: string
      stack: string[]
    }[]
    expect(steps.map(({ step }) => step)).toEqual(steps.map((_, i) => i + 1))
    expect(new Set(steps.map(({ cpu }) => cpu))).toEqual(new Set([0, 1]))
    const entry = steps.find(({ access, address }) => access === 'readOnce64' && /^mm0\.pmd\[0\] of 0x/.test(address))
    expect(entry?.stack.length).toBeGreaterThan(0)
    expect(steps.some(({ stack }) => stack.some((name) => name.startsWith('FillsThenInvalidates.')))).toBe(true)
  })

  it('prints a table with a column for each CPU, every step of it with --full', async () => {
    const { code, out } = await racewalk('replay', found.token, '--full')
    expect(code).toBe(1)
    expect(out).toMatch(/ step +│ CPU 0 +│ CPU 1/)
    expect(out).toContain('replayed step for step')
    expect(out, 'nothing is left out').not.toMatch(/… (\d+ steps?|and \d+ more)/)
  })
})
