import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, type ExploreResult } from '../../dist/src/explore/explore.js'
import { exploreSharded, type ShardedOptions } from '../../dist/src/explore/shards/shards.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import type { Scenario } from '../../dist/src/scenario/scenario.js'

/** Everything about a result that one thread and several must agree on. */
function said({ executions, steps, operations, finding, outcomes, complete }: ExploreResult): object {
  return { executions, steps, operations, finding, outcomes: Object.fromEntries(outcomes), complete }
}

const module = (name: string): string => new URL(`modules/${name}.mjs`, import.meta.url).href
const scenarioOf = async (name: string): Promise<Scenario> =>
  ((await import(module(name))) as { default: Scenario }).default

describe('shards', () => {
  it.each([1, 2, 5])('%i count what one thread counts, to the last execution', async (shards) => {
    const options = { scenario: scenarioById('message-passing'), seed: 7, executions: 10_007 }
    expect(said(await exploreSharded({ ...options, shards }))).toEqual(said(explore(options)))
  })

  it.each([
    [1, 3],
    [2, 4],
    [2, 7],
    [5, 8],
  ])('%i find what one thread finds, in the same execution, with the same token (seed %i)', async (shards, seed) => {
    const scenario = await scenarioOf('counting')
    const options = { scenario, modules: { scenario: module('counting') }, shrink: true, seed }
    const alone = explore(options)
    expect(alone.executions, 'far from the beginning').toBeGreaterThan(200)
    expect(said(await exploreSharded({ ...options, shards }))).toEqual(said(alone))
  })

  it('find a bug by its name', async () => {
    const options = { scenario: scenarioById('gup-vs-split'), bug: bugById('no-recheck'), executions: 2000 }
    const alone = explore(options)
    expect(alone.finding).not.toBeNull()
    expect(said(await exploreSharded({ ...options, shards: 2 }))).toEqual(said(alone))
  })

  it('pass by what is not wanted, and report the first of it when nothing else comes', async () => {
    const scenario = scenarioById('message-passing-reversed')
    const options = { scenario, wanted: 'tlb-stale', executions: 1000 }
    const result = await exploreSharded({ ...options, shards: 2 })
    expect(result.executions).toBe(1000)
    expect(said(result)).toEqual(said(explore(options)))
  })

  it('check each schedule', async () => {
    const options = { scenario: scenarioById('message-passing'), check: true, executions: 2000 }
    const result = await exploreSharded({ ...options, shards: 2 })
    expect(result.divergence).toBeNull()
    expect(said(result)).toEqual(said(explore(options)))
  })

  it('stop when they are told to, and count the executions before the first that was not made', async () => {
    const scenario = scenarioById('message-passing')
    const result = await exploreSharded({ scenario, shards: 3, stop: (executions) => executions > 5000 })
    expect(result.executions).toBeGreaterThan(5000)
    expect(result.shards?.fault).toBeNull()
    expect(said(result)).toEqual(said(explore({ scenario, executions: result.executions })))
  })

  it('catch what is not the same when it is run again', async () => {
    const { default: bug } = (await import(module('fickleBug'))) as { default: ReturnType<typeof bugById> }
    const { divergence } = await exploreSharded({
      scenario: scenarioById('gup-vs-munmap'),
      bug,
      modules: { bug: module('fickleBug') },
      check: true,
      shards: 2,
      executions: 5000,
    })
    expect(divergence).not.toBeNull()
  })
})

describe('an exploration that is kept', () => {
  let parent = ''
  let resume = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'racewalk-'))
    resume = join(parent, 'kept')
  })
  afterEach(() => rmSync(parent, { recursive: true }))

  it('goes on with another number of threads', async () => {
    const scenario = scenarioById('message-passing')
    explore({ scenario, resume, executions: 700 })
    const more = await exploreSharded({ scenario, resume, shards: 2, executions: 5000 })
    expect(more.resumed?.executions).toBe(700)
    expect(said(more)).toEqual(said(explore({ scenario, executions: 5000 })))
    const last = explore({ scenario, resume, executions: 6000 })
    expect(said(last)).toEqual(said(explore({ scenario, executions: 6000 })))
  })

  it('says in shards what it found in one thread', async () => {
    const options = { scenario: scenarioById('gup-vs-split'), bug: bugById('no-recheck'), seed: 3, shrink: true }
    const alone = explore({ ...options, resume })
    expect(alone.finding).not.toBeNull()
    expect(said(await exploreSharded({ ...options, resume, shards: 2 }))).toEqual(said(alone))
  })
})

