/**
 * Shrinks the schedule of a finding to fewer switches between CPUs. The result is minimal: without any single one of
 * its switches the finding is lost.
 *
 * Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002)
 * over _stretches_, runs of points of one CPU. A stretch that is left out is made up for at the end, where each CPU
 * goes on to its own end; a stretch that cannot go on is cut short. The length of a stretch is a number of points,
 * which changes when a CPU waits less than before. Delta debugging is therefore repeated over the named places at which
 * the schedule leaves the default one (rebased.ts). Each candidate is run.
 */
import { cpuOf, isGoOn } from '../../machine/engine/actions.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'
import type { Finding } from '../../machine/engine/finding.js'
import type { Budget } from './budget.js'
import { Rebased, MarkRecorder, type Mark } from './rebased.js'
import { defaultAction, ReplayStrategy } from '../schedule/replay.js'
import type { Session } from '../session/session.js'

/** Turns of a schedule up to which two things are tried at once. */
const FEW_TURNS = 12

/** One CPU's turn: the action, and how many points it goes on for. */
interface Stretch {
  readonly action: number
  readonly points: number
}

/** A failing execution. */
export interface Failure {
  readonly finding: Finding
  readonly picks: readonly number[]
  /** Turns taken over by another CPU. */
  readonly switches: number
}

/** `failure` came up in `session`, whose machine is left as the smaller execution left it. */
export function fewerSwitches(session: Session, failure: Failure, budget: Budget): Failure {
  const shrunk = new Shrinker(session, failure, budget).run()
  if (shrunk.switches === 0) return shrunk
  const fewer = new Shrinker(session, shrunk, budget).withoutMarks()
  return fewer.switches < shrunk.switches ? fewerSwitches(session, fewer, budget) : shrunk
}

/** Turns that another CPU takes over when `session` takes `picks`. */
export function switchesOf(session: Session, picks: readonly number[]): number {
  const recorded = new ActionRecorder(new ReplayStrategy(picks))
  session.execute(recorded)
  return switchesIn(stretches(recorded.actions))
}

class Shrinker {
  readonly #session: Session
  readonly #failure: Failure
  readonly #budget: Budget
  #choices: readonly number[] = []

  constructor(session: Session, failure: Failure, budget: Budget) {
    this.#session = session
    this.#failure = failure
    this.#budget = budget
  }

