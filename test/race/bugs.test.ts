import { describe, expect, it } from 'vitest'
import { bugById, bugs } from '../../dist/src/bug/index.js'
import type { Bug } from '../../dist/src/bug/bug.js'
import { explore, planOf, replay, type FoundFinding } from '../../dist/src/explore/explore.js'
import { present } from '../../dist/src/explore/present.js'
import { decodeToken } from '../../dist/src/explore/schedule/token.js'
import type { Session } from '../../dist/src/explore/session/session.js'
import { Budget } from '../../dist/src/explore/shrink/budget.js'
import { fewerSwitches } from '../../dist/src/explore/shrink/fewerSwitches.js'
import { isSameFailure } from '../../dist/src/machine/engine/finding.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import type { Scenario } from '../../dist/src/scenario/scenario.js'
import { executions, IS_QUICK } from '../budget.js'
import { withoutBug } from './withoutBug.js'

// Each bug both ways: with it the explorer finds it within the budget; without it the same seed finds nothing in three
// times as many executions as the bug took. What was found is shrunk, and stays that bug. The seed is fixed, so the
// search is deterministic and cannot miss by chance; the budget is some ten times what the median seed needs
// (bench/bugs.ts), so that a change of the model that moves the schedule does not break the test.
const SEED = 1
const CASES: readonly [bug: string, scenario: string, executions: number][] = [
  ['pmdp-inval-addr', 'fault-vs-split', 300],
  ['gup-collapse-pmd', 'gup-vs-collapse', 4000],
  ['gup-collapse-uaf', 'gup-vs-collapse', 4000],
  ['mremap-retract', 'retract-vs-mremap', 2000],
  ['mremap-tlb', 'mremap-vs-touch', 1000],
  ['dirty-cow', 'force-write-vs-dontneed', 1000],
  ['fork-gupfast', 'fork-vs-gup', 4000],
  ['gup-head-recheck', 'gup-vs-folio-split', 10_000],
  ['dontneed-numa', 'numa-vs-dontneed', 1000],
  ['tail-ref', 'scan-vs-split', 2000],
  ['split-zap-sync', 'split-vs-zap', 2000],
  ['zap-zap-tlb', 'dontneed-vs-dontneed', 1000],
  ['split-migentry-inval', 'split-vs-migrate', 500],
  ['split-none-exit', 'split-vs-dontneed', 500],
  ['rcuhead-double', 'retract-vs-retract', 100],
  ['lru-rcuhead-overlay', 'retract-vs-fault', 500],
  ['list-node-in-fragment', 'fragment-vs-gup', 2000],
  ['ptmm-lock-uaf', 'retract-vs-exit', 15_000],
  ['tail-blocker', 'retract-then-reuse', 500],
  ['ppc-frag-refcount', 'scan-vs-table', 8000],
  ['list-del-unlisted', 'retract-vs-munmap', 500],
  ['s390-2k-release', 'retract-vs-munmap', 20_000],
  ['collapse-flush-range', 'retract-then-unmap', 100],
  ['retract-uffd', 'retract-vs-fill', 1000],
  ['powerpc-gup-invalid', 'gup-vs-split', 500],
  ['pmd-page-not-counted', 'pmd-vs-gup', 100],
  ['table-last-level-flush', 'gup-vs-munmap-broadcast', 1000],
  ['table-pending-reused', 'fragment-vs-gup', 500],
  ['table-pmd-not-reread', 'reclaim-vs-fault', 8000],
  ['table-no-pte-lock', 'retract-vs-fault', 8000],
  ['table-ipi-for-grace', 'retract-vs-fill', 8000],
  ['table-batch-no-invalidate', 'gup-vs-munmap-fallback', 500],
  ['pt-reclaim-nonempty', 'reclaim-vs-fault', 500],
  ['pt-reclaim-huge', 'reclaim-vs-huge-fault', 300],
  ['retract-wrong-locks', 'retract-vs-unmap-file', 1000],
  ['arm64-remote-dsb', 'reclaim-vs-mprotect', 200],
  ['batched-unmap-race', 'reclaim-vs-munmap', 1000],
  ['batched-asked-once', 'reclaim-vs-mprotect', 4000],
  ['reclaim-no-flush', 'reclaim-vs-mprotect', 200],
  ['gup-folded', 'gup-vs-upgrade', 100],
  ['s390-flush-mm', 'attach-vs-invalidate', 3000],
  // Rare: a CPU walks, leaves and stays away between two steps of another.
  ['s390-attach-copy', 'leave-vs-purge', 40_000],
  ['s390-attach-window', 'leave-vs-purge', 40_000],
  ['s390-gup-invalid', 'gup-vs-split', 500],
  ['table-defer-no-grace', 'retract-vs-gup', 500],
  ['no-recheck', 'gup-vs-dontneed', 8000],
  ['missing-tlb-flush', 'gup-vs-dontneed', 300],
  ['free-before-flush', 'gup-vs-dontneed', 300],
  ['table-no-grace-period', 'gup-vs-munmap-broadcast', 1000],
  ['table-one-no-sync', 'gup-vs-munmap-fallback', 1000],
  ['s390-no-flush-wait', 'attach-vs-invalidate', 5000],
  ['s390-plain-clear', 'attach-vs-invalidate', 100],
  ['s390-full-no-purge', 'exit-vs-exec', 100],
  ['csp-no-purge', 'fault-vs-split', 500],
  ['rdp-no-fix', 'rdp-vs-write', 100],
  ['table-free-nonconcurrent', 'lazy-vs-munmap', 300],
  ['freed-tables-flag', 'lazy-vs-retract', 2000],
  ['lazy-no-catch-up', 'lazy-vs-dontneed', 1000],
  ['tlb-gen-partial', 'lazy-vs-dontneed', 300],
  ['exp-wrong-queue', 'expedited-vs-expedited', 2000],
  ['exp-reader-ignored', 'expedited-vs-reader', 500],
  ['asce-upgrade-ipi', 'upgrade-vs-kernel-read', 100],
  ['upgrade-no-ipi', 'upgrade-vs-touch', 100],
  // A lock that is not taken shows in the first execution.
  ['mmap-read-unlocked', 'gup-vs-dontneed', 5],
  ['mmap-write-unlocked', 'gup-vs-munmap', 5],
  ['mmap-write-as-read', 'gup-vs-munmap', 5],
  ['anon-vma-unlocked', 'fork-vs-gup', 5],
  ['i-mmap-unlocked', 'retract-vs-mremap', 5],
  ['pmd-unlocked', 'gup-vs-split', 5],
  ['pte-unlocked', 'gup-vs-dontneed', 5],
  ['find-vma-unlocked', 'collapse-vs-munmap', 5],
  ['rmap-unlocked', 'compaction-vs-gup', 5],
  ['page-table-unlocked', 'gup-vs-munmap', 5],
  ['stack-rot', 'fault-vs-stack-growth', 5],
  ['maple-no-grace-period', 'fault-vs-munmap-rcu', 2000],
  ['vma-detached-ignored', 'fault-vs-munmap-rcu', 2000],
  ['vma-no-write-lock', 'fault-vs-protect-rcu', 5],
  ['folio-unlocked', 'gup-vs-folio-split', 5],
  ['i-pages-unlocked', 'retract-vs-fill', 5],
  ['zone-unlocked', 'gup-vs-dontneed', 5],
  ['slot-unlocked', 'fork-vs-gup', 5],
  ['zap-migration-entry', 'split-vs-zap', 1000],
  ['cow-reuse-shared', 'fork-vs-store', 200],
  ['cow-file-page', 'store-vs-reclaim', 200],
  ['dirty-lost-zap', 'store-vs-reclaim', 500],
  ['dirty-lost-mprotect', 'store-vs-reclaim', 200],
  ['dirty-lost-migration', 'compaction-vs-gup', 500],
  ['dirty-lost-split', 'split-vs-migrate', 500],
  ['dirty-lost-collapse', 'collapse-vs-munmap', 1000],
  ['pmd-modify-dirty', 'numa-vs-dontneed', 500],
  ['pgtable-list-unlocked', 'fragment-vs-gup', 5],
]

