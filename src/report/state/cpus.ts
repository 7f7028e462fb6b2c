/** The activity of each CPU, and the interrupts on their way to it. */
import { CPU_STATE } from '../../arch/cpuState.js'
import { SYNC_CPU_STATE } from '../../sync/cpuState.js'
import { holderOf, lockWaitedFor } from '../../boot/threads/waiting.js'
import type { Machine } from '../../boot/machine.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { CSD } from '../../machine/cpu/ipi.js'
import { peek32 } from '../../machine/image/image.js'
import { describeAddress } from '../address.js'
import { describeCurrentOp } from '../operation.js'
import type { Program } from '../../program/op.js'
import { NO_FRAMES, type Put } from './cell.js'
import { mmName } from './tlbs.js'

const AT = CPU_AREA.at

/** `begun`: CPUs that have made a step. */
export function readCpus(machine: Machine, programs: readonly Program[], begun: ReadonlySet<number>, put: Put): void {
  for (let cpu = 0; cpu < machine.config.cpus; cpu++) {
    const area = machine.regions.cpus.cpus + cpu * CPU_AREA.size
    const cell = (within: number, name: string, text: string): void =>
      put({ panel: 'cpus', group: `CPU ${cpu}`, name, text, order: [cpu, within], addr: 0, frames: NO_FRAMES })
    cell(0, 'operation', begun.has(cpu) ? describeCurrentOp(machine, programs[cpu] ?? [], cpu) : 'not begun')
    const context = contextOf(area)
    if (context !== '') cell(1, 'context', context)
    const word = peek32(area + AT.waitingOn)
    if (word !== 0) cell(2, 'waits', describeWait(machine, cpu, word))
    const mm = peek32(area + CPU_STATE.at.currentMm)
    cell(3, 'address space', mm === 0 ? 'none' : mmName(machine, mm))
    const borrowed = peek32(area + CPU_STATE.at.activeMm)
    if (borrowed !== 0) cell(4, 'kernel thread', `has borrowed ${mmName(machine, borrowed)}`)
  }
}

function describeWait(machine: Machine, cpu: number, word: number): string {
  const { regions, config } = machine
  const request = (word - regions.csd) / CSD.size
  if (Number.isInteger(request) && request >= 0 && request < config.cpus ** 2)
    return `for CPU ${request % config.cpus} to handle an interrupt`
  const lock = lockWaitedFor(machine, cpu, word)
  const holder = holderOf(machine, cpu, word)
  return `for ${describeAddress(machine, lock)}${holder < 0 ? '' : `, held by CPU ${holder}`}`
}

function contextOf(area: number): string {
  const parts: string[] = []
  if (peek32(area + AT.inIrq) > 0) parts.push('in an interrupt')
  if (peek32(area + AT.irqDepth) > 0) parts.push('IRQs off')
  if (peek32(area + AT.preemptCount) > 0) parts.push('preemption off')
  if (peek32(area + SYNC_CPU_STATE.at.rcuNesting) > 0) parts.push('rcu_read_lock')
  return parts.join(', ')
}

export function readIpis(machine: Machine, put: Put): void {
  const { cpus } = machine.config
  for (let from = 0; from < cpus; from++)
    for (let to = 0; to < cpus; to++) {
      const csd = machine.regions.csd + (from * cpus + to) * CSD.size
      if (peek32(csd + CSD.at.lock) === 0) continue
      const text = `${progressOf(machine, to, csd)}${peek32(csd + CSD.at.sync) === 0 ? '' : `, CPU ${from} waits for its end`}`
      const name = `CPU ${from} to CPU ${to}`
      put({ panel: 'ipis', group: 'requests', name, text, order: [0, from * cpus + to], addr: csd, frames: NO_FRAMES })
    }
}

/** How far a request to CPU `to` is: it is claimed, then queued, then taken off the queue in the interrupt. */
function progressOf(machine: Machine, to: number, csd: number): string {
  if (isQueued(machine, to, csd)) return 'sent'
  const inIrq = peek32(machine.regions.cpus.cpus + to * CPU_AREA.size + AT.inIrq)
  return inIrq > 0 ? 'being handled' : 'being sent'
}

function isQueued({ regions, config }: Machine, cpu: number, csd: number): boolean {
  let at = peek32(regions.cpus.cpus + cpu * CPU_AREA.size + AT.callQueue)
  for (let i = 0; at !== 0 && i < config.cpus; i++, at = peek32(at + CSD.at.next)) if (at === csd) return true
  return false
}
