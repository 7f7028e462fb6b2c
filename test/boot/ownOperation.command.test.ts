/** Users' scenarios with operations of their own, in both engines; and the scenarios that the guide shows. */
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { explore, loadScenario, programSchema, stress, type UsageError } from '../../dist/src/index.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'racewalk-operation-')))
afterAll(() => rmSync(folder, { recursive: true }))

const guide = readFileSync(new URL('../../src/guide/own-code.md', import.meta.url), 'utf8')
/** The block of the guide that begins with the name of its file, as that file. */
function example(name: string, change: (code: string) => string = (code) => code): string {
  const block = [...guide.matchAll(/```ts\n(.*?)```/gs)].find(([, code]) => code?.startsWith(`// ${name}\n`))
  const path = join(folder, name)
  writeFileSync(path, change(block?.[1] ?? ''))
  return path
}

describe("a scenario of the guide's", () => {
  it.each([
    ['reader.ts', 100, ['00', '01', '11']],
    ['waits.ts', 100, ['together 1, callback 1']],
    ['cut.ts', 100, []],
    ['mine.ts', 50, []],
  ])('%s runs and finds nothing on fixed code', async (name, executions, endings) => {
    const result = explore({ scenario: await loadScenario(example(name)), executions })
    expect(result.finding).toBeNull()
    expect([...result.outcomes.keys()].sort()).toEqual(endings)
  })
})

describe('an operation of a user’s own', () => {
  it('runs in both engines, and threads count it under its name', async () => {
    const scenario = await loadScenario(example('count.ts'))
    expect(explore({ scenario, executions: 200 })).toMatchObject({ finding: null, operations: 400 })
    const untilBoth = new AbortController()
    const result = await stress({
      scenario,
      durationMs: 300_000,
      signal: untilBoth.signal,
      onProgress: ({ perCpu }) => {
        if (perCpu.every((done) => done > 0)) untilBoth.abort()
      },
    })
    expect(result).toMatchObject({ finding: null, fault: null })
    expect((result.operations as Record<string, number>)['countUp']).toBeGreaterThan(1)
  })

  it('is part of the schema of programs, and its fields are checked', async () => {
    await loadScenario(example('count.ts'))
    const definitions = programSchema()['$defs'] as Record<string, unknown>
    expect(definitions['countUp']).toMatchObject({ required: ['op', 'addr'] })
    const wrong = example('count.ts', (code) => code.replace('by: 2', 'by: 0'))
    const { message } = (await loadScenario(wrong).catch((error: unknown) => error)) as UsageError
    expect(message).toMatch(/countUp with by 0\n {2}by is a whole number from 1/)
  })

  it('has races that are found: without its lock a count is lost', async () => {
    const racy = example('count.ts', (code) =>
      code
        .replace(/ +yield\* spin\w+\(task\.cpu, lock\)\n/g, '')
        .replace('spinLock, spinUnlock', '')
        .replace("'own-operation',", "'racy-operation',\n  outcome: () => '',")
        .replace('const [lock, word] = [task.ownWord(0), task.ownWord(1)]', 'const word = task.ownWord(1)')
        .replace('return fault < 0', 'task.litmus.setRegister(0, count)\n    return fault < 0')
        .replace("outcome: () => ''", 'outcome: (reg) => `${Math.max(reg(0, 0), reg(1, 0))}`'),
    )
    const { outcomes } = explore({ scenario: await loadScenario(racy), executions: 400 })
    expect([...outcomes.keys()].sort()).toEqual(['2', '3'])
  })

  it.each([
    ["defineOp('munmap'", 'racewalk has an operation of this name'],
    ["defineOp('count up'", 'the name of an operation is a word'],
  ])('is refused as %s', async (call, why) => {
    const file = example('count.ts', (code) => code.replace("defineOp('countUp'", call))
    await expect(loadScenario(file)).rejects.toThrow(why)
  })

  it('keeps the rules of kernel code', async () => {
    const file = example('count.ts', (code) => code.replace('yield* spinLock', 'spinLock'))
    await expect(loadScenario(file)).rejects.toThrow(/spinLock\(\) is a kernel function that nobody drives/)
  })
})
