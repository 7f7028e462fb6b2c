/**
 * Every schedule, those with the fewest preemptions first: all without one, then all with at most one, and so on. The first
 * finding has as few as any, and a bound that was gone through is a statement: nothing is found with so few.
 *
 * A preemption is to leave a CPU that could go on, for another CPU or for an interrupt. A choice of the program or the
 * hardware other than the first costs as much. When a CPU cannot go on, who is next costs nothing, and all are tried.
 *
 * Source: Musuvathi, Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007
 * (CHESS). Departure: each bound is gone through depth first, and the executions of smaller bounds are run again on the way
 * instead of being remembered. So memory holds the branches of one execution and no more, whatever the bound.
 */
import { assert } from '../base/assert.js'
import { countBits, nthBit } from '../base/bits.js'
import { INTERRUPT, type Strategy } from '../machine/engine/controlled.js'
import { RoundRobin } from './fair.js'
import type { Search, SearchProgress } from './search.js'

/** Points that a CPU goes on for before it counts as waiting for others in a loop; then all take turns to the end. */
const PATIENCE = 2000

/** A place of the execution at hand where it could have gone another way. */
interface Branch {
  taken: number
  /** Ways to go; way 0 is the default. */
  readonly ways: number
  /** What a way other than 0 costs: 0 or 1. */
  readonly cost: number
}

export class BoundedSearch implements Search, Strategy {
  #bound = 0
  #started = false
  #complete = false
  /** Whether some execution took turns at its end, where no other way was tried. */
  #cut = false
  readonly #path: Branch[] = []
  /** Of the execution at hand: branches gone through, what they cost, and the CPU that keeps going on. */
  #depth = 0
  #spent = 0
  #last = -1
  #streak = 0
  #fair: RoundRobin | null = null
  /** Of this bound: executions, those that reached it, and ways not gone because they cost more. */
  #executions = 0
  #atBound = 0
  #beyond = 0
  /** Of the bounds before: schedules in all, and those that the last one was expected to have and had. */
  #before = 0
  #expected = 1
  #factor = 1

  next(): Strategy | null {
    if (this.#started && !this.#backtrack() && !this.#raiseBound()) return null
    this.#started = true
    this.#depth = this.#spent = this.#streak = 0
    this.#last = -1
    this.#fair = null
    return this
  }

  ended(): void {
    this.#executions++
    if (this.#spent === this.#bound) this.#atBound++
  }

  progress(): SearchProgress {
    const butFor = this.#cut ? `, but for what follows a wait of ${PATIENCE} accesses` : ''
    if (this.#complete)
      return { bound: this.#bound, estimate: this.#cut ? null : 0, note: `every schedule was run${butFor}` }
    const estimate = Math.max(1, Math.round(this.#before + this.#expected - this.#executions))
    const reached = this.#bound === 0 ? '' : `every schedule ${withAtMost(this.#bound - 1)} was run${butFor}; `
    const toCome = `about ${estimate.toLocaleString('en-US')} ${withAtMost(this.#bound)} are still to come`
    return { bound: this.#bound - 1, estimate, note: reached + toCome }
  }

  // ---- the execution at hand --------------------------------------------------------------------------------------

  pick(current: number, runnable: number, interruptible: number): number {
    if (current !== this.#last) this.#streak = 0
    if (++this.#streak > PATIENCE) this.#takeTurns()
    if (this.#fair !== null) return this.#fair.pick(current, runnable, interruptible)
    const stays = current >= 0
    const others = stays ? runnable & ~(1 << current) : runnable
    const ways = countBits(others) + countBits(interruptible) + (stays ? 1 : 0)
    const way = this.#way(ways, stays ? 1 : 0)
    const action = stays && way === 0 ? current : actionAt(others, interruptible, stays ? way - 1 : way)
    this.#last = action
    return action
  }

  choose(n: number): number {
    return this.#way(n, 1)
  }

  #takeTurns(): void {
    this.#fair ??= new RoundRobin()
    this.#cut = true
  }

  #way(ways: number, cost: number): number {
    if (ways === 1) return 0
    if (cost > 0 && this.#spent === this.#bound) {
      this.#beyond += ways - 1
      return 0
    }
    let branch = this.#path[this.#depth]
    if (branch === undefined) this.#path.push((branch = { taken: 0, ways, cost }))
    assert(branch.ways === ways, 'the same turns lead to the same branches')
    this.#depth++
    if (branch.taken > 0) this.#spent += cost
    return branch.taken
  }

  // ---- from one to the next ---------------------------------------------------------------------------------------

  /** To the next schedule within the bound, by another way at the last place that has one; false when there is none. */
  #backtrack(): boolean {
    for (;;) {
      const branch = this.#path[this.#path.length - 1]
      if (branch === undefined) return false
      if (++branch.taken < branch.ways) return true
      this.#path.pop()
    }
  }

  /** False when no schedule lies beyond the bound. */
  #raiseBound(): boolean {
    this.#complete = this.#beyond === 0
    if (this.#complete) return false
    if (this.#bound > 0) this.#factor = this.#atBound / this.#expected
    this.#before += this.#atBound
    this.#expected = this.#beyond * this.#factor
    this.#bound++
    this.#executions = this.#atBound = this.#beyond = 0
    return true
  }
}

function withAtMost(bound: number): string {
  if (bound === 0) return 'without a preemption'
  return `with at most ${bound} preemption${bound === 1 ? '' : 's'}`
}

/** The `n`-th of the CPUs of `runnable` and then of the interrupts of `interruptible`, from 0. */
function actionAt(runnable: number, interruptible: number, n: number): number {
  const count = countBits(runnable)
  return n < count ? nthBit(runnable, n) : INTERRUPT + nthBit(interruptible, n - count)
}
