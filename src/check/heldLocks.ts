/**
 * The locks that each CPU holds, with their modes, in the image: private to the CPU, so that it is exact in threads,
 * too. Reports read the lists of other CPUs, which in threads may have moved on by then.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { fail } from '../base/assert.js'
import type { Layout } from '../machine/image/layout.js'
import { LOCKS_HELD_MAX, SHADOW_CPU, type Shadow } from './shadow.js'

const COUNT = SHADOW_CPU.at.locks
const LIST = SHADOW_CPU.at.lockList
/** In the address of a lock, which is a multiple of four: it is held to read. */
const SHARED = 1

export class HeldLocks {
  readonly #shadow: Shadow

  constructor(shadow: Shadow) {
    this.#shadow = shadow
  }

  acquired(cpu: Cpu, lock: number, shared: boolean): void {
    const own = this.#shadow.cpu(cpu.id)
    const count = peek32(own + COUNT)
    if (count === LOCKS_HELD_MAX) fail(`CPU ${cpu.id} holds more than ${LOCKS_HELD_MAX} locks`)
    poke32(own + LIST + count * 4, shared ? lock + SHARED : lock)
    poke32(own + COUNT, count + 1)
  }

  /** Forgets the lock at `lock`; one that was not taken is none of its business. */
  released(cpu: Cpu, lock: number): void {
    const own = this.#shadow.cpu(cpu.id)
    const index = this.#indexOf(own, lock)
    if (index < 0) return
    const last = peek32(own + COUNT) - 1
    for (let i = index; i < last; i++) poke32(own + LIST + i * 4, peek32(own + LIST + (i + 1) * 4))
    poke32(own + COUNT, last)
  }

  downgraded(cpu: Cpu, lock: number): void {
    const own = this.#shadow.cpu(cpu.id)
    const index = this.#indexOf(own, lock)
    if (index >= 0) poke32(own + LIST + index * 4, lock + SHARED)
  }

  holds(cpu: number, lock: number): boolean {
    return this.#indexOf(this.#shadow.cpu(cpu), lock) >= 0
  }

  holdsToWrite(cpu: number, lock: number): boolean {
    const own = this.#shadow.cpu(cpu)
    for (let i = peek32(own + COUNT) - 1; i >= 0; i--) if (peek32(own + LIST + i * 4) === lock) return true
    return false
  }

  /** A lock, held to write, for which `test` is true. */
  holdsOne(cpu: number, test: (lock: number) => boolean): boolean {
    const own = this.#shadow.cpu(cpu)
    for (let i = peek32(own + COUNT) - 1; i >= 0; i--) if (test(peek32(own + LIST + i * 4))) return true
    return false
  }

  /** The locks of `cpu` in words. */
  names(cpu: number, layout: Layout): string {
    const names = this.of(cpu).map(({ lock, shared }) => `${lockName(lock, layout)}${shared ? ' to read' : ''}`)
    return names.length === 0 ? 'no lock' : names.join(', ')
  }

  /** The locks of `cpu`, the one taken last at the end. */
  of(cpu: number): { lock: number; shared: boolean }[] {
    const own = this.#shadow.cpu(cpu)
    return Array.from({ length: peek32(own + COUNT) }, (_, i) => {
      const word = peek32(own + LIST + i * 4)
      return { lock: word & ~SHARED, shared: (word & SHARED) !== 0 }
    })
  }

  #indexOf(own: number, lock: number): number {
    for (let i = peek32(own + COUNT) - 1; i >= 0; i--) if ((peek32(own + LIST + i * 4) & ~SHARED) === lock) return i
    return -1
  }
}

/** The lock at `lock` in words. */
export const lockName = (lock: number, layout: Layout): string =>
  layout.nameOf(lock).replace(/\[0\]$|(?<=^word\[\w+\])\.value$/, '')
