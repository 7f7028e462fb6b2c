/** An address space with many mappings, for mappings.ts. */
import type { VirtAddr } from '../src/base/units.js'
import { phys, type PhysAddr } from '../src/base/units.js'
import { fullMachine } from '../src/boot/config.js'
import { Machine } from '../src/boot/machine.js'
import { drive } from '../src/machine/engine/engine.js'
import { SoloEngine } from '../src/machine/engine/solo.js'
import type { Kernel } from '../src/mm/kernel.js'
import { MADV_DONTNEED } from '../src/mm/madvise.js'
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from '../src/mm/mmapFlags.js'

const PAGE = 4096
const BASE = 2 ** 44
const RW = 3
const ANYWHERE = MAP_PRIVATE | MAP_ANONYMOUS

export class ManyMappings {
  readonly #k: Kernel
  readonly #mm: PhysAddr
  readonly #last: number
  readonly #middle: number

  constructor(count: number) {
    const full = fullMachine(1)
    const machine = new Machine({ ...full, oracles: false, kernel: { ...full.kernel, maxMapCount: Infinity } })
    machine.boot([], null)
    this.#k = machine.makeCpu(0, new SoloEngine(), null).kernel
    this.#mm = this.#k.mms.currentMm()
    drive(this.#k.rcu.ctKernelEnter())
    for (let i = 0; i < count; i++) this.#map(BASE + 2 * i * PAGE, MAP_FIXED)
    this.#last = BASE + 2 * (count - 1) * PAGE
    this.#middle = BASE + 2 * Math.floor(count / 2) * PAGE
  }

  fault(): void {
    this.#expect(drive(this.#k.fault.doUserAddrFault(this.#last as VirtAddr, true)), 0)
    this.#expect(drive(this.#k.madvise.doMadvise(this.#mm, this.#last, PAGE, MADV_DONTNEED)), 0)
  }

  unmapAndMap(): void {
    this.#expect(drive(this.#k.mmap.vmMunmap(this.#mm, this.#middle, PAGE)), 0)
    this.#map(this.#middle, MAP_FIXED)
  }

  mapAndUnmap(): void {
    const at = this.#map(0, 0)
    this.#expect(drive(this.#k.mmap.vmMunmap(this.#mm, at, PAGE)), 0)
  }

  #map(at: number, flags: number): number {
    const found = drive(this.#k.mmap.vmMmapPgoff(this.#mm, at, PAGE, RW, ANYWHERE | flags, phys(0), 0))
    if (flags !== 0) this.#expect(found, at)
    return found
  }

  #expect(result: number, wanted: number): void {
    if (result !== wanted) throw new Error(`a call returned ${result}, not ${wanted}`)
  }
}
