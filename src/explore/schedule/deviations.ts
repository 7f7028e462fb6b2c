/**
 * A schedule as the points at which it deviates from the default schedule.
 *
 * The default schedule lets the CPU that runs go on, then the lowest CPU that can, delivers interrupts when no CPU can
 * go on, and chooses 0. A point is named by its CPU, the operation of that CPU, the access that is next and the kind of
 * word it goes to (such as `cmpxchg32 page.refcount`), and the number of such points before it in the operation. An
 * edit elsewhere in the kernel leaves these names as they are, so a schedule outlives edits that do not touch the named
 * points.
 */
import { fnv1a } from '../../base/hash.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { ACCESSES, accessName } from '../../machine/cpu/access.js'
import { cpuOf } from '../../machine/engine/actions.js'
import type { SchedulePoint, StepRecorder, Strategy } from '../../machine/engine/controlled.js'
import type { Finding } from '../../machine/engine/finding.js'
import { peek32 } from '../../machine/image/image.js'
import type { Layout } from '../../machine/image/layout.js'
import { defaultAction, ReplayStrategy } from './replay.js'
import type { Session } from '../session/session.js'

export interface Point {
  /** The CPU at the point, or the one that ran last when none can be left; 0 at the start. */
  readonly cpu: number
  /** Operations of its program that this CPU had ended. */
  readonly operation: number
  /** The access that it was about to make, as a 24-bit hash of the words (whatOf). */
  readonly what: number
  /** How often it had come to such a point in this operation before. */
  readonly occurrence: number
}

/** At this point, `action` (an action of the engine, or the value of a choice) instead of the default. */
export interface Deviation extends Point {
  readonly action: number
}

const STOPPED = 'stopped'
const CHOICE = 'choice'

/** Names the points of an execution, and counts them for that. */
class Points {
  readonly #layout: Layout
  readonly #cpus: number
  readonly #kinds = new Map<number, number>()
  readonly #seen = new Map<number, Map<number, number>>()
  readonly #operation = new Map<number, number>()

  constructor({ machine }: Session) {
    this.#layout = machine.layout
    this.#cpus = machine.regions.cpus.cpus
  }

  /** The name of the engine's point; `last`: the CPU that ran last. */
  at({ current, kind, addr }: SchedulePoint, last: number): Point {
    return current < 0 ? this.#named(last, hash24(STOPPED)) : this.#access(current, kind, addr)
  }

  #access(cpu: number, kind: number, addr: number): Point {
    const key = addr * ACCESSES.length + kind
    let what = this.#kinds.get(key)
    if (what === undefined) this.#kinds.set(key, (what = accessHash(kind, addr, this.#layout)))
    return this.#named(cpu, what)
  }

  choice(cpu: number): Point {
    return this.#named(cpu, hash24(CHOICE))
  }

  #named(cpu: number, what: number): Point {
    const operation = peek32(this.#cpus + cpu * CPU_AREA.size + CPU_AREA.at.opsDone)
    if (this.#operation.get(cpu) !== operation) {
      this.#operation.set(cpu, operation)
      this.#seen.set(cpu, new Map())
    }
    const seen = this.#seen.get(cpu) as Map<number, number>
    const occurrence = seen.get(what) ?? 0
    seen.set(what, occurrence + 1)
    return { cpu, operation, what, occurrence }
  }
}

/**
 * The execution that takes `picks`, once more: where it deviates, and its finding. The session's machine is left as
 * it ends.
 */
export function deviationsOf(
  session: Session,
  picks: readonly number[],
): { readonly deviations: readonly Deviation[]; readonly finding: Finding | null } {
  const noting = new DeviationRecorder(session, new ReplayStrategy(picks))
  const { finding } = session.execute(noting)
  return { deviations: noting.deviations, finding }
}

/** Records the deviations of another strategy. */
class DeviationRecorder implements Strategy {
  readonly deviations: Deviation[] = []
  readonly #points: Points
  readonly #inner: Strategy
  #last = 0

  constructor(session: Session, inner: Strategy) {
    this.#points = new Points(session)
    this.#inner = inner
  }

