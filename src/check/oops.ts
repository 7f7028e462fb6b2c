/**
 * oops: the address of an access is one of the words that there are: of a field, with a width that the field has, or of
 * a frame. Anything else is a wild pointer, as null, one that was read from freed memory, or the struct page of a frame
 * that does not exist, and the kernel would end in a page fault of its own.
 *
 * Accesses with a schedule point are judged in controlled runs, peeks and pokes in all. In free runs the memory itself
 * stops the others: the first page (machine/atomics/module.ts), everything behind the image's last page, and struct
 * pages, frames and tables that do not exist (mm/checkedMemmap.ts) trap, and findingOf() makes the same finding of it,
 * without the address. Other words between fields of structures go unnoticed there.
 *
 * Sound in free runs: which words there are does not change.
 */
import { entryTable, ptePfn, swpOffsetPfn } from '../arch/entry.js'
import type { PteWord } from '../base/units.js'
import { accessWidth, isBarrier } from '../machine/cpu/access.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { GUARD_BYTES } from '../machine/atomics/module.js'
import { words } from '../machine/image/image.js'
import type { Layout, Region } from '../machine/image/layout.js'
import type { Memmap } from '../mm/page.js'
import type { CheckedMachine } from './checkedMachine.js'
import { hex, violation } from './violation.js'

const ORACLE = 'oops'

/** Accesses that a report looks through for the one that brought the pointer, a power of two. */
const LOADS = 64
/** A pointer leads to the beginning of a structure, the access to one of its fields. */
const REACH = 4096
/** Words that were read as 0, named when a null pointer was used. */
const NULLS = 3

/** The words below the frames, and how wide an access to each may be. */
export class Words {
  readonly #layout: Layout
  readonly #end: number
  /** By word: the sum of the widths in bytes that an access to it may have. */
  readonly #widths: Uint8Array

  constructor(layout: Layout) {
    this.#layout = layout
    this.#end = layout.frameBase + layout.frameCount * layout.frameBytes
    // What follows is the oracles' own.
    const kernel = layout.base('shadowControl')
    this.#widths = new Uint8Array(kernel >>> 2)
    for (const region of layout.regions) if (region.base < kernel) this.#add(region)
  }

  #add({ base, struct, count }: Region): void {
    const one = new Uint8Array(struct.size >>> 2)
    for (const [at, width] of struct.fields.values()) {
      for (let word = at >>> 2; word < (at + width) >>> 2; word++) one[word] = (one[word] as number) | 4
      if (width >= 8) for (let word = at >>> 2; word < (at + width) >>> 2; word += 2) one[word] = 12
    }
    for (let i = 0; i < count; i++) this.#widths.set(one, (base + i * struct.size) >>> 2)
  }

  /** An access of `bytes` bytes (0: of any width) may go to `addr`. */
  has(addr: number, bytes: number): boolean {
    if ((addr & 3) !== 0) return false
    if (addr >= this.#layout.frameBase) return addr < this.#end && (bytes !== 8 || (addr & 7) === 0)
    // Negative numbers and those that are none lead outside of the array.
    const widths = addr >= 0 ? this.#widths[addr / 4] : undefined
    return widths !== undefined && (bytes === 0 ? widths !== 0 : (widths & bytes) !== 0)
  }
}

export class Oops {
  readonly #words: Words
  readonly #layout: Layout
  readonly #memmap: Memmap
  /** Words that the operation at hand has accessed, and what was in them; forgotten when the next begins. */
  readonly #loads = new Float64Array(LOADS)
  readonly #values = new Int32Array(2 * LOADS)
  #loaded = 0

  constructor(machine: CheckedMachine, words: Words) {
    this.#words = words
    this.#layout = machine.layout
    this.#memmap = machine.memmap
  }

  /** An operation begins on this CPU, or has ended. */
  forgets(): void {
    this.#loaded = 0
  }