describe('a shard whose thread', () => {
  let marker = ''

  beforeEach(() => {
    marker = join(mkdtempSync(join(tmpdir(), 'racewalk-')), 'once')
    process.env['RACEWALK_TEST_ONCE'] = marker
  })
  afterEach(() => rmSync(join(marker, '..'), { recursive: true }))

  const run = async (name: string, more: Partial<ShardedOptions> = {}): Promise<ExploreResult> =>
    exploreSharded({
      scenario: await scenarioOf(name),
      modules: { scenario: module(name) },
      shards: 2,
      executions: 5000,
      ...more,
    })

  it('exits is replaced, and its work done again', async () => {
    const result = await run('exits')
    expect(existsSync(marker)).toBe(true)
    expect(result.shards).toMatchObject({ redone: ['its thread ended with code 7'], fault: null })
    expect(said(result)).toEqual(said(explore({ scenario: await scenarioOf('exits'), executions: 5000 })))
  })

  it('runs out of memory is replaced, and its work done again', async () => {
    const result = await run('hoards', { heapMb: 48 })
    expect(result.shards).toMatchObject({ redone: [expect.stringContaining('out of memory')], fault: null })
    expect(said(result)).toEqual(said(explore({ scenario: await scenarioOf('hoards'), executions: 5000 })))
  })

  it('does not hear is not waited for when the exploration is stopped', async () => {
    // Stopped when nothing has moved for a hundred looks.
    let [last, looks, stoppedAt] = [0, 0, 0]
    const stop = (executions: number): boolean => {
      looks = executions > 0 && executions === last ? looks + 1 : 0
      last = executions
      if (looks > 100) stoppedAt = performance.now()
      return looks > 100
    }
    const result = await run('hangs', { stop })
    expect(performance.now() - stoppedAt).toBeLessThan(10_000)
    expect(result.executions).toBeGreaterThan(0)
    expect(said(result)).toEqual(said(explore({ scenario: await scenarioOf('hangs'), executions: result.executions })))
  })

  // In the main thread the module ends these executions with a finding, which tells where the first one is.
  it('fails in the same execution twice ends the exploration there, with all that was before', async () => {
    const scenario = await scenarioOf('throws')
    const at = explore({ scenario, executions: 10_000 }).executions
    const result = await run('throws', { executions: 10_000 })
    const [, from = 0, to = 0] = /^executions (\d+) to (\d+): /.exec(result.shards?.fault ?? '')?.map(Number) ?? []
    expect(result.shards?.fault).toContain('it cannot count to five')
    expect([from <= at, at <= to]).toEqual([true, true])
    expect(result.executions).toBe(from - 1)
    expect(said(result)).toEqual(said(explore({ scenario, executions: from - 1 })))
  })

  it.each(['dpor', 'bounded'] as const)('fails twice in the same execution of %s names it', async (strategy) => {
    const scenario = await scenarioOf('throws')
    const at = explore({ scenario, strategy, executions: 10_000 }).executions
    const result = await run('throws', { strategy, executions: 10_000 })
    expect(result.shards?.fault).toMatch(new RegExp(`^execution ${at}: .*it cannot count to five`))
    expect(said(result)).toEqual(said(explore({ scenario, strategy, executions: at - 1 })))
  })
})

describe('shards refuse', () => {
  const scenario = scenarioById('message-passing')
  const bug = bugById('no-recheck')

  it.each<[string, Partial<ShardedOptions>, RegExp]>([
    ['no shards', { shards: 0 }, /--shards 0[^]*1 to 64/],
    ['a scenario that is in no catalogue', { scenario: { ...scenario, id: 'mine' } }, /'mine'[^]*modules\.scenario/],
    [
      'one that is not what the catalogue has by that name',
      { scenario: { ...scenario, allowed: [] } },
      /'message-passing'[^]*modules\.scenario/,
    ],
    ['a bug that is in no catalogue', { bug: { ...bug } }, /'no-recheck'[^]*modules\.bug/],
    ['a module that is not there', { modules: { scenario: module('gone') } }, /cannot load .*gone\.mjs/],
    ['a module of something else', { modules: { scenario: module('hangs') } }, /hangs\.mjs has no scenario 'message-/],
    ['a function', { wanted: () => true }, /function[^]*name of an oracle/],
  ])('%s', async (_, more, message) => {
    await expect(exploreSharded({ scenario, shards: 2, executions: 10, ...more })).rejects.toThrow(message)
  })
})
