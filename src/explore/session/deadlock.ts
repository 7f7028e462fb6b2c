/**
 * A deadlock of a controlled run as a finding. It tells the kernel's deadlocks from those of the programs' own making:
 * CPUs that wait for words, slots and locks of programs, which nobody but an operation of a program changes.
 */
import type { Machine } from '../../boot/machine.js'
import {
  describeWaiting,
  holderOf,
  isProgramWord,
  lockWaitedFor,
  operationName,
  type Waiting,
} from '../../boot/threads/waiting.js'
import { lockName } from '../../check/heldLocks.js'
import type { Finding } from '../../machine/engine/finding.js'

/** `waiting`: CPUs and the words they wait for. */
export function describeDeadlock(machine: Machine, waiting: readonly Waiting[]): Finding {
  const circle = circleOf(machine, waiting)
  // Without a circle, somebody waits for what nobody holds: all others wait for its sake.
  const causes = circle.length > 0 ? circle : waiting.filter(({ cpu, addr }) => holderOf(machine, cpu, addr) < 0)
  const isOwn =
    causes.length > 0 && causes.every(({ cpu, addr }) => isProgramWord(machine, lockWaitedFor(machine, cpu, addr)))
  const title = `${isOwn ? 'the programs hang by themselves' : 'INFO: task hung'}: ${whoWaits(waiting, circle)}`
  const details = [...describeWaiting(machine, waiting), ...circleText(machine, circle)]
  if (isOwn) details.push('Only operations of the programs change what is waited for: no fault of the kernel.')
  const [first] = waiting
  return { oracle: 'deadlock', title, cpu: first?.cpu ?? -1, address: first?.addr ?? null, details, stack: [] }
}

function whoWaits(waiting: readonly Waiting[], circle: readonly Waiting[]): string {
  const all = `${waiting.length} CPUs`
  if (circle.length === 1)
    return waiting.length === 1 ? 'a CPU waits for itself' : `${all} wait, one of them for itself`
  if (circle.length > 1)
    return circle.length === waiting.length
      ? `${all} wait for each other`
      : `${all} wait, ${circle.length} of them for each other`
  return waiting.length === 1 ? 'a CPU waits for what nobody brings about' : `${all} wait for what nobody brings about`
}

/** CPUs each of which waits for a lock that the next one holds, the last for one of the first; empty for no circle. */
function circleOf(machine: Machine, waiting: readonly Waiting[]): readonly Waiting[] {
  const byCpu = new Map(waiting.map((one) => [one.cpu, one]))
  for (const start of waiting) {
    const way: Waiting[] = []
    let next: Waiting | undefined = start
    while (next !== undefined && !way.includes(next)) {
      way.push(next)
      next = byCpu.get(holderOf(machine, next.cpu, next.addr))
    }
    if (next === start) return way
  }
  return []
}

function circleText(machine: Machine, circle: readonly Waiting[]): string[] {
  if (circle.length === 0) return []
  const links = circle.map(({ cpu, addr }) => {
    const lock = lockName(lockWaitedFor(machine, cpu, addr), machine.layout)
    return `CPU ${cpu} (${operationName(machine, cpu)}) → ${lock} → CPU ${holderOf(machine, cpu, addr)}`
  })
  return [`circle: ${links.join(', ')}`]
}