/** What is found, by bug: the search is run once for both of its tests. */
const found = new Map<string, ReturnType<typeof explore>>()

function searchFor([id, name, budget]: (typeof CASES)[number]): ReturnType<typeof explore> {
  const known = found.get(id)
  if (known !== undefined) return known
  const result = explore({ scenario: scenarioById(name), bug: bugById(id), seed: SEED, executions: budget })
  found.set(id, result)
  return result
}

/** A quick run leaves out the rare ones. */
const RUN = CASES.filter(([, , budget]) => !IS_QUICK || budget <= 2000)

/** A quick run shrinks a few. */
const SHRUNK = IS_QUICK ? RUN.filter((_, at) => at % 8 === 0) : RUN
/** No bug needs more than 6 when it is shrunk, as far as is known. */
const SWITCHES_MAX = 7
/** Of the reduced programs, on fixed code. */
const REDUCED_EXECUTIONS = 60

/** The execution that `session` has just made, made smaller: it is still that bug. */
function staysWhenShrunk(scenario: Scenario, bug: Bug, found: FoundFinding, session: Session): void {
  const { picks } = session.engine
  const alone = fewerSwitches(session, { finding: found, picks, switches: Infinity }, new Budget(1_500_000))
  const plan = planOf({ scenario, bug, seed: SEED })
  const finding = present({ ...found, finding: found, picks }, plan, session, true)
  expect(isSameFailure(finding, found)).toBe(true)
  expect(finding.switches?.after).toBeLessThanOrEqual(Math.min(alone.switches, SWITCHES_MAX))
  expect(finding.token.length).toBeLessThanOrEqual(200)
  const { reduction } = session

  const again = replay(decodeToken(finding.token), scenario, bug)
  expect(again).toMatchObject({ exact: true, finding: { oracle: finding.oracle, title: finding.title } })

  // What is left is at fault only with the bug: nothing that fixed code could not be asked to do.
  const mended = withoutBug(scenario, bug)
  expect(explore({ scenario: mended, reduction, seed: SEED, executions: REDUCED_EXECUTIONS }).finding).toBeNull()
}

