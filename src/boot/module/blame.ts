/** Tells an error that a user's module threw, or led to, from a fault of racewalk. */
import { Halted, Panic } from '../../machine/engine/finding.js'
import { UsageError } from '../../base/errors.js'
import { userFrames } from './places.js'

/** Frames of the user's that are shown. */
const SHOWN = 5

/** `error` as the user's: where in the source it was thrown. Null if no module of a user's was running. */
export function thrownByUser(error: unknown): UsageError | null {
  if (!(error instanceof Error) || isOwn(error)) return null
  const frames = userFrames(error.stack ?? '')
  const [innermost] = frames
  if (innermost === undefined) return null
  const lines = frames.slice(0, SHOWN).map(({ name, place }) => (name === '' ? place : `${name} (${place})`))
  return new UsageError(
    `${innermost.place}: ${error.name}: ${error.message}`,
    `thrown in code that was loaded from a file, innermost first:\n    ${lines.join('\n    ')}`,
  )
}

/** Calls `call`; what a user's module throws meanwhile comes out as a UsageError that says where. */
export function blame<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw thrownByUser(error) ?? error
  }
}

/** A panic is the kernel's, whoever ran into it, and what is wrong use already says so. */
const isOwn = (error: Error): boolean =>
  error instanceof Panic || error instanceof Halted || error instanceof UsageError