  pick(point: SchedulePoint): number {
    const named = this.#points.at(point, this.#last)
    const action = this.#inner.pick(point)
    if (action !== defaultAction(point)) this.deviations.push({ ...named, action })
    this.#last = cpuOf(action)
    return action
  }

  choose(n: number, cpu: number): number {
    const point = this.#points.choice(cpu)
    const action = this.#inner.choose(n, cpu)
    if (action !== 0) this.deviations.push({ ...point, action })
    return action
  }
}

/** Follows deviations in turn; after the last one, `then` picks (the default schedule unless given). */
export class DeviationStrategy implements Strategy {
  /** Deviations taken so far. */
  taken = 0
  readonly #deviations: readonly Deviation[]
  readonly #points: Points
  readonly #onPoint: ((cpu: number) => void) | undefined
  readonly #then: Strategy | null
  readonly recorder?: StepRecorder
  /** A deviation came up whose action was not possible. */
  #impossible = false
  #last = 0

  /** `onPoint` hears of each point at which CPU `cpu` might be left. */
  constructor(
    session: Session,
    deviations: readonly Deviation[],
    then: Strategy | null = null,
    onPoint?: (cpu: number) => void,
  ) {
    this.#deviations = deviations
    this.#points = new Points(session)
    this.#then = then
    if (then?.recorder !== undefined) this.recorder = then.recorder
    this.#onPoint = onPoint
  }

  /** The first deviation that was not taken; null when all were. */
  get missed(): Deviation | null {
    return this.#deviations[this.taken] ?? null
  }

  pick(point: SchedulePoint): number {
    if (point.current >= 0) this.#onPoint?.(point.current)
    const action = this.#action(point)
    this.#last = cpuOf(action)
    return action
  }

  #action(point: SchedulePoint): number {
    if (this.#then !== null && this.missed === null) return this.#then.pick(point)
    const action = this.#take(this.#points.at(point, this.#last))
    if (action === null) return defaultAction(point)
    if (point.actions.has(action)) return action
    this.#refuse()
    return defaultAction(point)
  }

  choose(n: number, cpu: number): number {
    if (this.#then !== null && this.missed === null) return this.#then.choose(n, cpu)
    const action = this.#take(this.#points.choice(cpu))
    if (action === null) return 0
    if (action < n) return action
    this.#refuse()
    return 0
  }

  #take(point: Point): number | null {
    const next = this.missed
    if (next === null || this.#impossible || !samePoint(next, point)) return null
    this.taken++
    return next.action
  }

  /** From here on nothing fits. */
  #refuse(): void {
    this.taken--
    this.#impossible = true
  }
}

function samePoint(a: Point, b: Point): boolean {
  return a.cpu === b.cpu && a.operation === b.operation && a.what === b.what && a.occurrence === b.occurrence
}

/** `CPU 1, operation 0, the 3rd cmpxchg32 of page.refcount`. */
export function describePoint(point: Point, layout: Layout): string {
  const nth = `${point.occurrence + 1}${ordinalEnding(point.occurrence + 1)}`
  return `CPU ${point.cpu}, operation ${point.operation}, the ${nth} ${whatOf(point.what, layout)}`
}

/** The words behind a hash: of those that name something in this machine, the first. */
function whatOf(what: number, layout: Layout): string {
  if (what === hash24(STOPPED)) return 'time that it could not go on'
  if (what === hash24(CHOICE)) return 'choice'
  for (const access of ACCESSES)
    for (const kind of layout.kinds) if (hash24(`${access} ${kind}`) === what) return `${access} of ${kind}`
  return 'access to a word that is no more'
}

const ordinalEnding = (n: number): string =>
  n % 100 >= 11 && n % 100 <= 13 ? 'th' : (['th', 'st', 'nd', 'rd'][n % 10] ?? 'th')

/** Access `kind` to `addr` in words, which name the class of the word and not the word. */
export const accessHash = (kind: number, addr: number, layout: Layout): number =>
  hash24(`${accessName(kind)} ${layout.kindOf(addr)}`)

/** FNV-1a, folded to 24 bits. */
function hash24(text: string): number {
  const hash = fnv1a(text)
  return ((hash >>> 24) ^ hash) & 0xffffff
}
