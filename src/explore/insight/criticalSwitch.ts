/**
 * The critical switch of a failing execution: the switch between CPUs that raises the chance of the failure most.
 *
 * The execution is followed up to each of its switches and continued at random from there, many times (curve.ts). The
 * share of continuations that fail in the same way begins at the chance of a random schedule and ends at one; its
 * growth between a switch and the next is what the turn after the first of them contributes. The switch before the turn
 * that contributes most is the critical one. No switch of a shrunk execution can be left out; this one matters most.
 *
 * Related: Groce and Visser, "What Went Wrong: Explaining Counterexamples" (SPIN 2003), look for the points from which
 * both failing and good executions go on.
 *
 * Deterministic: the same picks give the same answer.
 */
import { cpuOf } from '../../machine/engine/actions.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'
import type { Finding } from '../../machine/engine/finding.js'
import { Continuations, share } from './curve.js'
import { ReplayStrategy } from '../schedule/replay.js'
import type { Session } from '../session/session.js'

export interface CriticalSwitch {
  /** The CPU that goes on after the switch, or takes an interrupt. */
  readonly cpu: number
  /** Accesses made before it. */
  readonly steps: number
  /** Shares of the random continuations that fail: from before it, and from the end of the turn that it began. */
  readonly before: number
  readonly after: number
  /** Continuations from each place. */
  readonly runs: number
}

/** Continuations from each place: 50 tell a critical switch from chance, and take some hundredths of a second. */
const RUNS = 50
/** A turn that decides less leaves the finding to chance, or to others: then no switch is decisive. */
const DECIDES = 0.2
/** An execution with more switches has not been shrunk; which of them decides is --curve's question. */
const SWITCHES_MAX = 24

/**
 * Of the execution of `session` that takes `picks` and ends in `finding`. Null where there are no switches or too many,
 * and where none decides enough.
 */
export function criticalSwitch(session: Session, picks: readonly number[], finding: Finding): CriticalSwitch | null {
  const noting = new SwitchRecorder(picks)
  session.execute(noting)
  const { switches } = noting
  if (switches.length === 0 || switches.length > SWITCHES_MAX) return null
  const sampler = new Continuations(session, { picks, finding, runs: RUNS })
  const points = switches.map(({ turns }) => sampler.sample(turns))
  const shares = [...points.map(share), 1]
  let best: CriticalSwitch | null = null
  for (const [i, { cpu }] of switches.entries()) {
    const [before, after] = [shares[i] as number, shares[i + 1] as number]
    const steps = points[i]?.step ?? 0
    if (after - before > (best === null ? DECIDES : best.after - best.before))
      best = { cpu, steps, before, after, runs: RUNS }
  }
  return best
}

/** Replays picks and records which of them are switches: the number of picks before each, and the CPU that goes on. */
class SwitchRecorder implements Strategy {
  readonly switches: { readonly turns: number; readonly cpu: number }[] = []
  readonly #inner: ReplayStrategy
  #taken = 0
  #last = -1

  constructor(picks: readonly number[]) {
    this.#inner = new ReplayStrategy(picks)
  }

  pick(point: SchedulePoint): number {
    const action = this.#inner.pick(point)
    const cpu = cpuOf(action)
    if (this.#last >= 0 && cpu !== this.#last) this.switches.push({ turns: this.#taken, cpu })
    this.#last = cpu
    this.#taken++
    return action
  }

  choose(n: number): number {
    this.#taken++
    return this.#inner.choose(n)
  }
}
