/**
 * object-life: an accessor reads or writes a VMA or a node of a maple tree that was freed (slab-use-after-free). Who
 * finds them without a lock is an RCU reader, and they are freed after a grace period.
 *
 * Accesses with a schedule point are judged, so controlled runs alone; peeks are the guards' to judge (guards.ts).
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { isBarrier } from '../machine/cpu/access.js'
import { MAPLE_NODE } from '../mm/maple/mapleNode.js'
import { VMA } from '../mm/mmStruct.js'
import type { CheckedMachine } from './checkedMachine.js'
import { lockName } from './heldLocks.js'
import { OBJECT_SHADOW, type Shadow } from './shadow.js'
import { violation } from './violation.js'

const ORACLE = 'object-life'
const FREED = OBJECT_SHADOW.at.freed

export class ObjectLife {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #vmas: number
  readonly #nodes: number
  readonly #end: number

  constructor(machine: CheckedMachine, shadow: Shadow) {
    const { vmas, mapleNodes, mapleCpus } = machine.regions.kernel
    this.#machine = machine
    this.#shadow = shadow
    this.#vmas = vmas
    this.#nodes = mapleNodes
    this.#end = mapleCpus
  }

  /** The object at `object` is about to enter its allocator, or has just left it. */
  freed(object: number, freed: boolean): void {
    poke32(this.#shadow.object(object) + FREED, freed ? 1 : 0)
  }

  accesses(cpu: Cpu, kind: number, addr: number): void {
    if (addr < this.#vmas || addr >= this.#end || isBarrier(kind)) return
    const [base, size] = addr < this.#nodes ? [this.#vmas, VMA.size] : [this.#nodes, MAPLE_NODE.size]
    const object = addr - ((addr - base) % size)
    if (peek32(this.#shadow.object(object) + FREED) === 0) return
    const name = lockName(object, this.#machine.layout).replace(/\..*/, '')
    violation(cpu, ORACLE, `access to ${name}, which was freed`, addr, [])
  }
}
