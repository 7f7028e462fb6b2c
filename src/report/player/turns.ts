/** The turns of the CPUs, in stretches: the schedule as a reader sees it. */
import type { PageStep } from './data.js'

export interface Stretch {
  readonly cpu: number
  /** Its first and last step, from 1. */
  readonly from: number
  readonly to: number
  readonly interrupt: boolean
}

export function stretches(steps: readonly PageStep[]): Stretch[] {
  const found: Stretch[] = []
  steps.forEach(({ cpu, interrupt }, i) => {
    const last = found.at(-1)
    if (last !== undefined && last.cpu === cpu && last.interrupt === interrupt)
      found[found.length - 1] = { ...last, to: i + 1 }
    else found.push({ cpu, from: i + 1, to: i + 1, interrupt })
  })
  return found
}

/** The first step behind `step` that another CPU makes than the one before it, or the last step. */
export function nextSwitch(steps: readonly PageStep[], step: number): number {
  for (let next = step + 1; next <= steps.length; next++)
    if (next > 1 && steps[next - 1]?.cpu !== steps[next - 2]?.cpu) return next
  return steps.length
}

/** The last step before `step` at which the turn changed, or 0. */
export function previousSwitch(steps: readonly PageStep[], step: number): number {
  for (let next = step - 1; next > 1; next--) if (steps[next - 1]?.cpu !== steps[next - 2]?.cpu) return next
  return 0
}
