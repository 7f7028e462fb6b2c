/**
 * Iterative preemption bounding runs every schedule, those with the fewest preemptions first: all schedules without a
 * preemption, then all with at most one, and so on. The first finding therefore has as few preemptions as any, and a
 * bound that was searched to its end is a statement: no schedule with so few preemptions breaks a rule.
 *
 * A _preemption_ is a switch away from a CPU that could go on, to another CPU or to an interrupt. A choice of the
 * program or the hardware other than the first costs as much. A switch away from a CPU that cannot go on costs nothing,
 * and each CPU and interrupt is tried in its place.
 *
 * Source: Musuvathi, Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007
 * (CHESS). Departure: each bound is searched depth first, and the executions of smaller bounds are run again on the way
 * instead of being remembered. Memory therefore holds the branches of one execution, whatever the bound.
 */
import { assert } from '../../base/assert.js'
import type { SchedulePoint, Strategy } from '../../machine/engine/controlled.js'
import { RoundRobin } from '../strategy/fair.js'
import { markOf, withAtMost, type SearchProgress, type SystematicSearch } from '../strategy/search.js'

/** Points that a CPU goes on for before it counts as waiting for others in a loop; then all take turns to the end. */
const PATIENCE = 2000

/** A place of the execution at hand where it could have gone another way. */
export interface BoundedBranch {
  taken: number
  /** Ways to go; way 0 is the default. */
  readonly ways: number
  /** Cost of a way other than 0: 0 or 1. */
  readonly cost: number
}

/** The schedules of one bound that begin alike. */
export interface BoundedPart {
  readonly bound: number
  /** Their common beginning: the ways taken, branch after branch. */
  readonly way: readonly number[]
  /** Rest of an earlier search: the branches that follow in its last execution. Null at the beginning. */
  readonly rest: readonly BoundedBranch[] | null
}

/** Stands for the branches that a part begins with, of which only the way is known and needed. */
const GIVEN = { ways: Infinity, cost: 0 }

/** Counts of a part, or of all of a bound so far. */
export interface BoundedCounts {
  executions: number
  /** Those that reached the bound, and ways not gone because they cost more. */
  atBound: number
  beyond: number
  /** Whether some execution took turns at its end, where no other way was tried. */
  cut: boolean
}

export interface BoundedDone {
  readonly counts: BoundedCounts
  readonly rest: readonly BoundedBranch[]
}

/** Where the search stands, between two executions. */
export interface BoundedData {
  readonly bound: number
  readonly path: readonly BoundedBranch[]
  readonly counts: BoundedCounts
  /** Of the bounds before: schedules in all, and those that the last one was expected to have and had. */
  readonly before: number
  readonly expected: number
  readonly factor: number
  /**
   * `begin`: nothing was run yet of what `path` leads to; `over`: no schedule is left within `most`; `complete`: none
   * at all.
   */
  readonly state: 'begin' | 'between' | 'over' | 'complete'
}

export class BoundedSearch implements SystematicSearch, Strategy {
  /** The largest bound to go to. */
  readonly #most: number
  #bound = 0
  #state: BoundedData['state'] = 'begin'
  #path: BoundedBranch[] = []
  /** Branches of the part, which are not its own. */
  #floor = 0
  #isPart = false
  /** Of the execution at hand: branches gone through, what they cost, and the CPU that keeps going on. */
  #depth = 0
  #spent = 0
  #last = -1
  #streak = 0
  #fair: RoundRobin | null = null
  #counts = noCounts()
  /** As in BoundedData. */
  #before = 0
  #expected = 1
  #factor = 1

  /** `preemptions`: the largest bound to go to; null for as many as there are. */
  constructor(preemptions: number | null = null) {
    this.#most = preemptions ?? Infinity
  }

  next(): Strategy | null {
    if (!this.advance()) return null
    this.#state = 'between'
    this.#depth = this.#spent = this.#streak = 0
    this.#last = -1
    this.#fair = null
    return this
  }

  /** Goes to the next schedule, if that has not been done; false when none is left. */
  advance(): boolean {
    if (this.#state === 'between')
      this.#state = this.#backtrack() || (!this.#isPart && this.#raiseBound()) ? 'begin' : this.#end()
    return this.#state === 'begin'
  }

  #end(): 'over' | 'complete' {
    return this.#counts.beyond === 0 && !this.#isPart ? 'complete' : 'over'
  }

