/** Who waits for whom: a deadlock as a finding. */
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Finding } from '../machine/engine/finding.js'
import { peek32 } from '../machine/image/image.js'
import type { Machine } from './machine.js'
import { OPS } from '../program/op.js'

/** `waiting`: CPUs and the words they wait for. Lock words keep their owner (CPU + 1) in the word behind them. */
export function describeDeadlock(machine: Machine, waiting: readonly { cpu: number; addr: number }[]): Finding {
  const details = waiting.map(({ cpu, addr }) => {
    const area = machine.regions.cpus.cpus + cpu * CPU_AREA.size
    const op = OPS[peek32(area + CPU_AREA.at.opKind)] ?? 'start'
    const irqs = peek32(area + CPU_AREA.at.irqDepth) === 0 ? 'on' : 'off'
    return `CPU ${cpu} in ${op} waits for ${machine.nameOf(addr)} (IRQs ${irqs})${owner(machine, addr)}`
  })
  const title = `INFO: task hung: ${waiting.length} CPUs wait for each other`
  return { oracle: 'deadlock', title, cpu: waiting[0]?.cpu ?? -1, address: waiting[0]?.addr ?? null, details, stack: [] }
}

function owner(machine: Machine, addr: number): string {
  if (!/lock|ptl|Lock/.test(machine.nameOf(addr))) return ''
  const holder = peek32(addr + 4)
  return holder > 0 && holder <= machine.config.cpus ? `, held by CPU ${holder - 1}` : ''
}
