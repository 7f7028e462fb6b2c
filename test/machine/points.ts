/** Schedule points as the engine hands them to a strategy. */
import { actionOf, Actions } from '../../dist/src/machine/engine/actions.js'
import type { SchedulePoint } from '../../dist/src/machine/engine/controlled.js'

/** `masks`: by kind of action, the CPUs that have one. */
export function pointAt(current: number, masks: readonly number[], kind = 0, addr = 0): SchedulePoint {
  return { current, kind, addr, actions: actionsOf(masks) }
}

export function actionsOf(masks: readonly number[]): Actions {
  const actions = new Actions(Math.max(2, masks.length))
  for (const [kind, mask] of masks.entries())
    for (let cpu = 0; cpu < 30; cpu++) if ((mask >>> cpu) & 1) actions.add(actionOf(kind, cpu))
  return actions
}

/** The members of `actions`, in order. */
export function membersOf(actions: Actions): number[] {
  const members: number[] = []
  for (let action = actions.from(0); action >= 0; action = actions.from(action + 1)) members.push(action)
  return members
}
