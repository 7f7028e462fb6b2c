/**
 * frame-state, for page tables: walks through memory that is no table of that level (or a deposited one), tables that
 * are linked twice, given back while they are linked or not empty (T2), handed out twice, or that read as
 * anything but empty once they are given back (T3).
 *
 * A table that is unlinked, or given back to a page that others share, may still be read: that is what grace periods
 * are for. When its page goes back to the allocator, or the table is handed out again, nobody may be in it any more.
 *
 * Sound in free runs:
 * - created, freed: the caller is the table's only owner at that moment; a page of several has a word for each.
 * - read: called after the read, and inside whatever keeps the table (IRQs off, an RCU reader, a lock), so the table
 *   still is one when it is looked at here. Likewise for the hardware walker, inside the access that a flush waits for.
 * - entry hooks: the setter's lock keeps the table.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32, peek32, poke32 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import { FrameKind } from '../arch/observer.js'
import type { CheckedMachine } from './checkedMachine.js'
import { brief, briefAt, isEmptyWord, levelName, tableFrame } from '../arch/entry.js'
import { TABLE_DEPOSITED, TABLE_FREED, TABLE_SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { violation } from './violation.js'

const ORACLE = 'frame-state'
const AT = TABLE_SHADOW.at
const name = (level: number): string => levelName(level).toUpperCase()

export class TableState {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  created(cpu: Cpu, table: number, level: number): void {
    for (let nr = table; nr < table + this.#machine.memmap.tableParts(level); nr++) {
      const at = this.#shadow.table(nr)
      const state = peek32(at + AT.state)
      if (state !== 0 && (state & TABLE_FREED) === 0) this.#report(cpu, 'page table handed out twice', table)
      poke32(at + AT.state, level)
      poke32(at + AT.linked, 0)
    }
    this.#checkEmpty(cpu, table, 'page table handed out with entries in it')
  }

  freed(cpu: Cpu, table: number): void {
    const at = this.#shadow.table(table)
    const state = peek32(at + AT.state)
    const level = state & 0xf
    if (state === 0) this.#report(cpu, 'what is given back is no page table', table)
    if ((state & TABLE_FREED) !== 0) this.#report(cpu, 'KASAN: double-free of a page table', table)
    if (load32(at + AT.linked) !== 0) this.#report(cpu, 'page table freed while it is linked', table)
    if ((state & TABLE_DEPOSITED) !== 0) this.#report(cpu, 'page table freed while it is deposited', table)
    this.#checkEmpty(cpu, table, 'page table freed with entries in it')
    for (let nr = table; nr < table + this.#machine.memmap.tableParts(level); nr++)
      poke32(this.#shadow.table(nr) + AT.state, level | TABLE_FREED)
  }

  /**
   * The tracking byte of two tables in a page (isa/s390/pgalloc/bits.ts): A handed out, P given back and perhaps still
   * read, H waiting on the page's rcu_head. A table is never A and P, and never H without P.
   */
  bitsChanged(cpu: Cpu, page: number, byte: number): void {
    const [handedOut, waiting, pending] = [byte & 3, (byte >>> 2) & 3, byte >>> 4]
    if ((handedOut & pending) === 0 && (waiting & ~pending) === 0) return
    const title = `tracking byte of page tables is 0x${byte.toString(16).padStart(2, '0')}`
    violation(cpu, ORACLE, `BUG: ${title}`, page, [
      (handedOut & pending) !== 0
        ? 'a part is handed out while walkers may still be in its last use'
        : 'a part waits for a grace period that nobody will tell it of',
      ...this.#sites.describe(this.#machine.memmap.pfnOf(page)),
    ])
  }

  /** Frame `pfn` goes back to the allocator: nobody uses any of the tables in it. */
  pageFreed(cpu: Cpu, pfn: number): void {
    const first = this.#machine.memmap.firstTable(pfn)
    for (let nr: number = first; nr < first + this.#machine.memmap.fragments; nr++) {
      const at = this.#shadow.table(nr) + AT.state
      const state = peek32(at)
      if (state !== 0 && (state & TABLE_FREED) === 0)
        this.#report(cpu, 'page freed while a page table in it is in use', nr)
      poke32(at, 0)
    }
  }

  /** Under the PMD lock: D2, a deposited table is empty and in nobody's use. */
  deposited(cpu: Cpu, table: number, pmdp: number, deposited: boolean): void {
    const at = this.#shadow.table(table)
    const [from, to] = deposited ? [0, TABLE_DEPOSITED] : [TABLE_DEPOSITED, 0]
    if (peek32(at + AT.state) !== (Level.pte | from)) {
      const what = deposited
        ? 'deposit of what is no free-standing PTE table'
        : 'withdrawal of a table that was not deposited'
      this.#report(cpu, what, table)
    }
    if (deposited && load32(at + AT.linked) !== 0) this.#report(cpu, 'deposit of a linked page table', table)
    // Where tables share a page, a deposited one keeps its links in its own first words.
    if (deposited && this.#machine.memmap.fragments === 1)
      this.#checkEmpty(cpu, table, 'deposit of a page table that is not empty')
    poke32(at + AT.state, Level.pte | to)
    poke32(at + AT.depositedAt, deposited ? this.#machine.memmap.upperPfnAt(pmdp) + 1 : 0)
  }

  #checkEmpty(cpu: Cpu, table: number, what: string): void {
    const { geo, memmap } = this.#machine
    const first = memmap.table(table)
    const level = peek32(this.#shadow.table(table) + AT.state) & 0xf
    const end = first + (level === Level.pte ? geo.ptrsPerPte : geo.ptrsPerTable) * 8
    for (let at: number = first; at < end; at += 8)
      if (!isEmptyWord(level, peek32(at), peek32(at + 4))) this.#report(cpu, what, table, at)
  }

  // ---- accesses ---------------------------------------------------------------------------------------------------

  /** A walker has read the word at `entry`. One load and one comparison, when all is well. */
  read(cpu: Cpu, level: number, entry: number): void {
    if (this.#shadow.pfnAt(entry) >= 0 && peek32(this.#shadow.tableOf(entry) + AT.state) === level) return
    this.#unusualRead(cpu, level, entry)
  }

  /** Given back, but walkers may be in it: T3. The second look is for a table that was handed out again meanwhile. */
  #unusualRead(cpu: Cpu, level: number, entry: number): void {
    const at = this.#shadow.tableOf(entry) + AT.state
    const isFreed = (): boolean => this.#shadow.pfnAt(entry) >= 0 && peek32(at) === (level | TABLE_FREED)
    if (!isFreed()) return this.#badTable(cpu, level, entry, 'read')
    const empty = isEmptyWord(level, load32(entry), load32(entry + 4))
    if (!empty && isFreed())
      this.#report(cpu, `a ${name(level)} table that was given back no longer reads as empty`, this.#nr(entry), entry)
  }

  /** Before a pointer to a table is stored. */
  entryChanging(cpu: Cpu, level: number, entry: number, after: bigint): void {
    if (level === Level.pte) return
    const table = tableFrame(brief(after))
    if (table < 0 || !this.#shadow.tableExists(table)) return
    if (tableFrame(briefAt(entry)) === table) return
    const at = this.#shadow.table(table)
    if (peek32(at + AT.state) !== level - 1)
      this.#report(cpu, `what is linked is no free-standing ${name(level - 1)} table`, table, entry)
    if (load32(at + AT.linked) !== 0) this.#report(cpu, 'page table linked twice', table, entry)
  }

  entryChanged(cpu: Cpu, level: number, entry: number): void {
    if (peek32(this.#shadow.tableOf(entry) + AT.state) !== level) this.#badTable(cpu, level, entry, 'written')
  }

  #badTable(cpu: Cpu, level: number, entry: number, done: string): never {
    const pfn = this.#shadow.pfnAt(entry)
    if (pfn < 0) violation(cpu, ORACLE, `KASAN: wild-memory-access: page table ${done} outside of memory`, entry, [])
    const state = peek32(this.#shadow.tableOf(entry) + AT.state)
    const gone = this.#shadow.kind(pfn) !== FrameKind.table || state === 0 || (state & TABLE_FREED) !== 0
    const what = gone
      ? 'KASAN: use-after-free: the page table is gone'
      : (state & TABLE_DEPOSITED) !== 0
        ? `page table ${done} that is deposited`
        : `table of another level ${done} as ${name(level)}`
    this.#report(cpu, what, this.#nr(entry), entry)
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  #nr(entry: number): number {
    return this.#machine.memmap.tableAt(entry)
  }

  #report(cpu: Cpu, what: string, table: number, address: number = this.#machine.memmap.table(table)): never {
    violation(cpu, ORACLE, what, address, this.#sites.describe(this.#machine.memmap.pfnOfTable(table)))
  }
}
