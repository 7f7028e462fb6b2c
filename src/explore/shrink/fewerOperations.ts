/**
 * Shrinks the programs of a finding to fewer operations, on fewer CPUs, of smaller sizes. The oracle of the finding and
 * its title, but for the frames in it, stay the same.
 *
 * First the programs become flat: the operations that the execution ran, with the addresses and branches that it chose.
 * Then delta debugging leaves operations out (fewerSwitches.ts has the source): whole CPUs, halves of programs, single
 * operations. Then sizes become smaller. Each candidate is run under the present schedule, carried over (rebased.ts),
 * and if it does not fail, under a few schedules that are drawn. A candidate is taken if it fails with no more switches
 * than before.
 *
 * Programs stay whole where an ending or an expected result is judged, since those rest on all of them; and where
 * CPUs wait for ever while there are operations that wait for others, since those left out may be what they wait for.
 * Reductions that misuse the kernel are refused: misuses() of program/reduction.ts.
 */
import { isSameFailure, type Finding } from '../../machine/engine/finding.js'
import type { Strategy } from '../../machine/engine/controlled.js'
import type { Op } from '../../program/op.js'
import { OPERATIONS } from '../../program/operations/table.js'
import { leaves, misuses, sizeOf, type Kept, type Reduction } from '../../program/reduction.js'
import { Budget } from './budget.js'
import { Rebased, MarkRecorder, type Mark } from './rebased.js'
import { Sampler } from './sampler.js'
import { fewerSwitches, type Failure } from './fewerSwitches.js'
import { ReplayStrategy } from '../schedule/replay.js'
import type { Session } from '../session/session.js'

/** Executions that are drawn for a candidate that does not fail under the present schedule. */
const DRAWN = 120
/** Accesses for taking switches out of a candidate's schedule. */
const SWITCHES_STEPS = 60_000

export function canLoseOperations({ bare, scenario, wholePrograms }: Session, { oracle }: Finding): boolean {
  if (bare || scenario.outcome !== undefined || oracle === 'expect') return false
  const waits = wholePrograms
    .flatMap((program) => leaves(program))
    .some(([{ op }]) => OPERATIONS.get(op)?.waits === true)
  return !(waits && (oracle === 'deadlock' || oracle === 'livelock'))
}

/**
 * `failure` came up in `session`, which is left with the reduced programs. `seed`: of the schedules that are drawn for
 * candidates; null for none, which is quick: what fails under its own schedule is taken, with whatever switches.
 */
export function fewerOperations(session: Session, failure: Failure, seed: number | null, budget: Budget): Failure {
  return new Reducer(session, failure, seed, budget).run()
}

class Reducer {
  readonly #session: Session
  readonly #seed: number | null
  readonly #budget: Budget
  readonly #wanted: Finding
  #failure: Failure
  #marks: readonly Mark[] = []
  #kept: Reduction = []
  /** Misuses of the programs before any reduction. */
  #misuses: ReadonlySet<string> = new Set()

  constructor(session: Session, failure: Failure, seed: number | null, budget: Budget) {
    this.#session = session
    this.#failure = failure
    this.#wanted = failure.finding
    this.#seed = seed
    this.#budget = budget
  }

  run(): Failure {
    const before = this.#session.reduction
    if (!this.#flatten()) {
      this.#session.reduce(before)
      return this.#failure
    }
    this.#onlyLast()
    for (let size = -1; size !== this.#operations;) {
      size = this.#operations
      this.#leaveOut()
      this.#makeSmaller()
    }
    this.#session.reduce(this.#isWhole() ? before : this.#kept)
    return this.#failure
  }

  /** The programs as the execution ran them; false if they do not fail so. */
  #flatten(): boolean {
    const session = this.#session
    const marking = new MarkRecorder(session, new ReplayStrategy(this.#failure.picks))
    session.listener = marking
    this.#execute(marking)
    session.listener = null
    this.#misuses = new Set(marking.runs.flatMap((runs) => [...misuses(runs.map(({ op }) => op))]))
    const places = session.programs.map((program, cpu) => placesOf(program, session.reduction?.[cpu] ?? null))
    const flat = marking.runs.map((runs, cpu) =>
      runs.map(({ op, choice }) => {
        const place = places[cpu]?.get(op) as Kept
        return choice === 0 ? place : { ...place, choice }
      }),
    )
    return this.#try(flat, marking.marks)
  }

  get #operations(): number {
    return this.#kept.reduce((sum, kept) => sum + kept.length, 0)
  }