/** The bugs of a scenario that share a configuration, which one clean run is for. */
const cleanRuns = new Map<string, { readonly scenario: Scenario; readonly cases: (typeof CASES)[number][] }>()
for (const row of RUN) {
  const scenario = withoutBug(scenarioById(row[1]), bugById(row[0]))
  const key = JSON.stringify([scenario.id, scenario.config])
  const run = cleanRuns.get(key) ?? { scenario, cases: [] }
  cleanRuns.set(key, run)
  run.cases.push(row)
}

/** Three times as long as the rarest of them took, and long enough where all come early. */
const cleanBudget = (cases: readonly (typeof CASES)[number][]): number =>
  executions(Math.max(500, ...cases.map((row) => 3 * searchFor(row).executions)))

describe(`bugs, controlled (seed ${SEED})`, () => {
  it('are all in this table', () => {
    expect(CASES.map(([bug]) => bug).sort()).toEqual(bugs.map((bug) => bug.id).sort())
  })

  for (const row of RUN) {
    const [id, name, budget] = row
    const [scenario, bug] = [scenarioById(name), bugById(id)]
    it(`${id} is found in ${name}, and its tokens replay to the same finding, whole and shrunk`, () => {
      const { finding: found, session } = searchFor(row)
      if (found === null) throw new Error(`nothing in ${budget} executions`)
      if (SHRUNK.includes(row)) staysWhenShrunk(scenario, bug, found, session)
      const again = replay(decodeToken(found.token), scenario, bug)
      expect(again.exact).toBe(true)
      const { oracle, title, address, cpu } = found
      expect(again.finding).toEqual({ ...again.finding, oracle, title, address, cpu })
    })
  }

  for (const { scenario, cases } of cleanRuns.values())
    it(`${scenario.id} is clean without ${cases.map(([id]) => id).join(', ')}, on the same seed and settings`, () => {
      expect(explore({ scenario, seed: SEED, executions: cleanBudget(cases) }).finding).toBeNull()
    })
})