  run(): Failure {
    const recorded = new ActionRecorder(new ReplayStrategy(this.#failure.picks))
    if (this.#execute(recorded) === null) return this.#failure
    const all = stretches(recorded.actions)
    this.#choices = recorded.choices
    const least = this.#lengthen(this.#shift(this.#minimize(all)))
    const recordedLeast = new ActionRecorder(new Turns(least, this.#choices))
    const finding = this.#execute(recordedLeast)
    const switches = switchesIn(stretches(recordedLeast.actions))
    if (finding === null || switches >= switchesIn(all)) return this.#asItWas(switchesIn(all))
    return { finding, picks: this.#session.engine.picks, switches }
  }

  #asItWas(switches: number): Failure {
    const { finding, picks } = this.#failure
    return { finding: this.#execute(new ReplayStrategy(picks)) ?? finding, picks, switches }
  }

  /** Without one or two of its marks, if that fails with fewer switches; else as it was. */
  withoutMarks(): Failure {
    const session = this.#session
    const marking = new MarkRecorder(session, new ReplayStrategy(this.#failure.picks))
    this.#execute(marking)
    for (const marks of fewerMarks(marking.marks)) {
      if (this.#budget.isSpent) break
      const finding = this.#execute(new Rebased(session, marks))
      if (finding === null) continue
      const { picks } = session.engine
      const switches = switchesOf(session, picks)
      if (switches < this.#failure.switches) return { finding, picks, switches }
    }
    return this.#asItWas(this.#failure.switches)
  }

  /** Takes out ever smaller runs of stretches, as long as the finding stays. */
  #minimize(all: readonly Stretch[]): readonly Stretch[] {
    let kept = all
    for (let size = Math.ceil(kept.length / 2); size >= 1;) {
      const smaller = this.#without(kept, size)
      if (smaller === null) size = size === 1 ? 0 : Math.ceil(size / 2)
      else {
        kept = smaller
        size = Math.min(size, Math.max(1, kept.length))
      }
    }
    return kept
  }

  /** `kept` without some run of `size` stretches, merged; null when every run is needed, or the budget is used up. */
  #without(kept: readonly Stretch[], size: number): readonly Stretch[] | null {
    for (let from = kept.length - size; from > -size; from -= size) {
      if (this.#budget.isSpent) return null
      const start = Math.max(0, from)
      const candidate = merged([...kept.slice(0, start), ...kept.slice(from + size)])
      if (candidate.length < kept.length && this.#execute(new Turns(candidate, this.#choices)) !== null)
        return candidate
    }
    return null
  }

  /**
   * Joins turns of a CPU, so that those between them come to lie together: one pair, or two where few turns are left.
   */
  #shift(kept: readonly Stretch[]): readonly Stretch[] {
    const once = joined(kept)
    const twice = kept.length <= FEW_TURNS ? once.flatMap(joined) : []
    for (const candidate of [...once, ...twice]) {
      if (this.#budget.isSpent) break
      if (this.#execute(new Turns(candidate, this.#choices)) !== null) return this.#shift(this.#minimize(candidate))
    }
    return kept
  }

  /** Lets a CPU go on as far as it can, where that makes its later turns unnecessary; as long as it does. */
  #lengthen(kept: readonly Stretch[]): readonly Stretch[] {
    for (let index = 0; index < kept.length && !this.#budget.isSpent; index++) {
      const turns = kept.map((turn, i) => (i === index ? { ...turn, points: Infinity } : turn))
      const recorded = new ActionRecorder(new Turns(turns, this.#choices))
      if (this.#execute(recorded) === null) continue
      const shorter = stretches(recorded.actions)
      if (switchesIn(shorter) < switchesIn(kept)) return this.#lengthen(this.#shift(this.#minimize(shorter)))
    }
    return kept
  }

  /** The finding of this execution if it is the wanted one. */
  #execute(strategy: Strategy): Finding | null {
    const { finding } = this.#session.execute(strategy)
    this.#budget.spend(this.#session.engine.steps)
    return finding !== null &&
      finding.oracle === this.#failure.finding.oracle &&
      finding.title === this.#failure.finding.title
      ? finding
      : null
  }
}

/** Without one of them, and where there are few without two, each two once. */
function fewerMarks(marks: readonly Mark[]): Mark[][] {
  const without = (all: readonly Mark[]): Mark[][] => all.map((_, index) => all.filter((_mark, i) => i !== index))
  const once = without(marks)
  return marks.length <= FEW_TURNS ? [...once, ...once.flatMap((rest, gone) => without(rest).slice(gone))] : once
}

// ---- schedules ------------------------------------------------------------------------------------------------------

/** Stretches in turn; after the last, the CPU that has the turn keeps it. */
class Turns implements Strategy {
  readonly #stretches: readonly Stretch[]
  readonly #choices: readonly number[]
  #turn = 0
  #gone = 0
  #chosen = 0

  constructor(turns: readonly Stretch[], choices: readonly number[]) {
    this.#stretches = turns
    this.#choices = choices
  }

  pick(point: SchedulePoint): number {
    for (;;) {
      const turn = this.#stretches[this.#turn]
      if (turn === undefined) return defaultAction(point)
      if (this.#gone < turn.points && point.actions.has(turn.action)) {
        this.#gone++
        return turn.action
      }
      this.#turn++
      this.#gone = 0
    }
  }

  choose(n: number): number {
    const wanted = this.#choices[this.#chosen++] ?? 0
    return wanted < n ? wanted : 0
  }
}

/** Keeps actions and choices apart, which the engine notes in one list. */
class ActionRecorder implements Strategy {
  readonly actions: number[] = []
  readonly choices: number[] = []
  readonly #inner: Strategy

  constructor(inner: Strategy) {
    this.#inner = inner
  }

  pick(point: SchedulePoint): number {
    const action = this.#inner.pick(point)
    this.actions.push(action)
    return action
  }

  choose(n: number, cpu: number): number {
    const choice = this.#inner.choose(n, cpu)
    this.choices.push(choice)
    return choice
  }
}

function stretches(actions: readonly number[]): Stretch[] {
  return merged(actions.map((action) => ({ action, points: 1 })))
}

/** With one turn joined with the next or the last one of its CPU, in every way. */
function joined(turns: readonly Stretch[]): Stretch[][] {
  return turns.flatMap((turn, index) => {
    if (!isGoOn(turn.action)) return []
    const later = turns.findIndex(({ action }, i) => i > index && action === turn.action)
    const earlier = turns.findLastIndex(({ action }, i) => i < index && action === turn.action)
    return [later, earlier]
      .filter((target) => target >= 0)
      .map((target) => {
        const longer = turns.map((other, i) =>
          i === target ? { ...other, points: other.points + turn.points } : other,
        )
        return merged(longer.filter((_, i) => i !== index))
      })
  })
}

/** Neighbours of one CPU become one; interrupts are an action each. */
function merged(turns: readonly Stretch[]): Stretch[] {
  const result: Stretch[] = []
  for (const turn of turns) {
    const last = result[result.length - 1]
    if (last !== undefined && last.action === turn.action && isGoOn(turn.action))
      result[result.length - 1] = { action: last.action, points: last.points + turn.points }
    else result.push(turn)
  }
  return result
}

/** Times that another CPU goes on; an interrupt is a turn of the CPU that takes it. */
function switchesIn(turns: readonly Stretch[]): number {
  let [count, last] = [0, -1]
  for (const { action } of turns) {
    const cpu = cpuOf(action)
    if (last >= 0 && cpu !== last) count++
    last = cpu
  }
  return count
}
