/**
 * The map of the image. Every region is placed once, in the order the rooms add them, and any address has a name.
 *
 *   0x0000  guard      nothing lives here: a null pointer dereferenced is caught, not obeyed (machine/atomics)
 *   0x1000  control    words of the whole machine: stop, panic, clock, sleepers          (machine/cpu/area.ts)
 *           cpu[]      one area for each CPU, shared words on cache lines of their own    (machine/cpu/area.ts)
 *           csd[][]    call-single requests, by source and target CPU                     (machine/cpu/ipi.ts)
 *           tlb[]      translation buffers                                                (machine/cpu/tlb.ts)
 *           ring[]     event rings                                                        (machine/trace/ring.ts)
 *           …          kernel structures: rcu, zone, memmap, mm, vma, …                   (sync, mm)
 *           shadow[]   what the oracles remember of each frame                            (check)
 *           frames     physical memory, frame n at frameBase + n * frameBytes
 */
import { assert, fail } from '../../base/assert.js'
import { phys, type Pfn, type PhysAddr } from '../../base/units.js'
import { GUARD_BYTES } from '../atomics/module.js'
import { fieldAt, type Struct } from './struct.js'

const REGION_ALIGN = 64

export interface Region {
  readonly name: string
  readonly base: PhysAddr
  readonly struct: Struct
  readonly count: number
}

export class Layout {
  readonly #regions: Region[] = []
  readonly #bases = new Map<string, PhysAddr>()
  #end = GUARD_BYTES
  /** Address of frame 0; 0 until placeFrames(). */
  frameBase = 0
  frameBytes = 0
  frameCount = 0

  /** Places `count` structures one after another on a 64-byte boundary; returns the address of the first. */
  add(name: string, layout: Struct, count: number): PhysAddr {
    assert(this.frameBase === 0, 'regions are placed before the frames')
    if (this.#bases.has(name)) fail(`layout: ${name} is placed twice`)
    const base = phys(this.#end)
    this.#regions.push({ name, base, struct: layout, count })
    this.#bases.set(name, base)
    this.#end += Math.ceil((layout.size * count) / REGION_ALIGN) * REGION_ALIGN
    return base
  }

  /** Places physical memory last: `count` frames of `bytes` bytes each, a power of two of at least 64. */
  placeFrames(count: number, bytes: number): void {
    assert(bytes >= REGION_ALIGN && (bytes & (bytes - 1)) === 0, 'a frame is a power of two of at least 64 bytes')
    this.frameBase = Math.ceil(this.#end / bytes) * bytes
    this.frameBytes = bytes
    this.frameCount = count
    this.#end = this.frameBase + count * bytes
  }

  /** Bytes in all. */
  get size(): number {
    return this.#end
  }

  get regions(): readonly Region[] {
    return this.#regions
  }

  /** First address of region `name`. Throws SimBug when there is none. */
  base(name: string): PhysAddr {
    return this.#bases.get(name) ?? fail(`layout: no region ${name}`)
  }

  /** Address of frame `pfn`. */
  frame(pfn: Pfn): PhysAddr {
    return phys(this.frameBase + pfn * this.frameBytes)
  }

  /** `page[0x2a].refcount`, `frame 0x2a+0x18`, …: what lives at `addr`. */
  nameOf(addr: number): string {
    if (addr >= 0 && addr < GUARD_BYTES) return `null+0x${addr.toString(16)}`
    if (this.frameBase > 0 && addr >= this.frameBase) return this.#nameFrame(addr - this.frameBase)
    const region = this.#regions.findLast((candidate) => candidate.base <= addr)
    if (region === undefined) return `0x${addr.toString(16)}`
    const index = Math.floor((addr - region.base) / region.struct.size)
    if (index >= region.count) return `0x${addr.toString(16)}`
    const field = fieldAt(region.struct, (addr - region.base) % region.struct.size)
    return `${region.name}${region.count > 1 ? `[0x${index.toString(16)}]` : ''}.${field}`
  }

  /**
   * `page.refcount`, `frame`, …: what kind of word lives at `addr`, wherever its region begins and however many there
   * are.
   */
  kindOf(addr: number): string {
    if (this.frameBase > 0 && addr >= this.frameBase) return 'frame'
    const region = this.#regions.findLast((candidate) => candidate.base <= addr)
    if (region === undefined) return 'null'
    return `${region.name}.${fieldAt(region.struct, (addr - region.base) % region.struct.size)}`
  }

  /** All that kindOf() can say of words that have a name. */
  get kinds(): string[] {
    const fields = this.#regions.flatMap(({ name, struct }) =>
      Array.from({ length: struct.size / 4 }, (_, word) => `${name}.${fieldAt(struct, word * 4)}`),
    )
    return ['frame', ...new Set(fields)]
  }

  #nameFrame(offset: number): string {
    const within = offset % this.frameBytes
    return `frame 0x${Math.floor(offset / this.frameBytes).toString(16)}+0x${within.toString(16)}`
  }
}
