/**
 * The effect of an event: all that decides which other events depend on it. Effects are plain data, so that plans are
 * sent to threads and stored in files.
 */
import { cpuOf, isInterrupt } from '../../machine/engine/actions.js'

export interface Effect {
  /** The process, which is the action that its steps are. */
  readonly proc: number
  readonly cpu: number
  /** 32-bit words it goes to: number of the word * 2, + 1 when it writes. */
  readonly words: readonly number[]
  /** CPUs whose interrupts it raised. */
  readonly raises: number
}

/** An event without what only its own execution needs of it. */
export const effectOf = ({ proc, cpu, words, raises }: Effect): Effect => ({ proc, cpu, words, raises })

/** The step of an action that nothing is known of yet. */
export const unknownEffect = (proc: number): Effect => ({ proc, cpu: cpuOf(proc), words: [], raises: 0 })

/** Whether the order of the two matters. */
export function dependent(a: Effect, b: Effect): boolean {
  return a.cpu === b.cpu || conflict(a, b) || raises(a, b) || raises(b, a)
}

const raises = (a: Effect, b: Effect): boolean => isInterrupt(b.proc) && ((a.raises >>> b.cpu) & 1) === 1

/** Whether both go to a word and one writes it. */
export function conflict(a: Effect, b: Effect): boolean {
  for (const mine of a.words)
    for (const other of b.words) if (mine >>> 1 === other >>> 1 && ((mine | other) & 1) === 1) return true
  return false
}
