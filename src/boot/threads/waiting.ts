/** CPUs that wait for each other, in words: for deadlocks and stalls. */
import { CPU_AREA, LOCK_NODES } from '../../machine/cpu/area.js'
import { lockName } from '../../check/heldLocks.js'
import { load32, peek32 } from '../../machine/image/image.js'
import { OPS } from '../../program/op.js'
import { LITMUS, LITMUS_WORDS, SLOT, SLOTS } from '../../program/state.js'
import type { Machine } from '../machine.js'

/** A CPU and the word that it waits for, 0 for none. */
export interface Waiting {
  readonly cpu: number
  readonly addr: number
}

/** A line for each CPU. */
export function describeWaiting(machine: Machine, waiting: readonly Waiting[]): string[] {
  return waiting.map(({ cpu, addr }) => {
    const area = areaOf(machine, cpu)
    const irqs = peek32(area + CPU_AREA.at.irqDepth) === 0 ? 'on' : 'off'
    return `CPU ${cpu} in ${operationName(machine, cpu)} ${describeWait(machine, cpu, addr)} (IRQs ${irqs})`
  })
}

/** The operation at hand of `cpu`, or its last one. */
export const operationName = (machine: Machine, cpu: number): string =>
  OPS[peek32(areaOf(machine, cpu) + CPU_AREA.at.opKind)] ?? 'start'

function describeWait(machine: Machine, cpu: number, addr: number): string {
  if (addr === 0) return 'runs or sleeps nowhere'
  const lock = lockWaitedFor(machine, cpu, addr)
  const what = lock === addr ? lockName(addr, machine.layout) : `its turn at ${lockName(lock, machine.layout)}`
  const holder = holderOf(machine, cpu, addr)
  return `waits for ${what}${holder < 0 ? '' : `, held by CPU ${holder}`}`
}

/** The CPU that holds the lock for which `cpu` waits at `addr`; -1: no lock, or nobody known. */
export function holderOf(machine: Machine, cpu: number, addr: number): number {
  const lock = lockWaitedFor(machine, cpu, addr)
  if (isProgramWord(machine, lock)) return ownHolder(machine, cpu, lock, addr)
  const name = machine.nameOf(lock)
  // A request for an interrupt is locked too, but keeps no owner.
  if (isNode(machine, lock) || name.startsWith('csd') || !/lock|ptl/i.test(name)) return -1
  // Lock words keep their owner (CPU + 1) in the word behind them.
  const holder = peek32(lock + 4)
  return holder > 0 && holder <= machine.config.cpus ? holder - 1 : -1
}

/** A word of programs, or a slot: only their operations change it. */
export const isProgramWord = (machine: Machine, addr: number): boolean =>
  offsetIn(machine, addr) >= 0 || isSlot(machine, addr) || machine.layout.kindOf(addr) === 'reader.sections'

const isSlot = (machine: Machine, addr: number): boolean => {
  const offset = addr - machine.regions.program.slots
  return offset >= 0 && offset < SLOTS * SLOT.size
}

/** Of an address among the words of programs, the offset in its word; -1 for others. */
function offsetIn(machine: Machine, addr: number): number {
  const offset = addr - machine.regions.program.words
  return offset < 0 || offset >= LITMUS_WORDS * LITMUS.size ? -1 : offset % LITMUS.size
}

/** The CPU that holds a lock on a word of programs, as far as `cpu` waits for a lock there and not for a value. */
function ownHolder(machine: Machine, cpu: number, lock: number, addr: number): number {
  if (!/^(?:spinLock|mcsLock|down)/.test(operationName(machine, cpu))) return -1
  const at = addr === lock ? LITMUS.at.locked : LITMUS.at.holder
  return peek32(lock + (isNode(machine, addr) ? LITMUS.at.locked : at)) - 1
}

// ---- queues -------------------------------------------------------------------------------------------------------

const LEVELS = [LOCK_NODES.at.next0, LOCK_NODES.at.next1, LOCK_NODES.at.next2, LOCK_NODES.at.next3]
const LOCKED = LOCK_NODES.at.locked0 - LOCK_NODES.at.next0

/**
 * The lock in whose queue a CPU stands that waits for a word of its own LOCK_NODES, or for its node of an MCS lock;
 * `addr` itself for other words, and when the lock cannot be told.
 */
export function lockWaitedFor(machine: Machine, cpu: number, addr: number): number {
  if (offsetIn(machine, addr) === LITMUS.at.locked) return peek32(addr - LITMUS.at.locked + LITMUS.at.queue) || addr
  if (!isNode(machine, addr)) return addr
  const nodes = nodesOf(machine, cpu)
  if (addr === nodes + LOCK_NODES.at.sleepGranted) return peek32(nodes + LOCK_NODES.at.sleepOn) || addr
  return spinlockOf(machine, addr)
}

/** Up the queue: who stands before a node has its address in `next`, and the first of the queue waits for the lock. */
function spinlockOf(machine: Machine, addr: number): number {
  let node = addr - LOCKED
  for (let steps = 0; steps < machine.config.cpus; steps++) {
    const before = queued(machine).find(({ at }) => peek32(at) === node)
    if (before === undefined) return addr
    const waits = load32(areaOf(machine, before.cpu) + CPU_AREA.at.waitingOn)
    if (waits !== 0 && !isNode(machine, waits)) return waits
    node = before.at
  }
  return addr
}

/** All queue nodes, by the address of their `next`, with which they begin. */
function queued(machine: Machine): { cpu: number; at: number }[] {
  return Array.from({ length: machine.config.cpus }, (_, cpu) =>
    LEVELS.map((level) => ({ cpu, at: nodesOf(machine, cpu) + level })),
  ).flat()
}

function isNode(machine: Machine, addr: number): boolean {
  const first = nodesOf(machine, 0)
  return addr >= first && addr < first + machine.config.cpus * LOCK_NODES.size
}

const nodesOf = (machine: Machine, cpu: number): number => machine.regions.cpus.lockNodes + cpu * LOCK_NODES.size
const areaOf = (machine: Machine, cpu: number): number => machine.regions.cpus.cpus + cpu * CPU_AREA.size
