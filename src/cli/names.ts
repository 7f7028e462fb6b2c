/** Names that a user typed, looked up. */
import { bugById } from '../bug/index.js'
import type { Bug } from '../bug/bug.js'
import { scenarioById, withGpDelay } from '../scenario/catalog/index.js'
import type { Scenario } from '../scenario/scenario.js'

/** By name or number. Throws UsageError, with what exists and the nearest match, for a name that is none. */
export const bugNamed = (id: string | undefined): Bug | null => (id === undefined ? null : bugById(id))

/** The scenario of this name, with `gpDelay` percent if that was asked for. Throws UsageError as above. */
export function scenarioNamed(id: string, gpDelay: number | undefined): Scenario {
  const scenario = scenarioById(id)
  return gpDelay === undefined ? scenario : withGpDelay(scenario, gpDelay)
}
