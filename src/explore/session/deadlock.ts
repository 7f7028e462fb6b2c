/** A deadlock of a controlled run as a finding. */
import type { Machine } from '../../boot/machine.js'
import { describeWaiting } from '../../boot/threads/waiting.js'
import type { Finding } from '../../machine/engine/finding.js'

/** `waiting`: CPUs and the words they wait for. */
export function describeDeadlock(machine: Machine, waiting: readonly { cpu: number; addr: number }[]): Finding {
  const title = `INFO: task hung: ${waiting.length} CPUs wait for each other`
  const [first] = waiting
  const details = describeWaiting(machine, waiting)
  return { oracle: 'deadlock', title, cpu: first?.cpu ?? -1, address: first?.addr ?? null, details, stack: [] }
}
