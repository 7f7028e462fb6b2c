/**
 * frame-state: what each frame is used for, as KASAN and page-table checks know it. Use after free and double free,
 * walks through frames that are no table of that level (or are deposited: golden rule G3), tables that are given back
 * while they are linked or not empty (G2).
 *
 * A table that is unlinked and not yet freed may still be read: that is what grace periods are for.
 *
 * Sound in free runs:
 * - allocated, freed: the zone lock hands a frame from one owner to the next; the hooks are called by the owner.
 * - tableRead: called after the read, and inside whatever keeps the table (IRQs off, an RCU reader, a lock), so the
 *   frame still is a table when it is looked at here. Likewise tableWalked, inside the access that a flush waits for.
 * - userAccessed, kernelAccessed: the access's IRQ-off section, or the caller's reference, keeps the frame.
 * - entry hooks: the setter's lock keeps the table, and the pages that entries name have the mapping's reference.
 */
import type { PhysAddr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32, note, peek32, poke32, xchg32 } from '../machine/image/image.js'
import { FrameKind, Level } from '../machine/trace/observer.js'
import type { CheckedMachine } from './checkedMachine.js'
import { lowHalf, tableFrame } from './entryWord.js'
import type { Mappings } from './mappings.js'
import { SHADOW, STATE_DEPOSITED, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'frame-state'
const AT = SHADOW.at
const LEVELS = ['', 'PTE', 'PMD', 'PUD', 'PGD'] as const

const tableState = (level: number): number => FrameKind.table | (level << 4)

export class FrameState {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #mappings: Mappings

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, mappings: Mappings) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#mappings = mappings
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
    poke32(at + AT.linked, 0)
    poke32(at + AT.writable, 0)
    poke32(at + AT.birth, 0)
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
    if (kind === FrameKind.table) this.#checkTableFree(cpu, pfn, old)
    else if (this.#mappings.isMapped(pfn))
      this.#report(cpu, 'Bad page state: a page table still maps the page', this.#page(pfn), pfn)
    this.#sites.freed(cpu, pfn, clock)
  }

  #checkTableFree(cpu: Cpu, pfn: number, state: number): void {
    const at = this.#shadow.of(pfn)
    if (load32(at + AT.linked) !== 0) this.#report(cpu, 'page table freed while it is linked', this.#frame(pfn), pfn)
    if ((state & STATE_DEPOSITED) !== 0)
      this.#report(cpu, 'page table freed while it is deposited', this.#frame(pfn), pfn)
    this.#checkEmpty(cpu, pfn, 'page table freed with entries in it')
  }

  #checkEmpty(cpu: Cpu, pfn: number, what: string): void {
    const first = this.#frame(pfn)
    const end = first + this.#machine.geo.ptrsPerTable * 8
    for (let at: number = first; at < end; at += 4) if (peek32(at) !== 0) this.#report(cpu, what, at - (at % 8), pfn)
  }

  // ---- page tables ------------------------------------------------------------------------------------------------

  tableCreated(pfn: number, level: number): void {
    poke32(this.#shadow.of(pfn) + AT.state, tableState(level))
  }

  /** Under the PMD lock: D2, a deposited table is empty and in nobody's use. */
  tableDeposited(cpu: Cpu, pfn: number, deposited: boolean): void {
    const at = this.#shadow.of(pfn)
    const [from, to] = deposited ? [0, STATE_DEPOSITED] : [STATE_DEPOSITED, 0]
    if (peek32(at + AT.state) !== (tableState(Level.pte) | from)) {
      const what = deposited
        ? 'deposit of a frame that is no free-standing PTE table'
        : 'withdrawal of a frame that was not deposited'
      this.#report(cpu, what, this.#frame(pfn), pfn)
    }
    if (deposited && load32(at + AT.linked) !== 0)
      this.#report(cpu, 'deposit of a linked page table', this.#frame(pfn), pfn)
    if (deposited) this.#checkEmpty(cpu, pfn, 'deposit of a page table that is not empty')
    poke32(at + AT.state, tableState(Level.pte) | to)
  }

  /** A walker has read the word at `entry`. One load and one comparison, when all is well. */
  tableRead(cpu: Cpu, level: number, entry: number): void {
    if (peek32(this.#shadow.at(entry) + AT.state) === tableState(level)) return
    this.#badTable(cpu, level, entry, 'read')
  }

  /** Before a pointer to a table is stored. */
  entryChanging(cpu: Cpu, level: number, entry: number, after: bigint): void {
    if (level === Level.pte) return
    const table = tableFrame(lowHalf(after))
    if (table < 0 || !this.#shadow.exists(table)) return
    if (tableFrame(peek32(entry)) === table) return
    const at = this.#shadow.of(table)
    if (peek32(at + AT.state) !== tableState(level - 1))
      this.#report(cpu, `a frame that is no free-standing ${LEVELS[level - 1]} table is linked`, entry, table)
    if (load32(at + AT.linked) !== 0) this.#report(cpu, 'page table linked twice', entry, table)
  }

  entryChanged(cpu: Cpu, level: number, entry: number): void {
    if (peek32(this.#shadow.at(entry) + AT.state) !== tableState(level)) this.#badTable(cpu, level, entry, 'written')
  }

  #badTable(cpu: Cpu, level: number, entry: number, done: string): never {
    const pfn = this.#shadow.pfnAt(entry)
    if (pfn < 0) violation(cpu, ORACLE, `KASAN: wild-memory-access: page table ${done} outside of memory`, entry, [])
    const kind = this.#shadow.kind(pfn)
    const what =
      kind !== FrameKind.table
        ? 'KASAN: use-after-free: the page table is gone'
        : (peek32(this.#shadow.of(pfn) + AT.state) & STATE_DEPOSITED) !== 0
          ? `page table ${done} that is deposited`
          : `table of another level ${done} as ${LEVELS[level]}`
    this.#report(cpu, what, entry, pfn)
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
