/**
 * frame-state: what each frame is used for, as KASAN and page-table checks know it: use after free and double free.
 * Page tables are in tableState.ts.
 *
 * Sound in free runs:
 * - allocated, freed: the zone lock hands a frame from one owner to the next; the hooks are called by the owner.
 * - userAccessed, kernelAccessed: the access's IRQ-off section, or the caller's reference, keeps the frame.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { note, peek32, poke32, xchg32 } from '../machine/image/image.js'
import { FrameKind } from '../arch/observer.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Mappings } from './mappings.js'
import { SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import type { TableState } from './tableState.js'
import { hex, violation } from './violation.js'

const ORACLE = 'frame-state'
const AT = SHADOW.at

export class FrameState {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #mappings: Mappings
  readonly #tables: TableState

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, mappings: Mappings, tables: TableState) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#mappings = mappings
    this.#tables = tables
  }

  // ---- allocation -------------------------------------------------------------------------------------------------

  pagesAllocated(cpu: Cpu, pfn: number, order: number, kind: number): void {
    const clock = cpu.tick()
    for (let i = pfn; i < pfn + (1 << order); i++) this.#allocate(cpu, i, kind, clock)
  }

  #allocate(cpu: Cpu, pfn: number, kind: number, clock: number): void {
    const at = this.#shadow.of(pfn)
    if ((peek32(at + AT.state) & 0xf) !== FrameKind.free)
      violation(cpu, ORACLE, 'page allocated twice', this.#page(pfn), this.#sites.describe(pfn))
    poke32(at + AT.state, kind)
    poke32(at + AT.generation, peek32(at + AT.generation) + 1)
    poke32(at + AT.writable, 0)
    poke32(at + AT.birth, 0)
    poke32(at + AT.loose, 0)
    poke32(at + AT.written, 0)
    // Mappings of an earlier owner explain nothing.
    poke32(at + AT.mapMm, 0)
    poke32(at + AT.hugeMm, 0)
    poke32(at + AT.unmapClock, 0)
    poke32(at + AT.hugeUnmapClock, 0)
    this.#sites.allocated(cpu, pfn, clock)
  }

  pagesFreed(cpu: Cpu, pfn: number, order: number): void {
    const clock = cpu.tick()
    for (let i = pfn; i < pfn + (1 << order); i++) this.#free(cpu, i, clock)
  }

  /** The state is exchanged, so that of two CPUs that free one frame at the same time one sees it. */
  #free(cpu: Cpu, pfn: number, clock: number): void {
    const at = this.#shadow.of(pfn)
    const old = xchg32(at + AT.state, FrameKind.free)
    note(at + AT.state)
    const kind = old & 0xf
    if (kind === FrameKind.free) this.#report(cpu, 'KASAN: double-free', this.#page(pfn), pfn)
    if (kind === FrameKind.reserved) this.#report(cpu, 'Bad page state: a reserved page is freed', this.#page(pfn), pfn)
    if (kind === FrameKind.table) this.#tables.pageFreed(cpu, pfn)
    else if (this.#mappings.isMapped(pfn))
      violation(cpu, ORACLE, 'Bad page state: a page table still maps the page', this.#page(pfn), [
        this.#mappings.describe(pfn),
        ...this.#sites.describe(pfn),
      ])
    this.#sites.freed(cpu, pfn, clock)
  }

  // ---- data -------------------------------------------------------------------------------------------------------

  userAccessed(cpu: Cpu, mm: number, addr: number, pfn: number, write: boolean): void {
    if (this.#shadow.isData(pfn) || this.#shadow.isReserved(pfn)) return
    const access = `user ${write ? 'write' : 'read'} at ${hex(addr)} of mm ${hex(mm)}`
    violation(cpu, ORACLE, 'KASAN: use-after-free', this.#frame(pfn), [access, ...this.#sites.describe(pfn)])
  }

  kernelAccessed(cpu: Cpu, pfn: number, write: boolean): void {
    if (this.#shadow.isData(pfn) || this.#shadow.isReserved(pfn)) return
    const access = `kernel ${write ? 'write' : 'read'}`
    violation(cpu, ORACLE, 'KASAN: use-after-free', this.#frame(pfn), [access, ...this.#sites.describe(pfn)])
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  #report(cpu: Cpu, what: string, address: number, pfn: number): never {
    violation(cpu, ORACLE, what, address, this.#sites.describe(pfn))
  }

  #page(pfn: number): PhysAddr {
    return this.#machine.memmap.page(pfn)
  }

  #frame(pfn: number): PhysAddr {
    return this.#machine.memmap.frame(pfn)
  }
}
