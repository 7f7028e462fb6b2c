/**
 * The watch for a CPU that gets nowhere while others get on. It looks from outside, a few times a second, at the
 * operations that each CPU has finished.
 *
 * A CPU that waits for what another program does (awaitWord, adopt) is judged only when the word cannot be on its way
 * any more: when every CPU that gets on has run its whole program since, from the beginning (two ends of a run are
 * that). So one that waits for a program of endless length is never called starved; when that one stops too, the watch
 * sees a stall.
 */
import { CPU_AREA, cpuAreaAt } from '../../machine/cpu/area.js'
import { load32, peek32 } from '../../machine/image/image.js'
import { OPS } from '../../program/op.js'
import type { Machine } from '../machine.js'

const RUNS_THAT_SAY_ALL = 2

export class Starvation {
  readonly #machine: Machine
  readonly #limitMs: number
  readonly #done: number[]
  readonly #movedAt: number[]
  /** By CPU, the runs that all CPUs had ended when it last got on. */
  readonly #runsThen: (readonly number[])[]

  /** `limitMs`: so long a CPU may stand still. Times are of any clock in milliseconds. */
  constructor(machine: Machine, limitMs: number, now: number) {
    const runs = wordsOf(machine, CPU_AREA.at.runs)
    this.#machine = machine
    this.#limitMs = limitMs
    this.#done = wordsOf(machine, CPU_AREA.at.opsDone)
    this.#movedAt = this.#done.map(() => now)
    this.#runsThen = this.#done.map(() => runs)
  }

  /** A CPU that starves, -1: none. */
  look(now: number): number {
    const runs = wordsOf(this.#machine, CPU_AREA.at.runs)
    wordsOf(this.#machine, CPU_AREA.at.opsDone).forEach((done, cpu) => {
      if (done === this.#done[cpu]) return
      this.#done[cpu] = done
      this.#movedAt[cpu] = now
      this.#runsThen[cpu] = runs
    })
    return this.#done.findIndex((_, cpu) => this.#starves(cpu, runs, now))
  }

  #starves(cpu: number, runs: readonly number[], now: number): boolean {
    if (this.#stillMs(cpu, now) <= this.#limitMs || this.#word(cpu, CPU_AREA.at.ended) !== 0) return false
    const moving = this.#done.map((_, other) => other).filter((other) => this.#stillMs(other, now) < this.#limitMs / 2)
    // Nobody: then all stand still, which the watch reports when it is sure.
    if (moving.length === 0) return false
    const then = this.#runsThen[cpu] as readonly number[]
    const said = (other: number): boolean =>
      (((runs[other] as number) - (then[other] as number)) | 0) >= RUNS_THAT_SAY_ALL
    return !this.#waitsForProgram(cpu) || moving.every(said)
  }

  #waitsForProgram(cpu: number): boolean {
    const op = OPS[this.#word(cpu, CPU_AREA.at.opKind)]
    return op === 'awaitWord' || op === 'adopt'
  }

  #stillMs(cpu: number, now: number): number {
    return now - (this.#movedAt[cpu] as number)
  }

  #word(cpu: number, offset: number): number {
    return load32(cpuAreaAt(this.#machine.regions.cpus, cpu) + offset)
  }
}

/** A word of every CPU's area. */
function wordsOf(machine: Machine, offset: number): number[] {
  return Array.from({ length: machine.config.cpus }, (_, cpu) => peek32(cpuAreaAt(machine.regions.cpus, cpu) + offset))
}
