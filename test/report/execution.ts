import { bugById } from '../../dist/src/bug/index.js'
import { explore } from '../../dist/src/explore/explore.js'
import { decodeToken } from '../../dist/src/explore/token.js'
import { explain } from '../../dist/src/report/explain.js'
import type { PlayedExecution } from '../../dist/src/report/playerHtml.js'
import { scenarioById } from '../../dist/src/scenario/catalog/index.js'

/** An execution of `scenario` in which `bug` is found, replayed. */
export function found(scenarioId: string, bugId: string): PlayedExecution {
  const [scenario, bug] = [scenarioById(scenarioId), bugById(bugId)]
  const { finding } = explore({ scenario, bug, seed: 1, executions: 5000, shrink: true })
  if (finding === null) throw new Error(`seed 1 finds nothing in 5000 executions of ${scenarioId}`)
  return { explanation: explain(decodeToken(finding.token), scenario, bug), scenario, bug, token: finding.token }
}

/** The same execution again. */
export const again = ({ token, scenario, bug }: PlayedExecution): PlayedExecution => ({
  explanation: explain(decodeToken(token), scenario, bug),
  scenario,
  bug,
  token,
})
