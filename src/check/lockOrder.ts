/**
 * lock-order: the order in which locks are taken, as lockdep checks it. A lock that is taken against the order of
 * sync/lockOrder.ts is reported although nobody waits: on another CPU the other half of the deadlock may be a rare one.
 * So are locks of the kernel that are held when an operation returns to user space. Locks of scenarios have no class in
 * that order: theirs is what came up (lockGraph.ts), and they are held from one operation to another.
 *
 * The class of a lock is told from where it is: a field of an mm, of an anon_vma, of a file, of a struct page. How many
 * of each class a CPU holds is in the image, private to the CPU. A trylock is no wait and breaks no order; what it took
 * counts as held. A folio lock that is released and was not taken is one that a tail got with its head's flags.
 */
import { lowestBit } from '../base/bits.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import { ANON_VMA, FILE, MM } from '../mm/mmStruct.js'
import { PAGE } from '../mm/page.js'
import { RCU } from '../sync/rcuLayout.js'
import { LOCK_ORDER, nestsInside, type LockName } from '../sync/lockOrder.js'
import type { CheckedMachine } from './checkedMachine.js'
import { lockName } from './heldLocks.js'
import { LockGraph, OWN_FIRST, type LockEdge } from './lockGraph.js'
import { SHADOW_CPU, TABLE_SHADOW, type Shadow } from './shadow.js'
import { hex, violation } from './violation.js'

const ORACLE = 'lock-order'
const NAMES = LOCK_ORDER.map(({ name }) => name)
const FOLIO = NAMES.indexOf('folioLock')
/** By class: the classes that may not be held when one of it is taken, as bits. */
const FORBIDDEN = NAMES.map((inner) =>
  NAMES.reduce((bits, outer, index) => (nestsInside(outer, inner) ? bits : bits | (1 << index)), 0),
)
const UNKNOWN = -1
const OF_THE_KERNEL = (1 << OWN_FIRST) - 1

