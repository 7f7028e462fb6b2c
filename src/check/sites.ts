/**
 * The sites of a frame's allocation and of its free: CPU, operation, clock, and on demand the kernel functions, for
 * reports in the manner of KASAN. Written by the owner of the frame, so plain stores do.
 *
 * Stacks are kept by number; the texts are in this thread only, so they are kept where all CPUs are coroutines of one.
 */
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { kernelStack } from '../machine/engine/finding.js'
import { peek32, poke32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import { FrameKind } from '../arch/observer.js'
import type { CheckedMachine } from './checkedMachine.js'
import { SHADOW, TABLE_DEPOSITED, TABLE_FREED, TABLE_SHADOW, type Shadow } from './shadow.js'

const AT = SHADOW.at
const KINDS = Object.fromEntries(Object.entries(FrameKind).map(([name, kind]) => [kind, name]))
const LEVELS = ['', 'pte', 'pmd', 'pud', 'pgd'] as const

/** Stacks seen in this thread, from 1. */
const stacks: string[][] = [[]]
const stackNumbers = new Map<string, number>()

export class Sites {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #keepsStacks: boolean

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#machine = machine
    this.#shadow = shadow
    this.#keepsStacks = machine.config.sites === 'full'
  }

  allocated(cpu: Cpu, pfn: number, clock: number): void {
    const at = this.#shadow.of(pfn)
    poke32(at + AT.allocCpu, who(cpu))
    poke32(at + AT.allocOp, peek32(cpu.area + CPU_AREA.at.opIndex))
    poke32(at + AT.allocClock, clock)
    poke32(at + AT.allocStack, this.#stack(cpu))
    poke32(at + AT.freeCpu, 0)
  }

  freed(cpu: Cpu, pfn: number, clock: number): void {
    const at = this.#shadow.of(pfn)
    poke32(at + AT.freeCpu, who(cpu))
    poke32(at + AT.freeOp, peek32(cpu.area + CPU_AREA.at.opIndex))
    poke32(at + AT.freeClock, clock)
    poke32(at + AT.freeStack, this.#stack(cpu))
  }

  /** Notes at `at` and in the three words behind it that `cpu` was here. */
  note(cpu: Cpu, at: number): void {
    poke32(at, who(cpu))
    poke32(at + 4, peek32(cpu.area + CPU_AREA.at.opIndex))
    poke32(at + 8, cpu.clock)
    poke32(at + 12, this.#stack(cpu))
  }

  #stack(cpu: Cpu): number {
    return this.#keepsStacks && !cpu.engine.threads ? this.#stackNumber() : 0
  }

  #stackNumber(): number {
    const stack = kernelStack(new Error().stack ?? '')
    const key = stack.join('\n')
    const known = stackNumbers.get(key)
    if (known !== undefined) return known
    stacks.push(stack)
    stackNumbers.set(key, stacks.length - 1)
    return stacks.length - 1
  }

  // ---- words ------------------------------------------------------------------------------------------------------

  /** `frame 0x2a is a pte table, deposited`, and where it came from and went. */
  describe(pfn: number): string[] {
    if (!this.#shadow.exists(pfn)) return [`0x${pfn.toString(16)} is no frame of this machine`]
    const at = this.#shadow.of(pfn)
    const lines = [`frame 0x${pfn.toString(16)} is ${this.#use(pfn, at)}, generation ${peek32(at + AT.generation)}`]
    if (peek32(at + AT.allocCpu) !== 0) lines.push(...this.site('allocated', at + AT.allocCpu))
    if (peek32(at + AT.freeCpu) !== 0) lines.push(...this.site('freed', at + AT.freeCpu))
    return lines
  }

  #use(pfn: number, at: number): string {
    const state = peek32(at + AT.state)
    const kind = KINDS[state & 0xf] ?? `of kind ${state & 0xf}`
    if ((state & 0xf) !== FrameKind.table) return kind === 'batch' ? 'a table batch' : kind
    return this.#tables(pfn)
  }

  /** `a pte table, deposited`; of a page that several share, each in turn. */
  #tables(pfn: number): string {
    const { memmap } = this.#machine
    const first = memmap.firstTable(pfn)
    const level = peek32(this.#shadow.table(first) + TABLE_SHADOW.at.state) & 0xf
    const parts = memmap.tableParts(level === 0 ? Level.pte : level)
    const uses = Array.from({ length: Math.ceil(memmap.fragments / parts) }, (_, i) => this.#table(first + i * parts))
    return uses.length === 1 ? `a ${uses[0]}` : `a page of tables (${uses.join('; ')})`
  }

  #table(nr: number): string {
    const state = peek32(this.#shadow.table(nr) + TABLE_SHADOW.at.state)
    if (state === 0) return 'no table yet'
    const use = (state & TABLE_DEPOSITED) !== 0 ? ', deposited' : (state & TABLE_FREED) !== 0 ? ', given back' : ''
    return `${LEVELS[state & 0xf] ?? ''} table${use}`
  }

  /** The four words of a site, from its first, in words. */
  site(what: string, at: number): string[] {
    const cpu = (peek32(at) & 0xff) - 1
    const kind = peek32(at) >>> 8
    const name = this.#machine.opNames?.[kind] ?? `kind ${kind}`
    const stack = stacks[peek32(at + 12)] ?? []
    const line = `${what} by CPU ${cpu} in operation ${peek32(at + 4)} (${name}), clock ${peek32(at + 8)}`
    return stack.length === 0 ? [line] : [line, ...stack.map((name) => `  ${name}`)]
  }
}

function who(cpu: Cpu): number {
  return (cpu.id + 1) | (peek32(cpu.area + CPU_AREA.at.opKind) << 8)
}
