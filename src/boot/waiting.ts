/** Who waits for whom, in words: for deadlocks and stalls. */
import { CPU_AREA } from '../machine/cpu/area.js'
import { peek32 } from '../machine/image/image.js'
import { OPS } from '../program/op.js'
import type { Machine } from './machine.js'

/** A line for each CPU. `waiting`: CPUs and the words they wait for, 0 for none. */
export function describeWaiting(machine: Machine, waiting: readonly { cpu: number; addr: number }[]): string[] {
  return waiting.map(({ cpu, addr }) => {
    const area = machine.regions.cpus.cpus + cpu * CPU_AREA.size
    const op = OPS[peek32(area + CPU_AREA.at.opKind)] ?? 'start'
    const irqs = peek32(area + CPU_AREA.at.irqDepth) === 0 ? 'on' : 'off'
    const what = addr === 0 ? 'runs or sleeps nowhere' : `waits for ${machine.nameOf(addr)}${owner(machine, addr)}`
    return `CPU ${cpu} in ${op} ${what} (IRQs ${irqs})`
  })
}

/** Lock words keep their owner (CPU + 1) in the word behind them. */
function owner(machine: Machine, addr: number): string {
  if (!/lock|ptl/i.test(machine.nameOf(addr))) return ''
  const holder = peek32(addr + 4)
  return holder > 0 && holder <= machine.config.cpus ? `, held by CPU ${holder - 1}` : ''
}