  /** Nothing was left out of flat programs. One without operations is left out: its CPU does not begin. */
  #isWhole(): boolean {
    return this.#session.wholePrograms.every((program, cpu) => {
      const kept = this.#kept[cpu] ?? []
      return (
        kept.length > 0 &&
        kept.length === program.length &&
        kept.every(({ path, size }) => path.length === 1 && size === 0)
      )
    })
  }

  // ---- candidates -------------------------------------------------------------------------------------------------

  #leaveOut(): void {
    const cpus = [...this.#kept.keys()]
    const longest = Math.max(...this.#kept.map(({ length }) => length))
    for (const cpu of cpus) this.#without(cpu, 0, Infinity)
    for (let size = Math.ceil(longest / 2); ; size = Math.ceil(size / 2)) {
      for (const cpu of cpus)
        for (let from = this.#lengthOf(cpu) - size; from > -size; from -= size)
          this.#without(cpu, Math.max(0, from), size)
      if (size === 1) return
    }
  }

  #lengthOf(cpu: number): number {
    return this.#kept[cpu]?.length ?? 0
  }

  /** Keeps the last operations of each CPU alone, as few as will do: a race is mostly between the last ones. */
  #onlyLast(): void {
    const longest = Math.max(...this.#kept.map(({ length }) => length))
    for (let count = 1; count < longest; count *= 2) {
      const kept = this.#kept.map((own) => own.slice(-count))
      const marks = this.#marks.map((mark) => moved(mark, 0, Math.max(0, this.#lengthOf(mark.cpu) - count)))
      if (this.#try(kept, marks)) return
    }
  }

  /** Leaves out `count` operations of `cpu` from number `from` on, if it still fails. */
  #without(cpu: number, from: number, count: number): void {
    const own = this.#kept[cpu] ?? []
    const gone = Math.min(count, own.length - from)
    if (gone <= 0 || gone === this.#operations) return
    const kept = this.#kept.map((all, c) => (c === cpu ? [...own.slice(0, from), ...own.slice(from + gone)] : all))
    const marks = this.#marks.map((mark) => (mark.cpu === cpu ? moved(mark, from, gone) : mark))
    this.#try(kept, marks)
  }

  /** Gives each operation the least size, of 1, 2, 4 … pages, with which it still fails. */
  #makeSmaller(): void {
    const { pageSize } = this.#session.machine.geo
    for (const [cpu, own] of this.#kept.entries())
      for (const index of own.keys()) {
        const now = sizeOf(this.#session.programs[cpu]?.[index] as Op, pageSize)
        for (let size = 1; size < now; size *= 2) if (this.#resize(cpu, index, size)) break
      }
  }

  #resize(cpu: number, index: number, size: number): boolean {
    const own = (this.#kept[cpu] ?? []).map((kept, i) => (i === index ? { ...kept, size } : kept))
    return this.#try(
      this.#kept.map((all, c) => (c === cpu ? own : all)),
      this.#marks,
    )
  }

  // ---- trying one -------------------------------------------------------------------------------------------------

  /**
   * Takes `kept` if it fails as it should, under a schedule with no more switches. The session is left with what is
   * taken.
   */
  #try(kept: Reduction, marks: readonly Mark[]): boolean {
    if (this.#budget.isSpent) return false
    const session = this.#session
    session.reduce(kept)
    const isLegal = session.programs.every((program) => [...misuses(program)].every((what) => this.#misuses.has(what)))
    const failure = isLegal ? this.#failingIfAny(marks) : null
    if (failure === null || (this.#seed !== null && failure.switches > this.#failure.switches)) {
      session.reduce(this.#kept)
      return false
    }
    this.#kept = kept
    this.#failure = failure
    const marking = new MarkRecorder(session, new ReplayStrategy(failure.picks))
    this.#execute(marking)
    this.#marks = marking.marks
    return true
  }

  /** Programs with which the simulator itself fails are none that fail as they should. */
  #failingIfAny(marks: readonly Mark[]): Failure | null {
    try {
      return this.#failing(marks)
    } catch {
      return null
    }
  }

  #failing(marks: readonly Mark[]): Failure | null {
    const { engine } = this.#session
    const finding = this.#execute(new Rebased(this.#session, marks)) ?? this.#draw()
    if (finding === null) return null
    const picks = engine.picks
    const failure = { finding, picks, switches: Infinity }
    return this.#seed === null
      ? failure
      : fewerSwitches(this.#session, failure, new Budget(SWITCHES_STEPS, this.#budget))
  }

  #draw(): Finding | null {
    if (this.#seed === null) return null
    return new Sampler(this.#session, this.#wanted, this.#seed, DRAWN, this.#budget).next()
  }

  /** The finding if it is the wanted one. */
  #execute(strategy: Strategy): Finding | null {
    const { finding } = this.#session.execute(strategy)
    this.#budget.spend(this.#session.engine.steps)
    return finding !== null && isSameFailure(finding, this.#wanted) ? finding : null
  }
}

/** `mark` when `gone` operations of its CPU from number `from` on are gone. */
function moved(mark: Mark, from: number, gone: number): Mark {
  const { operation } = mark
  if (operation < from || gone === 0) return mark
  return operation >= from + gone ? { ...mark, operation: operation - gone } : { ...mark, operation: from, next: null }
}

/**
 * Operations of a program that have been come to, by where they are in the whole one; `kept`: what is left of it
 * already.
 */
function placesOf(program: readonly Op[], kept: readonly Kept[] | null): Map<Op, Kept> {
  if (kept !== null) return new Map(program.map((op, index) => [op, kept[index] as Kept]))
  return new Map(leaves(program).map(([op, path]) => [op, { path, choice: 0, size: 0 }]))
}
