/** Grace periods, readers and callbacks. */
import { SYNC_CPU_STATE } from '../../sync/cpuState.js'
import type { Machine } from '../../boot/machine.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import { peek32 } from '../../machine/image/image.js'
import { funcOf, HEAD_FUNC, isPending, rcuGpInProgress, RCU, RCU_CPU } from '../../sync/rcuLayout.js'
import { describeAddress } from '../address.js'
import { NO_FRAMES, type Put } from './cell.js'

export function readRcu(machine: Machine, put: Put): void {
  const { regions, config } = machine
  const cell = (group: string, order: readonly [number, number], name: string, text: string): void =>
    put({ panel: 'rcu', group, name, text, order, addr: 0, frames: NO_FRAMES })
  cell('grace period', [-1, 0], 'state', gracePeriod(regions.rcu, config.cpus))
  for (let cpu = 0; cpu < config.cpus; cpu++) {
    const own = regions.rcu + RCU.size + cpu * RCU_CPU.size
    const area = regions.cpus.cpus + cpu * CPU_AREA.size
    cell(`CPU ${cpu}`, [cpu, 0], 'reader', readerState(own, area))
    const queued = callbacks(machine, own)
    if (queued !== '') cell(`CPU ${cpu}`, [cpu, 1], 'callbacks', queued)
  }
}

function gracePeriod(rcu: number, cpus: number): string {
  const seq = peek32(rcu + RCU.at.gpSeq)
  const number = seq >>> 2
  if (!rcuGpInProgress(seq)) return `none runs, ${number} have ended`
  const awaited = Array.from({ length: cpus }, (_, cpu) => cpu).filter((cpu) => {
    const mask = peek32(rcu + (cpu < 32 ? RCU.at.qsLow : RCU.at.qsHigh))
    return ((mask >>> (cpu & 31)) & 1) === 1
  })
  return `${number + 1} runs, ${awaited.length === 0 ? 'waits for nobody' : `waits for CPU ${awaited.join(', ')}`}`
}

function readerState(own: number, area: number): string {
  const nesting = peek32(area + SYNC_CPU_STATE.at.rcuNesting)
  if (nesting > 0) return `in rcu_read_lock()${nesting === 1 ? '' : `, ${nesting} deep`}`
  if (peek32(area + CPU_AREA.at.irqDepth) > 0) return 'a reader: IRQs are off'
  if (peek32(area + CPU_AREA.at.preemptCount) > 0) return 'a reader: preemption is off'
  return (peek32(own + RCU_CPU.at.watching) & 1) === 0 ? 'idle, not watched' : 'outside of readers'
}

const SEGMENTS = [
  ['doneFirst', null, 'to be run'],
  ['waitFirst', 'waitSeq', 'waits for'],
  ['nextReadyFirst', 'nextReadySeq', 'waits for'],
  ['nextFirst', null, 'queued'],
] as const

/** Heads that are named; more are counted. */
const HEADS_SHOWN = 4

function callbacks(machine: Machine, own: number): string {
  const parts = SEGMENTS.flatMap(([first, seq, what]) => {
    const heads = chain(machine, peek32(own + RCU_CPU.at[first]))
    if (heads.length === 0) return []
    const named = heads.slice(0, HEADS_SHOWN).map((head) => describeAddress(machine, head).replace(/\.\w+$/, ''))
    const more = heads.length > HEADS_SHOWN ? ` and ${heads.length - HEADS_SHOWN} more` : ''
    const until = seq === null ? '' : ` ${peek32(own + RCU_CPU.at[seq]) >>> 2}`
    return [`${named.join(', ')}${more} ${what}${until}`]
  })
  const count = peek32(own + RCU_CPU.at.callbacks)
  if (parts.length === 0) return count === 0 ? '' : `${count} being run`
  return parts.join('; ')
}

/** Heads linked from `first`, as far as they are heads that wait. */
function chain({ layout }: Machine, first: number): number[] {
  const heads: number[] = []
  for (let head = first; head > 0 && head < layout.size && !heads.includes(head); head = peek32(head)) {
    const func = peek32(head + HEAD_FUNC)
    if (!isPending(func) || funcOf(func) < 0) break
    heads.push(head)
  }
  return heads
}
