import type { Bug } from '../../dist/src/bug/bug.js'
import { bugById } from '../../dist/src/bug/index.js'
import { explore, type ExploreOptions } from '../../dist/src/explore/explore.js'
import { decodeToken, encodeToken } from '../../dist/src/explore/schedule/token.js'
import { explain } from '../../dist/src/report/explain.js'
import type { PlayedExecution } from '../../dist/src/report/playerHtml.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'
import type { Scenario } from '../../dist/src/scenario/scenario.js'

export type FoundExecution = PlayedExecution & { readonly bug: Bug }

/** An execution in which `bug` is found, replayed: the one that shrinking makes of it, unless `more` says otherwise. */
export function found(
  scenarioId: string,
  bugId: string,
  more: Pick<ExploreOptions, 'wanted' | 'shrink'> = {},
): FoundExecution {
  const [scenario, bug] = [scenarioById(scenarioId), bugById(bugId)]
  const { finding } = explore({ scenario, bug, seed: 1, executions: 5000, shrink: true, ...more })
  if (finding === null) throw new Error(`seed 1 finds nothing in 5000 executions of ${scenarioId}`)
  return played(finding.token, scenario, bug)
}

/** The default schedule of the whole programs of `scenario`, which is known to run into `bug`. */
export function byDefault(scenarioId: string, bugId: string): FoundExecution {
  const [scenario, bug] = [scenarioById(scenarioId), bugById(bugId)]
  const { cpus } = scenario
  const token = { scenario: scenarioId, bug: bugId, patch: null, cpus, deviations: [], reduction: null }
  return played(encodeToken(token), scenario, bug)
}

/** The same execution again. */
export const again = ({ token, scenario, bug }: FoundExecution): FoundExecution => played(token, scenario, bug)

function played(token: string, scenario: Scenario, bug: Bug): FoundExecution {
  const explanation = explain(decodeToken(token), scenario, bug)
  return { explanation, scenario, bug, kernel: `bug ${bug.id}`, about: bug.summary, token }
}
