import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, type ExploreOptions, type ExploreResult } from '../../dist/src/explore/explore.js'
import { insightOf } from '../../dist/src/explore/insight/insight.js'
import { exploreSharded } from '../../dist/src/explore/shards/shards.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'

/** Everything about a result that one thread and several must agree on. */
function said({
  executions,
  steps,
  operations,
  finding,
  outcomes,
  complete,
  progress,
  coverage,
}: ExploreResult): object {
  const said = { executions, steps, operations, finding, outcomes: new Map([...outcomes].sort()), complete, progress }
  const insight = insightOf(coverage)
  const { recorded, distinct } = insight
  // Which accesses met is known to a thread over all that it did, also ahead of what counts in the end.
  return { ...said, recorded, distinct, ...(complete ? { accesses: insight.accesses } : {}) }
}

type Options = Omit<ExploreOptions, 'scenario'> & { readonly scenario: string }
const asked = ({ scenario, ...rest }: Options): ExploreOptions => ({ ...rest, scenario: scenarioById(scenario) })

const SPACES: Options[] = [
  { scenario: 'try-lock', cpus: 4, strategy: 'dpor' },
  { scenario: 'queued-spin-lock', cpus: 3, strategy: 'dpor', executions: 700 },
  { scenario: 'gup-vs-collapse', strategy: 'dpor' },
  { scenario: 'reclaim-vs-huge-fault', strategy: 'dpor', preemptions: 1 },
  { scenario: 'try-lock', cpus: 4, strategy: 'dpor', preemptions: 3 },
  { scenario: 'gup-vs-collapse', strategy: 'dpor', bug: bugById('gup-collapse-pmd') },
  { scenario: 'message-passing-reversed', strategy: 'dpor', wanted: 'tlb-stale' },
  { scenario: 'try-lock', cpus: 3, strategy: 'bounded', preemptions: 3 },
  { scenario: 'message-passing', strategy: 'bounded' },
  { scenario: 'gup-vs-collapse', strategy: 'bounded', executions: 400 },
  { scenario: 'gup-vs-folio-split', strategy: 'bounded', bug: bugById('gup-head-recheck') },
]
const title = ({ scenario, strategy, preemptions, executions, bug }: Options): string =>
  [scenario, strategy, preemptions !== undefined && `${preemptions} preemptions`, executions, bug?.id]
    .filter(Boolean)
    .join(', ')

/** What one thread comes to, which both tests of a space compare with. */
const saidAlone = new Map<Options, object>()
function alone(space: Options): object {
  const known = saidAlone.get(space) ?? said(explore(asked(space)))
  saidAlone.set(space, known)
  return known
}

describe('shards of a systematic search come to what one thread comes to', () => {
  it.each(SPACES.map((space) => [title(space), space] as const))('%s', async (_title, space) => {
    const options = asked(space)
    expect(said(await exploreSharded({ ...options, shards: 3 }))).toEqual(alone(space))
  })
})

describe('one shard comes to what one thread comes to', () => {
  const ONE: Options[] = [
    { scenario: 'try-lock', cpus: 3, strategy: 'dpor' },
    { scenario: 'message-passing', strategy: 'bounded' },
  ]
  it.each(ONE.map((space) => [title(space), space] as const))('%s', async (_title, space) => {
    expect(said(await exploreSharded({ ...asked(space), shards: 1 }))).toEqual(alone(space))
  })
})

/** For each search a space that it ends and one that takes longer, so that each stop comes in the middle. */
const KEPT = SPACES.filter(({ bug, wanted }) => bug === undefined && wanted === undefined).filter(({ scenario }) =>
  ['try-lock', 'gup-vs-collapse'].includes(scenario),
)

describe('a systematic search that is kept', () => {
  let parent = ''
  let resume = ''
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'racewalk-'))
    resume = join(parent, 'kept')
  })
  afterEach(() => rmSync(parent, { recursive: true }))

  const stopAfter = (count: number) => ({ stop: (executions: number) => executions >= count })

  it.each(KEPT.map((space) => [title(space), space] as const))(
    'and stopped, with and without shards, comes to what one in one go comes to: %s',
    async (_title, space) => {
      const options = asked(space)
      explore({ ...options, resume, ...stopAfter(10) })
      await exploreSharded({ ...options, resume, shards: 2, ...stopAfter(150) })
      explore({ ...options, resume, ...stopAfter(300) })
      expect(said(await exploreSharded({ ...options, resume, shards: 2 }))).toEqual(alone(space))
      expect(said(explore({ ...options, resume }))).toEqual(alone(space))
    },
  )
})
