/** The thread of a shard: it boots a machine of its own for the first unit, and runs one unit after another. */
import { Runner } from '../runner.js'
import type { SystematicSearch } from '../strategy/search.js'
import { emptyTally, isOver } from '../tally.js'
import { decodePlan, type EncodedPlan } from '../planCodec.js'
import type { PartResult, PartsResult, PartsUnit, RangeResult, RangeUnit, WorkUnit, UnitResult } from './work.js'

/** Handed to every thread of a pool when it starts. */
export interface ShardData {
  readonly plan: EncodedPlan
  /** One word: units of a higher order are to be dropped, at once. */
  readonly last: Int32Array<SharedArrayBuffer>
  /** As in the thread that explores, so that findings have the same stacks. */
  readonly stackTraceLimit: number
}

/** How long a unit of parts takes: what is searched in it cannot be cut further before it is back. */
const PARTS_MS = 50
/** Between two looks at the shared word. */
const LOOK_EVERY = 8

let runner: Runner | null = null

/** Throws what racewalk or the user's module throws. The machine is booted anew after that. */
export async function runUnit({ plan, last, stackTraceLimit }: ShardData, unit: WorkUnit): Promise<UnitResult> {
  const mine = (runner ??= await boot(plan, stackTraceLimit))
  runner = null
  const dropped = (): boolean => Atomics.load(last, 0) < unit.order
  const result = unit.kind === 'range' ? runRange(mine, unit, dropped) : runParts(mine, unit, dropped)
  runner = mine
  return result
}

function runRange(mine: Runner, unit: RangeUnit, dropped: () => boolean): RangeResult {
  const start = performance.now()
  const tally = emptyTally()
  mine.goTo(unit.from)
  const size = unit.to - unit.from
  while (tally.executions < size && !isOver(tally)) {
    if (tally.executions % LOOK_EVERY === 0 && dropped()) break
    mine.runOne(tally)
  }
  mine.collect(tally)
  return { tally, ended: tally.executions === size || isOver(tally), ms: performance.now() - start }
}

/** Until the time is up, but one execution at least. */
function runParts(mine: Runner, unit: PartsUnit, dropped: () => boolean): PartsResult {
  const end = performance.now() + PARTS_MS
  let made = 0
  const isEnd = (): boolean => dropped() || (made >= unit.least && made > 0 && performance.now() >= end)
  const parts: PartResult[] = []
  for (const part of unit.parts) {
    if (isEnd()) break
    const search = mine.systematic as SystematicSearch
    const tally = emptyTally()
    search.begin(part)
    mine.goTo(unit.from)
    // One execution at least: a part that was begun has a state to go on from.
    do made++
    while (mine.runOne(tally) && tally.executions < unit.most && !isEnd())
    mine.collect(tally)
    // A part that is complete says nothing of the others.
    tally.complete = false
    parts.push({ tally, done: search.done() })
  }
  return { parts }
}

async function boot(plan: EncodedPlan, stackTraceLimit: number): Promise<Runner> {
  Error.stackTraceLimit = stackTraceLimit
  return new Runner(await decodePlan(plan))
}