  ended(): boolean {
    this.#counts.executions++
    if (this.#spent === this.#bound) this.#counts.atBound++
    return true
  }

  get complete(): boolean {
    return this.#state === 'complete' && !this.#counts.cut
  }

  get mark(): number {
    return markOf([this.#bound, ...this.#path.map(({ taken }) => taken)])
  }

  progress(): SearchProgress {
    const { executions, cut } = this.#counts
    const butFor = cut ? `, but for what follows a wait of ${PATIENCE} accesses` : ''
    const done = this.#state === 'over' || this.#state === 'complete'
    const which = this.#state === 'over' ? `every schedule ${withAtMost(this.#bound)}` : 'every schedule'
    if (done) return { bound: this.#bound, estimate: cut ? null : 0, note: `${which} was run${butFor}` }
    const estimate = Math.max(1, Math.round(this.#before + this.#expected - executions))
    const reached = this.#bound === 0 ? '' : `every schedule ${withAtMost(this.#bound - 1)} was run${butFor}; `
    const toCome = `about ${estimate.toLocaleString('en-US')} ${withAtMost(this.#bound)} are still to come`
    return { bound: this.#bound - 1, estimate, note: reached + toCome }
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  get bound(): number {
    return this.#bound
  }

  /** Of the execution at hand, or the one to come: where it could have gone another way. */
  get path(): readonly BoundedBranch[] {
    return this.#path
  }

  /** Takes over what became of the schedules that begin as the next one. */
  take({ counts, rest }: BoundedDone): void {
    this.#counts.executions += counts.executions
    this.#counts.atBound += counts.atBound
    this.#counts.beyond += counts.beyond
    this.#counts.cut ||= counts.cut
    this.#path.push(...rest.map((branch) => ({ ...branch })))
    this.#state = 'between'
  }

  keep(): BoundedData {
    const path = this.#path.map((branch) => ({ ...branch }))
    const [before, expected, factor] = [this.#before, this.#expected, this.#factor]
    return { bound: this.#bound, path, counts: { ...this.#counts }, before, expected, factor, state: this.#state }
  }

  goOn({ bound, path, counts, before, expected, factor, state }: BoundedData): void {
    this.#bound = bound
    this.#path = path.map((branch) => ({ ...branch }))
    this.#counts = { ...counts }
    ;[this.#before, this.#expected, this.#factor] = [before, expected, factor]
    this.#state = state
  }

  begin({ bound, way, rest }: BoundedPart): void {
    this.#bound = bound
    this.#path = [...way.map((taken) => ({ taken, ...GIVEN })), ...(rest ?? []).map((branch) => ({ ...branch }))]
    this.#floor = way.length
    this.#isPart = true
    this.#counts = noCounts()
    this.#state = rest === null ? 'begin' : 'between'
  }

  done(): BoundedDone {
    return { counts: { ...this.#counts }, rest: this.#path.slice(this.#floor) }
  }

  // ---- the execution at hand --------------------------------------------------------------------------------------

  pick(point: SchedulePoint): number {
    const { current, actions } = point
    if (current !== this.#last) this.#streak = 0
    if (++this.#streak > PATIENCE) this.#takeTurns()
    if (this.#fair !== null) return this.#fair.pick(point)
    const stays = current >= 0
    const way = this.#way(actions.count, stays ? 1 : 0)
    const action = stays && way === 0 ? current : actions.nthBut(current, stays ? way - 1 : way)
    this.#last = action
    return action
  }

  choose(n: number): number {
    return this.#way(n, 1)
  }

  #takeTurns(): void {
    this.#fair ??= new RoundRobin()
    this.#counts.cut = true
  }

  #way(ways: number, cost: number): number {
    if (ways === 1) return 0
    if (cost > 0 && this.#spent === this.#bound) {
      this.#counts.beyond += ways - 1
      return 0
    }
    let branch = this.#path[this.#depth]
    if (branch === undefined) this.#path.push((branch = { taken: 0, ways, cost }))
    assert(this.#depth < this.#floor || branch.ways === ways, 'the same turns lead to the same branches')
    this.#depth++
    if (branch.taken > 0) this.#spent += cost
    return branch.taken
  }

  // ---- from one to the next ---------------------------------------------------------------------------------------

  /** To the next schedule within the bound, by another way at the last place that has one; false when there is none. */
  #backtrack(): boolean {
    while (this.#path.length > this.#floor) {
      const branch = this.#path[this.#path.length - 1] as BoundedBranch
      if (++branch.taken < branch.ways) return true
      this.#path.pop()
    }
    return false
  }

  /** False when no schedule lies beyond the bound, or those are not wanted. */
  #raiseBound(): boolean {
    const { atBound, beyond, cut } = this.#counts
    if (beyond === 0 || this.#bound >= this.#most) return false
    if (this.#bound > 0) this.#factor = atBound / this.#expected
    this.#before += atBound
    this.#expected = beyond * this.#factor
    this.#bound++
    this.#counts = { ...noCounts(), cut }
    return true
  }
}

const noCounts = (): BoundedCounts => ({ executions: 0, atBound: 0, beyond: 0, cut: false })
