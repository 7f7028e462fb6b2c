/**
 * The class of the word at an address: `page.refcount`, `pmd table`, `word 1`. Executions are compared by classes and
 * not by addresses, since each execution allocates frames and structures anew.
 */
import { levelName } from '../../arch/entry.js'
import type { Machine } from '../../boot/machine.js'
import { SHADOW, TABLE_SHADOW } from '../../check/shadow.js'
import { peek32 } from '../../machine/image/image.js'
import { Level } from '../../arch/level.js'
import { PAGE, PG_TABLE } from '../../mm/page.js'

/** Numbers classes as they are met, from 1. */
export class WordClasses {
  readonly names: string[] = ['']
  readonly #machine: Machine
  readonly #numbers = new Map<string, number>()
  /** By address / 4, below the frames: the class, 0 when not met yet. */
  readonly #known: Uint16Array
  /** By level of the table, 0 for a frame that is no table. */
  readonly #frames: number[] = []

  constructor(machine: Machine) {
    this.#machine = machine
    this.#known = new Uint16Array(machine.layout.frameBase >>> 2)
  }

  at(addr: number): number {
    const slot = addr >>> 2
    if (slot >= this.#known.length) return this.#frameClass(addr)
    let known = this.#known[slot] as number
    if (known === 0) this.#known[slot] = known = this.#number(this.#fieldName(addr))
    return known
  }

  #frameClass(addr: number): number {
    const level = tableLevel(this.#machine, addr)
    return (this.#frames[level] ??= this.#number(level === 0 ? "user's page" : `${levelName(level)} table`))
  }

  /** The region and field; a litmus test's words are each of their own kind. */
  #fieldName(addr: number): string {
    const { layout } = this.#machine
    const litmus = /^word\[0x([0-9a-f]+)\]\.value$/.exec(layout.nameOf(addr))?.[1]
    return litmus === undefined ? layout.kindOf(addr).replace(/\|.*$/, '') : `word ${parseInt(litmus, 16)}`
  }

  #number(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      this.#numbers.set(name, (number = this.names.length))
      this.names.push(name)
    }
    return number
  }
}

/** Level of the page table that the word at `addr` of a frame belongs to; 0 when it belongs to none. */
export function tableLevel(machine: Machine, addr: number): number {
  const { memmap, config, regions, layout } = machine
  if (addr < memmap.frameBase || addr >= layout.size) return 0
  const page = memmap.page(memmap.pfnAt(addr))
  const tail = peek32(page + PAGE.at.compoundHead)
  const head = (tail & 1) !== 0 ? tail - 1 : page
  if ((peek32(head + PAGE.at.flags) & PG_TABLE) === 0) return 0
  // The oracles know the level; without them it counts as a PTE table.
  if (!config.oracles) return Level.pte
  const shadow = regions.shadow + config.frames * SHADOW.size + memmap.tableAt(addr) * TABLE_SHADOW.size
  return peek32(shadow + TABLE_SHADOW.at.state) & 0xf || Level.pte
}
