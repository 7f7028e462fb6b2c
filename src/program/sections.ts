/**
 * The sections that a program has opened by operations of its own and not closed yet: spinlocks, RCU readers, locks
 * whose holder may sleep. They outlast operations, which those of the kernel must not, so that the interpreter tells
 * them apart.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { rcuNesting } from '../sync/mightSleep.js'
import { PROGRAM_CPU } from './state.js'

export type SectionKind = 'spinning' | 'reading' | 'sleeping'

const KINDS: readonly SectionKind[] = ['spinning', 'reading', 'sleeping']

export class Sections {
  readonly #cpu: Cpu
  readonly #own: PhysAddr

  /** `own`: the PROGRAM_CPU of the CPU. */
  constructor(cpu: Cpu, own: PhysAddr) {
    this.#cpu = cpu
    this.#own = own
  }

  open(kind: SectionKind): void {
    const at = this.#own + PROGRAM_CPU.at[kind]
    poke32(at, peek32(at) + 1)
  }

  close(kind: SectionKind): void {
    const at = this.#own + PROGRAM_CPU.at[kind]
    poke32(at, peek32(at) - 1)
  }

  get areOpen(): boolean {
    return KINDS.some((kind) => this.#count(kind) !== 0)
  }

  /** True inside atomic sections of the program, if nothing but them makes this CPU's context atomic. */
  get areAtomic(): boolean {
    const [spinning, reading] = [this.#count('spinning'), this.#count('reading')]
    if (spinning + reading === 0) return false
    return this.#cpu.irqsEnabled && this.#cpu.preemptCount === spinning && rcuNesting(this.#cpu) === reading
  }

  /** The program is over: a finding if it has left a section open. */
  checkClosed(): void {
    if (!this.areOpen) return
    const [spinning, reading, sleeping] = KINDS.map((kind) => this.#count(kind))
    this.#cpu.report('lock-misuse', `BUG: the program of CPU ${this.#cpu.id} ends in a section of its own`, null, [
      `not given back: ${spinning} spinlocks, ${reading} rcu_read_lock(), ${sleeping} locks whose holder may sleep`,
    ])
  }

  #count(kind: SectionKind): number {
    return peek32(this.#own + PROGRAM_CPU.at[kind])
  }
}
