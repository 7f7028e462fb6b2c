/**
 * The vocabulary of actions: all that can happen next on a controlled machine. An action is of a kind and on a CPU, and
 * is one number, kind · 64 + CPU. Recorded schedules hold these numbers, so a kind keeps its place in the list.
 *
 * A kind that is added here is offered and performed by the engine (controlled.ts). Strategies, replay and searches ask
 * this file, so that they handle every kind alike: they draw among all, or keep a priority for each place (placeOf).
 */
import { lowestBit } from '../../base/bits.js'

/**
 * The kinds by number, from 0. `goOn`: the CPU makes its next access. `interrupt`: the CPU takes its pending interrupt.
 */
export const ActionKind = { goOn: 0, interrupt: 1 } as const

export type ActionKindName = keyof typeof ActionKind

/** Names of the kinds, in the order of their numbers. */
export const ACTION_KINDS = Object.keys(ActionKind) as readonly ActionKindName[]

/** CPUs that one controlled machine can have: sets of them are masks of 32 bits. */
export const CONTROLLED_CPUS_MAX = 30

const KIND_SHIFT = 6
const NONE = -1
const CPU_MASK = (1 << KIND_SHIFT) - 1

export const actionOf = (kind: number, cpu: number): number => (kind << KIND_SHIFT) | cpu
export const kindOf = (action: number): number => action >>> KIND_SHIFT
export const cpuOf = (action: number): number => action & CPU_MASK

/**
 * The lowest action at which something comes to a CPU; the actions below it let a CPU go on, and are the CPU's
 * number.
 */
export const FIRST_EVENT = 1 << KIND_SHIFT

/** Whether the action lets a CPU go on. */
export const isGoOn = (action: number): boolean => action < FIRST_EVENT
export const isInterrupt = (action: number): boolean => kindOf(action) === ActionKind.interrupt

/** Place of an action among those of a machine of `cpus` CPUs, from 0: kind after kind. */
export const placeOf = (action: number, cpus: number): number => kindOf(action) * cpus + cpuOf(action)

/** The actions of `kinds` on a machine of `cpus` CPUs, in the order of their places. */
export const everyAction = (kinds: readonly number[], cpus: number): number[] =>
  kinds.flatMap((kind) => Array.from({ length: cpus }, (_, cpu) => actionOf(kind, cpu)))

/**
 * Kinds of actions of a machine that is sequentially consistent. Strategies draw for the kinds of their machine alone,
 * so that a kind which other machines have changes none of their draws.
 */
export const SC_KINDS: readonly number[] = [ActionKind.goOn, ActionKind.interrupt]

/** The kind of an action in words. */
export const kindName = (action: number): string => ACTION_KINDS[kindOf(action)] ?? 'action'

/** An action in words: `2` lets CPU 2 go on, `interrupt 2` is an interrupt of CPU 2. */
export const actionName = (action: number): string =>
  isGoOn(action) ? `${cpuOf(action)}` : `${kindName(action)} ${cpuOf(action)}`

/** A set of actions as plain data: by kind, a mask of CPUs. */
export type ActionMasks = readonly number[]

/**
 * A set of actions, in the order of their numbers. No method allocates but toMasks(). The members stand in a list as
 * well as in the masks: the engine and strategies ask for them at every schedule point, where V8 inlines only so much,
 * and they come and go rarely.
 */
export class Actions {
  /** By kind: a mask of CPUs. */
  readonly masks: number[] = []
  /** Actions in the set. */
  count = 0
  /** The members in order, then NONE. */
  readonly #members: number[] = []

  /** An empty set. */
  constructor(kinds: number = ACTION_KINDS.length) {
    for (let kind = 0; kind < kinds; kind++) this.masks.push(0)
    for (let place = 0; place <= kinds * 32; place++) this.#members.push(NONE)
  }

  clear(): void {
    while (this.count > 0) {
      const action = this.#members[--this.count] as number
      this.masks[kindOf(action)] = 0
      this.#members[this.count] = NONE
    }
  }

  /** The members of `other`. */
  copy(other: Actions): void {
    for (let kind = 0; kind < this.masks.length; kind++) this.masks[kind] = other.masks[kind] as number
    for (let i = 0; i < Math.max(this.count, other.count); i++) this.#members[i] = other.nth(i)
    this.count = other.count
  }

  add(action: number): void {
    const mask = this.masks[kindOf(action)] as number
    const bit = 1 << cpuOf(action)
    if ((mask & bit) !== 0) return
    this.masks[kindOf(action)] = mask | bit
    let at = this.count++
    for (; at > 0 && (this.#members[at - 1] as number) > action; at--)
      this.#members[at] = this.#members[at - 1] as number
    this.#members[at] = action
  }

  delete(action: number): void {
    const mask = this.masks[kindOf(action)] as number
    const bit = 1 << cpuOf(action)
    if ((mask & bit) === 0) return
    this.masks[kindOf(action)] = mask ^ bit
    let at = 0
    while (this.#members[at] !== action) at++
    for (; at < this.count; at++) this.#members[at] = this.#members[at + 1] as number
    this.count--
  }

  /** Whether the action is a member; false for numbers that are no action. */
  has(action: number): boolean {
    const cpu = cpuOf(action)
    return (
      cpu < 32 && kindOf(action) < this.masks.length && (((this.masks[kindOf(action)] as number) >>> cpu) & 1) === 1
    )
  }

  /** CPUs that can go on, as a mask. */
  get runnable(): number {
    return this.masks[0] as number
  }

  /** The lowest member from `action` on, -1 when there is none. */
  from(action: number): number {
    for (let n = 0; n < this.count; n++) if (this.nth(n) >= action) return this.nth(n)
    return NONE
  }

  /** The `n`-th member, from 0; -1 when there are not so many. */
  nth(n: number): number {
    return this.#members[n] as number
  }

  /** The `n`-th of the members other than `action`, a member or -1; from 0, and there are more than `n` of them. */
  nthBut(action: number, n: number): number {
    const member = this.#members[n] as number
    return action >= 0 && member >= action ? (this.#members[n + 1] as number) : member
  }

  /** The only member; -1 when there are none or several. */
  only(): number {
    return this.count === 1 ? this.nth(0) : NONE
  }

  toMasks(): ActionMasks {
    return [...this.masks]
  }
}

/** The actions of a set that is plain data, in order. */
export function actionsIn(masks: ActionMasks): number[] {
  return masks.flatMap((mask, kind) => {
    const actions: number[] = []
    for (let rest = mask; rest !== 0; rest &= rest - 1) actions.push(actionOf(kind, lowestBit(rest)))
    return actions
  })
}

/** `masks` without an action. */
export const masksWithout = (masks: ActionMasks, action: number): ActionMasks =>
  masks.map((mask, kind) => (kind === kindOf(action) ? mask & ~(1 << cpuOf(action)) : mask))