  accesses(cpu: Cpu, kind: number, addr: number): void {
    if (isBarrier(kind)) return
    const bytes = accessWidth(kind)
    if (!this.#words.has(addr, bytes)) this.#report(cpu, addr, bytes)
    this.#keep(addr)
  }

  peeks(cpu: Cpu, addr: number): void {
    if (!this.#words.has(addr, 0)) this.#report(cpu, addr, 0)
    this.#keep(addr)
  }

  /** Notes the word before the access: what another CPU stores in between is missed, if it is. */
  #keep(addr: number): void {
    const slot = this.#loaded++ & (LOADS - 1)
    this.#loads[slot] = addr
    this.#values[2 * slot] = words[addr >>> 2] as number
    this.#values[2 * slot + 1] = words[(addr >>> 2) + 1] as number
  }

  // ---- report -----------------------------------------------------------------------------------------------------

  #report(cpu: Cpu, addr: number, bytes: number): never {
    const access = bytes === 0 ? 'an access' : `an access of ${bytes} bytes`
    violation(cpu, ORACLE, 'unable to handle page fault', addr, [
      `${access} to ${hex(addr - (addr % 2))}: ${this.#whatIsWrong(addr, bytes)}`,
      ...this.#origin(addr),
    ])
  }

  #whatIsWrong(addr: number, bytes: number): string {
    if (Number.isNaN(addr)) return 'no address at all'
    if (addr >= 0 && addr < GUARD_BYTES) return 'a null pointer'
    if (addr % 2 !== 0) return `of a frame that does not exist; there are ${this.#memmap.frameCount}`
    if (addr % 4 !== 0 || (bytes === 8 && addr % 8 !== 0)) return 'across words'
    if (addr < 0 || addr >= this.#layout.frameBase + this.#layout.frameCount * this.#layout.frameBytes)
      return 'outside of the image'
    const words = this.#words.has(addr, 0) ? ' of this width' : ''
    return `no field${words} of a structure, ${this.#layout.nameOf(addr)}`
  }

  /** The word that brought the address; the words that were read as 0 last, when it was null. */
  #origin(addr: number): string[] {
    const isNull = addr >= 0 && addr < GUARD_BYTES
    const nulls: string[] = []
    const count = Math.min(this.#loaded, LOADS)
    for (let i = 1; i <= count && nulls.length < NULLS; i++) {
      const slot = (this.#loaded - i) & (LOADS - 1)
      const name = this.#layout.nameOf(this.#loads[slot] as number)
      if (isNull && !this.#isEntry(slot) && this.#values[2 * slot] === 0 && !nulls.includes(name)) nulls.push(name)
      if (!isNull && this.#leadsTo(slot, addr)) return [`the address comes from ${name}, which was ${this.#said(slot)}`]
    }
    return nulls.length === 0 ? [] : [`read as 0 before, last first: ${nulls.join(', ')}`]
  }

  #isEntry(slot: number): boolean {
    return (this.#loads[slot] as number) >= this.#layout.frameBase
  }

  /** What was in an entry. */
  #entry(slot: number): bigint {
    const [low, high] = [this.#values[2 * slot] as number, this.#values[2 * slot + 1] as number]
    return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
  }

  #said(slot: number): string {
    return this.#isEntry(slot) ? hex(this.#entry(slot)) : hex((this.#values[2 * slot] as number) >>> 0)
  }

  /** A pointer leads to its structure, with the low bit that some of them bear or without; an entry to its frame. */
  #leadsTo(slot: number, addr: number): boolean {
    const reaches = (start: number): boolean => addr >= start && addr < start + REACH
    const value = this.#values[2 * slot] as number
    if (!this.#isEntry(slot)) return value !== 0 && (reaches(value & ~1) || reaches(value >>> 0))
    const memmap = this.#memmap
    const entry = this.#entry(slot) as PteWord
    const frames = [ptePfn(entry), swpOffsetPfn(entry)]
    if (frames.some((pfn) => reaches(memmap.page(pfn)) || reaches(memmap.frame(pfn)))) return true
    return reaches(memmap.table(entryTable(entry)))
  }
}
