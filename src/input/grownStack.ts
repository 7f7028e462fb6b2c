/** Stacks that grow down by touches, which no log shows: what calls and snapshots tell of them. */
import type { AddressSpaceModel } from './addressSpaceModel.js'
import { rangeOf } from './changedBy.js'
import type { MapsVma } from './maps.js'
import { succeeded, type LogEvent } from './straceEvent.js'

/**
 * A stack that had to grow before the call: the page that it begins with then. It has grown as far as the last snapshot
 * shows, since the call may have cut it in two.
 */
export function grownFor(event: LogEvent, model: AddressSpaceModel, final: readonly MapsVma[]): number | undefined {
  const range = event.kind === 'call' && succeeded(event) && event.name !== 'munmap' ? rangeOf(event) : undefined
  if (range === undefined || !model.isBelowStack(range.start)) return undefined
  let { start } = range
  for (const vma of [...final].reverse()) {
    const isPart = vma.start < start && start <= vma.end && vma.perms[3] === 'p' && model.isBelowStack(vma.start)
    if (isPart) start = vma.start
  }
  model.grow(start)
  return start
}
