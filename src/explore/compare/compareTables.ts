/**
 * The designs of page-table pages side by side: the scenarios that each survives, and its cost. The comparison answers
 * a question about fragments: the cost of not handing them out again after a deferred free.
 */
import { Piscina } from 'piscina'
import { allocFreeWorkerUrl } from '../../boot/threads/spawn.js'
import { Panic } from '../../machine/engine/finding.js'
import { exploredFragments, pgallocDesigns } from '../../isa/designs.js'
import { scenarioById, tableScenarios } from '../../scenario/catalog/index.js'
import { explore } from '../explore.js'
import { churn, type ChurnCounts } from './churn.js'

export interface Verdict {
  /** Scenario with the design, as commands take it: `retract-vs-gup@s390-active`. */
  readonly scenario: string
  readonly verdict: 'survives' | 'fails'
  readonly executions: number
  readonly title: string | null
  readonly token: string | null
}

export interface Variant {
  readonly id: string
  /** PTE tables in a page of the machines that are compared. */
  readonly fragments: number
  /** `fails` in any scenario. */
  readonly verdict: 'survives' | 'fails'
  readonly scenarios: readonly Verdict[]
  /** Null for a design that fails even alone. */
  readonly churn: ChurnCounts | null
  /** Median ns of one allocation and its immediate free, free-running. */
  readonly allocFreeNs: number
}

export interface CompareOptions {
  readonly seed?: number
  /** For each design and scenario, unless it fails before; a tenth of it for a torture. */
  readonly executions?: number
  readonly onProgress?: (variant: string, scenario: string) => void
  readonly signal?: AbortSignal
}

export const COMPARE_EXECUTIONS = 6_000
/** A torture is an order of magnitude longer than the others, and runs as much less often. */
const TORTURE = /torture/

/** Every design through every scenario of page tables, in the order of the registry. Stops between two when aborted. */
export async function compareTables(options: CompareOptions = {}): Promise<Variant[]> {
  const variants: Variant[] = []
  for (const { id } of pgallocDesigns()) {
    if (options.signal?.aborted === true) break
    const scenarios = await verdictsOf(id, options)
    const fails = scenarios.some(({ verdict }) => verdict === 'fails')
    variants.push({
      id,
      fragments: exploredFragments(id),
      verdict: fails ? 'fails' : 'survives',
      scenarios,
      churn: churnOf(id, options.seed ?? 1),
      allocFreeNs: await timeOf(id),
    })
  }
  return variants
}

async function verdictsOf(id: string, options: CompareOptions): Promise<Verdict[]> {
  const { seed = 1, executions = COMPARE_EXECUTIONS, signal } = options
  const verdicts: Verdict[] = []
  for (const { id: name } of tableScenarios) {
    if (signal?.aborted === true) break
    const scenario = scenarioById(`${name}@${id}`)
    options.onProgress?.(id, name)
    const budget = TORTURE.test(name) ? Math.ceil(executions / 10) : executions
    const result = explore({ scenario, seed, executions: budget, stop: () => signal?.aborted === true })
    verdicts.push({
      scenario: scenario.id,
      verdict: result.finding === null ? 'survives' : 'fails',
      executions: result.executions,
      title: result.finding?.title ?? null,
      token: result.finding?.token ?? null,
    })
    // Between two: Ctrl-C gets through.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return verdicts
}

function churnOf(id: string, seed: number): ChurnCounts | null {
  try {
    return churn(id, seed)
  } catch (error) {
    if (error instanceof Panic) return null
    throw error
  }
}

async function timeOf(id: string): Promise<number> {
  const pool = new Piscina<string, number>({ filename: allocFreeWorkerUrl().href, maxThreads: 1 })
  try {
    return await pool.run(id)
  } finally {
    await pool.destroy()
  }
}
