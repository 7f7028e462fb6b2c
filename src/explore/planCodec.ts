/**
 * Encodes plans for other threads. Kernel parts and programs are code, so a scenario or a bug is encoded as its name,
 * or as the URL of the module whose default export it is.
 */
import { UsageError } from '../base/errors.js'
import { bugById } from '../bug/index.js'
import type { Bug } from '../bug/bug.js'
import type { Patch } from '../bug/patch.js'
import { loadKept } from '../boot/module/kept.js'
import { keptPathOf, originOf } from '../boot/module/origin.js'
import { scenarioById } from '../scenario/catalog/index.js'
import type { Scenario } from '../scenario/scenario.js'
import type { Plan } from './runner.js'

/** URLs (`file:///…`) of modules whose default export is the scenario, or the bug, of an exploration. */
export interface Modules {
  readonly scenario?: string
  readonly bug?: string
}

interface Named {
  readonly id: string
  /** Null for those of the catalogue, and for what was compiled from a user's file: that is at `kept`. */
  readonly module: string | null
  readonly kept: string | null
}

/** A plan as plain data. */
export interface EncodedPlan extends Omit<Plan, 'scenario' | 'bug' | 'patch' | 'wanted'> {
  readonly scenario: Named
  readonly bug: Named | null
  /** Path of the compiled module. */
  readonly patch: string | null
  readonly wanted: string | null
}

/** Throws UsageError for what has neither a name in the catalogue nor a module. */
export function encodePlan(plan: Plan, modules: Modules): EncodedPlan {
  const { scenario, bug, patch, wanted } = plan
  if (typeof wanted === 'function')
    throw new UsageError('shards', 'a function cannot be sent to a thread', 'for `wanted`, give the name of an oracle')
  const scenarioNamed = { id: scenario.id, module: modules.scenario ?? null, kept: originOf(scenario)?.path ?? null }
  const bugNamed = bug === null ? null : { id: bug.id, module: modules.bug ?? null, kept: originOf(bug)?.path ?? null }
  if ((scenarioNamed.module ?? scenarioNamed.kept) === null && !isCatalogued(scenario))
    throw unsendable('scenario', scenario.id)
  if (bug !== null && (bugNamed?.module ?? bugNamed?.kept) === null && found(() => bugById(bug.id)) !== bug)
    throw unsendable('bug', bug.id)
  return {
    ...plan,
    scenario: scenarioNamed,
    bug: bugNamed,
    patch: patch === null ? null : keptPathOf(patch, 'patch'),
    wanted,
  }
}

/**
 * The plan again, in the thread that it was sent to. Throws UsageError for a module that cannot be loaded or has
 * something else.
 */
export async function decodePlan({ scenario, bug, patch, ...rest }: EncodedPlan): Promise<Plan> {
  return {
    ...rest,
    scenario: await loaded<Scenario>('scenario', scenario, scenarioById),
    bug: bug === null ? null : await loaded<Bug>('bug', bug, bugById),
    patch: patch === null ? null : await loadKept<Patch>(patch),
  }
}

async function loaded<T extends { readonly id: string }>(
  what: string,
  { id, module, kept }: Named,
  catalogued: (id: string) => T,
): Promise<T> {
  if (module === null) return kept === null ? catalogued(id) : await loadKept<T>(kept)
  const { default: item } = await importAt<T>(module)
  if (item?.id === id) return item
  throw new UsageError(`${module} has no ${what} '${id}'`, `its default export is to be that ${what}`)
}

async function importAt<T>(module: string): Promise<{ readonly default?: T }> {
  try {
    return (await import(module)) as { readonly default?: T }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UsageError(`cannot load ${module}: ${why}`, 'a module is named by its URL, file:///…')
  }
}

/** Whether its name is enough to have it in another thread: one with a design or a delay is made anew each time. */
function isCatalogued(scenario: Scenario): boolean {
  const same = found(() => scenarioById(scenario.id))
  if (same === null) return false
  const keys = new Set([...Object.keys(scenario), ...Object.keys(same)]) as Set<keyof Scenario>
  return [...keys].every((key) => alike(scenario[key], same[key]))
}

function alike(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b))
}

/** Null for a name that is none. */
function found<T>(look: () => T): T | null {
  try {
    return look()
  } catch (error) {
    if (error instanceof UsageError) return null
    throw error
  }
}

const unsendable = (what: string, id: string): UsageError =>
  new UsageError(
    `shards with the ${what} '${id}'`,
    `a ${what} goes to a thread by its name in the catalogue, or as the default export of a module`,
    `give the module's URL as modules.${what}`,
  )
