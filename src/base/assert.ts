/**
 * Assertions about racewalk itself. A failed one is a fault of ours (exit code 3), never of the simulated kernel:
 * what the kernel may do is a returned value, what it did wrong is a Finding (machine/engine/finding.ts).
 */

/** A broken invariant of racewalk's own code. */
export class SimBug extends Error {
  override name = 'SimBug'
}

/** Throws SimBug with `message`. For messages that carry values: `if (bad) fail(`…`)`. */
export function fail(message: string): never {
  const bug = new SimBug(message)
  Error.captureStackTrace(bug, fail)
  throw bug
}

/** Throws SimBug unless `condition` holds. `message` is fixed text, so that a passing check builds no string. */
export function assert(condition: boolean, message: string): asserts condition {
  if (condition) return
  const bug = new SimBug(message)
  Error.captureStackTrace(bug, assert)
  throw bug
}
