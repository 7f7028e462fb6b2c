import type { Bug } from '../../dist/src/bug/bug.js'
import type { Scenario } from '../../dist/src/scenario/scenario.js'

/** `scenario` on fixed code, with the settings of `bug`; as it is where the bug is a setting and nothing else. */
export function withoutBug(scenario: Scenario, { parts, config }: Bug): Scenario {
  const isSetting = Object.keys(parts).length === 0
  return isSetting ? scenario : { ...scenario, config: { ...scenario.config, ...config } }
}
