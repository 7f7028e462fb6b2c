/**
 * Fewer switches between CPUs, and still the same finding. What is left cannot lose any one of its switches.
 *
 * Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002) over
 * stretches of one CPU. A stretch that is taken out is made up for at the end, where whoever can goes on to its own end; a
 * stretch that cannot go on is cut short. Each candidate is run, so nothing is believed.
 */
import { INTERRUPT, type Strategy } from '../machine/engine/controlled.js'
import type { Finding } from '../machine/engine/finding.js'
import { goOn, possible, ReplayStrategy } from './replay.js'
import type { Session } from './session.js'

/** One CPU's turn: the action, and how many points it goes on for. */
interface Stretch {
  readonly action: number
  readonly points: number
}

export interface FewerSwitches {
  readonly finding: Finding
  readonly picks: readonly number[]
  /** Turns taken over by another CPU, before and after. */
  readonly switches: { readonly before: number; readonly after: number }
  /** Executions it took. */
  readonly executions: number
}

/**
 * `picks` led to `finding` in `session`; `budget`: executions that it may take. The session's machine is left as the smaller
 * execution left it.
 */
export function fewerSwitches(
  session: Session,
  finding: Finding,
  picks: readonly number[],
  budget: number,
): FewerSwitches {
  return new Shrinker(session, finding, picks, budget).run()
}

class Shrinker {
  readonly #session: Session
  readonly #wanted: Finding
  readonly #picks: readonly number[]
  readonly #budget: number
  #choices: readonly number[] = []
  #executions = 0

  constructor(session: Session, finding: Finding, picks: readonly number[], budget: number) {
    this.#budget = budget
    this.#session = session
    this.#wanted = finding
    this.#picks = picks
  }

  run(): FewerSwitches {
    const recorded = new Recorder(new ReplayStrategy(this.#picks))
    const first = this.#execute(recorded)
    const all = stretches(recorded.actions)
    const before = switchesOf(all)
    const unchanged = { finding: first ?? this.#wanted, picks: [...this.#session.engine.picks] }
    this.#choices = recorded.choices
    if (first === null) return { ...unchanged, picks: this.#picks, switches: { before, after: before }, executions: 1 }
    const least = this.#lengthen(this.#shift(this.#minimize(all)))
    const recordedLeast = new Recorder(new Turns(least, this.#choices))
    const last = this.#execute(recordedLeast)
    const after = switchesOf(stretches(recordedLeast.actions))
    if (last === null || after >= before) {
      const again = this.#execute(new ReplayStrategy(this.#picks)) ?? this.#wanted
      return { finding: again, picks: this.#picks, switches: { before, after: before }, executions: this.#executions }
    }
    const smaller = [...this.#session.engine.picks]
    return { finding: last, picks: smaller, switches: { before, after }, executions: this.#executions }
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
      if (this.#executions >= this.#budget) return null
      const start = Math.max(0, from)
      const candidate = merged([...kept.slice(0, start), ...kept.slice(from + size)])
      if (candidate.length < kept.length && this.#execute(new Turns(candidate, this.#choices)) !== null)
        return candidate
    }
    return null
  }

  /** Joins a turn with the next or the last one of its CPU, so that the turns between them come to lie together. */
  #shift(kept: readonly Stretch[]): readonly Stretch[] {
    for (let index = 0; index < kept.length; index++) {
      const turn = kept[index] as Stretch
      const later = kept.findIndex(({ action }, i) => i > index && action === turn.action)
      const earlier = kept.findLastIndex(({ action }, i) => i < index && action === turn.action)
      for (const target of [later, earlier]) {
        if (target < 0 || turn.action >= INTERRUPT || this.#executions >= this.#budget) continue
        const joined = kept.map((other, i) => (i === target ? { ...other, points: other.points + turn.points } : other))
        const candidate = merged(joined.filter((_, i) => i !== index))
        if (this.#execute(new Turns(candidate, this.#choices)) !== null) return this.#shift(this.#minimize(candidate))
      }
    }
    return kept
  }

  /** Lets a CPU go on as far as it can, where that makes its later turns unnecessary; as long as it does. */
  #lengthen(kept: readonly Stretch[]): readonly Stretch[] {
    for (let index = 0; index < kept.length && this.#executions < this.#budget; index++) {
      const turns = kept.map((turn, i) => (i === index ? { ...turn, points: Infinity } : turn))
      const recorded = new Recorder(new Turns(turns, this.#choices))
      if (this.#execute(recorded) === null) continue
      const shorter = stretches(recorded.actions)
      if (switchesOf(shorter) < switchesOf(kept)) return this.#lengthen(this.#shift(this.#minimize(shorter)))
    }
    return kept
  }

  /** The finding of this execution if it is the wanted one. */
  #execute(strategy: Strategy): Finding | null {
    this.#executions++
    const { finding } = this.#session.execute(strategy)
    return finding !== null && finding.oracle === this.#wanted.oracle && finding.title === this.#wanted.title
      ? finding
      : null
  }
}

// ---- schedules ------------------------------------------------------------------------------------------------------

/** Stretches in turn; when they are over, whoever has the turn keeps it. */
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

  pick(current: number, runnable: number, interruptible: number): number {
    for (;;) {
      const turn = this.#stretches[this.#turn]
      if (turn === undefined) return goOn(current, runnable, interruptible)
      if (this.#gone < turn.points && possible(turn.action, runnable, interruptible)) {
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
class Recorder implements Strategy {
  readonly actions: number[] = []
  readonly choices: number[] = []
  readonly #inner: Strategy

  constructor(inner: Strategy) {
    this.#inner = inner
  }

  pick(current: number, runnable: number, interruptible: number, kind: number, addr: number): number {
    const action = this.#inner.pick(current, runnable, interruptible, kind, addr)
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

/** Neighbours of one CPU become one; interrupts are an action each. */
function merged(turns: readonly Stretch[]): Stretch[] {
  const result: Stretch[] = []
  for (const turn of turns) {
    const last = result[result.length - 1]
    if (last !== undefined && last.action === turn.action && turn.action < INTERRUPT)
      result[result.length - 1] = { action: last.action, points: last.points + turn.points }
    else result.push(turn)
  }
  return result
}

/** Times that another CPU goes on; an interrupt is a turn of the CPU that takes it. */
function switchesOf(turns: readonly Stretch[]): number {
  let [count, last] = [0, -1]
  for (const { action } of turns) {
    const cpu = action % INTERRUPT
    if (last >= 0 && cpu !== last) count++
    last = cpu
  }
  return count
}
