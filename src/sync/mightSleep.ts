/**
 * The rule of sleeping: a CPU may give itself away only where nothing on it forbids that.
 *
 * Source: might_sleep() and __might_resched() in kernel/sched/core.c (v6.12). Checked at every call that could sleep,
 * not only when it does, so that a wrong call shows without contention.
 */
import { SYNC_CPU_STATE } from './cpuState.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { peek32 } from '../machine/image/guarded.js'

/** How deep in rcu_read_lock() this CPU is. */
export const rcuNesting = (cpu: Cpu): number => peek32(cpu.area + SYNC_CPU_STATE.at.rcuNesting)

/** True inside an RCU reader of any kind: rcu_read_lock(), preemption off, IRQs off. */
export function inRcuReader(cpu: Cpu): boolean {
  return cpu.preemptCount !== 0 || !cpu.irqsEnabled || peek32(cpu.area + SYNC_CPU_STATE.at.rcuNesting) !== 0
}

/** might_sleep(): a finding unless this CPU may sleep here. `what` is the function that asks. */
export function mightSleep(cpu: Cpu, what: string): void {
  if (inRcuReader(cpu)) reportAtomic(cpu, what)
}

/** What makes this CPU's context atomic, for findings. */
export function describeContext(cpu: Cpu): string {
  const irqs = cpu.irqsEnabled ? 'on' : 'off'
  return `preempt_count ${cpu.preemptCount}, IRQs ${irqs}, rcu_read_lock nesting ${rcuNesting(cpu)}`
}

function reportAtomic(cpu: Cpu, what: string): never {
  return cpu.report('sleep-in-atomic', `BUG: sleeping function called from invalid context: ${what}()`, null, [
    describeContext(cpu),
  ])
}
