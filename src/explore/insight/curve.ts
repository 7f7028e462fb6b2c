/**
 * The failure curve of an execution: the chance that its schedule, followed up to some point and continued at random,
 * fails in the same way. The switch at which the chance jumps decided the execution.
 *
 * Deterministic: the same picks, seed and sizes give the same curve.
 */
import type { KernelChange } from '../../bug/patch.js'
import { cpuOf } from '../../machine/engine/actions.js'
import type { SchedulePoint, StepRecorder, Strategy } from '../../machine/engine/controlled.js'
import type { Finding } from '../../machine/engine/finding.js'
import type { Reduction } from '../../program/reduction.js'
import type { Scenario } from '../../scenario/scenario.js'
import { RandomStrategy } from '../strategy/random.js'
import { ReplayStrategy } from '../schedule/replay.js'
import { Session } from '../session/session.js'

export interface CurveOptions {
  readonly scenario: Scenario
  readonly change: KernelChange | null
  readonly cpus: number
  /** The rest of the scenario's programs; all of them unless given. */
  readonly reduction?: Reduction | null
  /** The turns of the execution (ControlledEngine.picks), and what it found. */
  readonly picks: readonly number[]
  readonly finding: Pick<Finding, 'oracle'>
  readonly seed?: number
  /** Places at which it is left, PLACES unless given, and runs from each, RUNS unless given. */
  readonly places?: number
  readonly runs?: number
  /** Asked between two places; true ends the work with what there is. */
  readonly stop?: () => boolean
}

export type ContinuationOptions = Pick<CurveOptions, 'picks' | 'finding' | 'seed' | 'runs'>

const PLACES = 40
const RUNS = 100

export interface CurvePoint {
  /** Turns that were taken as recorded, and accesses made by then. */
  readonly turns: number
  readonly step: number
  readonly runs: number
  /** Runs that broke the same rule. */
  readonly failures: number
}

export interface Curve {
  /** By turns. */
  readonly points: readonly CurvePoint[]
  /**
   * The turn with the largest jump: the points before and after it differ by it alone. Null when it was stopped
   * before.
   */
  readonly decisive: { readonly before: CurvePoint; readonly after: CurvePoint; readonly cpu: number } | null
}

export async function failureCurve(options: CurveOptions): Promise<Curve> {
  const { picks, places = PLACES, stop = () => false } = options
  const session = new Session(options.scenario, options.change, options.cpus)
  session.reduce(options.reduction ?? null)
  const sampler = new Continuations(session, options)
  const last = picks.length
  const wanted = new Set(Array.from({ length: places + 1 }, (_, place) => Math.round((place * last) / places)))
  const points = new Map<number, CurvePoint>()
  const sample = async (turns: number): Promise<CurvePoint> => {
    await new Promise((resolve) => setImmediate(resolve))
    const point = points.get(turns) ?? sampler.sample(turns)
    points.set(turns, point)
    return point
  }
  for (const turns of wanted) if (!stop()) await sample(turns)
  const sorted = (): CurvePoint[] => [...points.values()].sort((a, b) => a.turns - b.turns)
  let jump = largestJump(sorted())
  while (jump !== null && jump.after.turns - jump.before.turns > 1) {
    if (stop()) return { points: sorted(), decisive: null }
    const middle = await sample((jump.before.turns + jump.after.turns) >> 1)
    jump = largestJump([jump.before, middle, jump.after])
  }
  const decisive = jump === null ? null : { ...jump, cpu: cpuOf(picks[jump.before.turns] as number) }
  return { points: sorted(), decisive }
}

/** Neighbours between which the share of failures grows most, the first of equals; null when it grows nowhere. */
function largestJump(points: readonly CurvePoint[]): { before: CurvePoint; after: CurvePoint } | null {
  let best: { before: CurvePoint; after: CurvePoint } | null = null
  for (let i = 1; i < points.length; i++) {
    const [before, after] = [points[i - 1] as CurvePoint, points[i] as CurvePoint]
    if (growth(before, after) > (best === null ? 0 : growth(best.before, best.after))) best = { before, after }
  }
  return best
}

export const share = ({ failures, runs }: CurvePoint): number => failures / runs
const growth = (before: CurvePoint, after: CurvePoint): number => share(after) - share(before)

/** Runs beginnings of an execution to their ends. */
export class Continuations {
  readonly #session: Session
  readonly #options: ContinuationOptions

  /** `session` runs the programs of the execution. */
  constructor(session: Session, options: ContinuationOptions) {
    this.#session = session
    this.#options = options
  }

  sample(turns: number): CurvePoint {
    const { picks, finding, seed = 1, runs = RUNS } = this.#options
    let failures = 0
    let step = 0
    for (let run = 0; run < runs; run++) {
      const begun = new Begun(picks.slice(0, turns), new RandomStrategy(seed, turns * runs + run, null))
      const ended = this.#session.execute(begun)
      if (ended.finding?.oracle === finding.oracle) failures++
      step = begun.stepsBegun
    }
    return { turns, step, runs, failures }
  }
}

/** Recorded picks first, then another strategy. */
class Begun implements Strategy {
  readonly recorder: StepRecorder
  readonly #recorded: ReplayStrategy
  readonly #then: Strategy
  #left: number
  #steps = 0
  #stepsBegun = -1

  constructor(picks: readonly number[], then: Strategy) {
    this.#recorded = new ReplayStrategy(picks)
    this.#then = then
    this.#left = picks.length
    this.recorder = { step: () => void this.#steps++, event: () => undefined, end: () => undefined }
  }

  /** Accesses made before the recorded picks were used up. */
  get stepsBegun(): number {
    return this.#stepsBegun < 0 ? this.#steps : this.#stepsBegun
  }

  pick(point: SchedulePoint): number {
    return this.#next().pick(point)
  }

  choose(n: number, cpu: number): number {
    return this.#next().choose(n, cpu)
  }

  #next(): Strategy {
    if (this.#left-- > 0) return this.#recorded
    if (this.#stepsBegun < 0) this.#stepsBegun = this.#steps
    return this.#then
  }
}
