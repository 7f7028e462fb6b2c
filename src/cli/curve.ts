/** --curve: the probability of failure over an execution, for explore and replay. */
import { decodeToken } from '../explore/schedule/token.js'
import { failureCurve, type Curve } from '../explore/insight/curve.js'
import { replay } from '../explore/explore.js'
import type { KernelChange } from '../bug/patch.js'
import type { Scenario } from '../scenario/scenario.js'
import { type Terminal } from './terminal.js'

/** The curve of the execution of `token`; null when it fails nowhere. Ctrl-C ends it with the places it has. */
export async function curveOf(
  token: string,
  scenario: Scenario,
  change: KernelChange | null,
  terminal: Terminal,
): Promise<Curve | null> {
  const { finding, session } = replay(decodeToken(token), scenario, change)
  if (finding === null) return null
  const [picks, { cpus }, { reduction }] = [session.engine.picks, session.machine.config, session]
  return await terminal.untilStopped(async (signal) => {
    terminal.progress(`${scenario.id}: running its beginnings again (Ctrl-C stops)`)
    const curve = await failureCurve({ scenario, change, cpus, reduction, picks, finding, stop: () => signal.aborted })
    terminal.quiet()
    return curve
  })
}
