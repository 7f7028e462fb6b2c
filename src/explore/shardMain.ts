/** A shard's thread: a whole machine of its own, booted when the first unit comes, that runs one unit after another. */
import { Runner } from './runner.js'
import { emptyTally, isOver } from './tally.js'
import { planFrom, type PlainPlan } from './travel.js'
import type { Unit, UnitResult } from './work.js'

/** Handed to every thread of a pool when it starts. */
export interface ShardData {
  readonly plan: PlainPlan
  /** One word: units of a higher order are to be dropped, at once. */
  readonly last: Int32Array<SharedArrayBuffer>
  /** As in the thread that explores, so that findings have the same stacks. */
  readonly stackTraceLimit: number
}

/** Between two looks at the shared word. */
const LOOK_EVERY = 8

let runner: Runner | null = null

/** Throws what racewalk or the user's module throws. The machine is booted anew after that. */
export async function runUnit({ plan, last, stackTraceLimit }: ShardData, unit: Unit): Promise<UnitResult> {
  const mine = (runner ??= await boot(plan, stackTraceLimit))
  runner = null
  const start = performance.now()
  const tally = emptyTally()
  mine.goTo(unit.from)
  const size = unit.to - unit.from
  while (tally.executions < size && !isOver(tally)) {
    if (tally.executions % LOOK_EVERY === 0 && Atomics.load(last, 0) < unit.order) break
    mine.runOne(tally)
  }
  mine.collect(tally)
  runner = mine
  return { tally, ended: tally.executions === size || isOver(tally), ms: performance.now() - start }
}

async function boot(plan: PlainPlan, stackTraceLimit: number): Promise<Runner> {
  Error.stackTraceLimit = stackTraceLimit
  return new Runner(await planFrom(plan))
}