export class LockOrder {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #graph: LockGraph

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#machine = machine
    this.#shadow = shadow
    this.#graph = new LockGraph(shadow)
  }

  lockAcquires(cpu: Cpu, lock: number): void {
    const index = this.#classOf(lock)
    if (index === UNKNOWN) return
    const held = peek32(this.#shadow.cpu(cpu.id) + SHADOW_CPU.at.heldClasses)
    const bad = held & (FORBIDDEN[index] ?? 1 << index)
    if (bad !== 0) this.#report(cpu, lock, index, lowestBit(bad))
    if ((held & ~OF_THE_KERNEL) !== 0 || (held !== 0 && index >= OWN_FIRST)) this.#checkCircle(cpu, lock, held, index)
    this.#hold(cpu, lock, index)
  }

  lockTried(cpu: Cpu, lock: number): void {
    const index = this.#classOf(lock)
    if (index !== UNKNOWN) this.#hold(cpu, lock, index)
  }

  lockReleased(cpu: Cpu, lock: number): void {
    const index = this.#classOf(lock)
    if (index === UNKNOWN) return
    const own = this.#shadow.cpu(cpu.id)
    const count = own + SHADOW_CPU.at.held + index * 4
    const held = peek32(count)
    if (held === 0) return
    poke32(count, held - 1)
    if (held === 1) poke32(own + SHADOW_CPU.at.heldClasses, peek32(own + SHADOW_CPU.at.heldClasses) & ~(1 << index))
  }

  returnsToUser(cpu: Cpu): void {
    const classes = peek32(this.#shadow.cpu(cpu.id) + SHADOW_CPU.at.heldClasses) & OF_THE_KERNEL
    if (classes === 0) return
    const index = lowestBit(classes)
    const name = NAMES[index] as string
    violation(cpu, ORACLE, `lock held when returning to user space: ${name}`, this.#lastOf(cpu, index), [
      `${peek32(this.#shadow.cpu(cpu.id) + SHADOW_CPU.at.held + index * 4)} of its class are held`,
    ])
  }

  #hold(cpu: Cpu, lock: number, index: number): void {
    const own = this.#shadow.cpu(cpu.id)
    const count = own + SHADOW_CPU.at.held + index * 4
    poke32(count, peek32(count) + 1)
    poke32(own + SHADOW_CPU.at.last + index * 4, lock)
    poke32(own + SHADOW_CPU.at.heldClasses, peek32(own + SHADOW_CPU.at.heldClasses) | (1 << index))
  }

  /** The lock of class `index` that `cpu` took last. */
  #lastOf(cpu: Cpu, index: number): number {
    return peek32(this.#shadow.cpu(cpu.id) + SHADOW_CPU.at.last + index * 4)
  }

  #checkCircle(cpu: Cpu, lock: number, held: number, index: number): void {
    const circle = this.#graph.take(cpu, held, index)
    if (circle === null) return
    const [{ held: outer }] = circle as readonly [LockEdge]
    const title = `possible circular locking dependency: ${this.#name(index)} is taken while ${this.#name(outer)} is held`
    violation(cpu, ORACLE, title, lock, [
      ...circle.map((edge) => this.#said(edge)),
      `${circle.length} CPUs that are between their locks at once wait for each other.`,
    ])
  }

  #said({ held, taken, by }: LockEdge): string {
    const [outer, inner] = [this.#name(held), this.#name(taken)]
    if (by === null) return `the kernel takes ${inner} while it holds ${outer}`
    const name = this.#machine.opNames?.[by.opKind] ?? `operation ${by.opKind}`
    return `CPU ${by.cpu} in ${name} takes ${inner} while it holds ${outer}`
  }

  #name(index: number): string {
    return NAMES[index] ?? lockName(this.#graph.lockOf(index), this.#machine.layout)
  }

  #report(cpu: Cpu, lock: number, wanted: number, held: number): never {
    const [inner, outer] = [this.#name(wanted), this.#name(held)]
    const title =
      wanted === held
        ? `possible recursive locking: a second ${inner}`
        : `possible circular locking dependency: ${inner} is taken while ${outer} is held`
    violation(cpu, ORACLE, title, lock, [
      `wanted: ${inner} at ${hex(lock)}`,
      `held:   ${outer} at ${hex(this.#lastOf(cpu, held))}`,
      wanted === held ? 'Two of this class have no order between them.' : `The order is ${inner} before ${outer}.`,
    ])
  }

  // ---- classes ----------------------------------------------------------------------------------------------------

  #classOf(lock: number): number {
    const name = this.#nameOf(lock)
    if (name === null) return this.#graph.classOf(lock)
    return name === 'folioLock' ? FOLIO : NAMES.indexOf(name)
  }

  /** Null for locks of no class: those of scenarios, of a user's kernel code, and of tests. */
  #nameOf(lock: number): LockName | null {
    const { regions, config, memmap } = this.#machine
    const { kernel } = regions
    if (lock >= memmap.base && lock < memmap.page(memmap.frameCount)) return this.#inPage(lock)
    const mm = lock - kernel.mms
    if (mm >= 0 && mm < config.kernel.mms * MM.size) return inMm(mm % MM.size)
    if (lock >= kernel.vmas && lock < kernel.mapleNodes) return 'vmaLock'
    if (lock >= kernel.anonVmas && lock < kernel.files)
      return (lock - kernel.anonVmas) % ANON_VMA.size === 0 ? 'anonVmaRwsem' : null
    if (lock >= kernel.files && lock < kernel.pageCache) return inFile((lock - kernel.files) % FILE.size)
    if (lock >= kernel.tables && lock < kernel.mms) return 'slotLock'
    if (lock >= kernel.zone && lock < memmap.base) return 'zoneLock'
    return lock === regions.rcu + RCU.at.lock || lock === regions.rcu + RCU.at.expLock ? 'rcuGpLock' : null
  }

  #inPage(lock: number): LockName {
    const { memmap } = this.#machine
    const pfn = memmap.pfnOf(lock)
    if ((lock - memmap.base) % PAGE.size !== PAGE.at.ptl) return 'folioLock'
    const level = peek32(this.#shadow.table(memmap.firstTable(pfn)) + TABLE_SHADOW.at.state) & 0xf
    return level === Level.pmd ? 'pmdLock' : 'pteLock'
  }
}

function inFile(offset: number): LockName {
  if (offset === FILE.at.hugeLock) return 'folioLock'
  if (offset === FILE.at.inodeRwsem) return 'inodeRwsem'
  if (offset === FILE.at.invalidateLock) return 'invalidateLock'
  return offset === FILE.at.rwsem ? 'iMmapRwsem' : 'pageCacheLock'
}

function inMm(offset: number): LockName {
  if (offset === MM.at.mmapLock) return 'mmapLock'
  return offset === MM.at.pageTableLock ? 'pageTableLock' : 'pgtableListLock'
}
