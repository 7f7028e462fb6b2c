/**
 * The decisive switch of a failing execution: the one without which it most likely would not have failed.
 *
 * The execution is begun again, left before each of its switches between CPUs, and goes on at random from there
 * (curve.ts). The share that fails in the same way begins at what chance alone gives and ends at one; what it grows by
 * between a switch and the next is what the turn that the switch began has decided. The switch whose turn decided most is
 * the decisive one. In an execution that was shrunk no switch can be left out; this says which one matters most.
 *
 * Related: the points from which both failing and good executions go on are looked for by Groce and Visser, "What Went
 * Wrong: Explaining Counterexamples" (SPIN 2003).
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
  /** Who goes on with it; by an interrupt, too. */
  readonly cpu: number
  /** Accesses made before it. */
  readonly steps: number
  /** Shares of the random continuations that fail: from before it, and from the end of the turn that it began. */
  readonly before: number
  readonly after: number
  /** Continuations from each place. */
  readonly runs: number
}

/** Continuations from each place: what decides is told from chance by 50, which take some hundredths of a second. */
const RUNS = 50
/** A turn that decides less leaves the finding to chance, or to others: then no switch is decisive. */
const DECIDES = 0.2
/** An execution with more switches has not been shrunk; which of them decides is --curve's question. */
const SWITCHES_MAX = 24

/**
 * Of the execution of `session` that takes `picks` and ends in `finding`. Null where there are no switches or too many, and
 * where none decides enough.
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

/** Takes picks and notes which of them are switches: how many were taken before, and who goes on. */
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
