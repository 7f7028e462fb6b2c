/**
 * unguarded-access: kernel code reads or writes a field by peek or poke, and the running CPU does not hold what guards
 * the field (machine/image/guard.ts). Such an access is no schedule point, because a guarded field cannot race; the
 * oracle holds the kernel to that, so that a lock that is not taken shows at the first access, not at the first
 * collision.
 *
 * Soundness in threads. What the CPU holds (heldLocks.ts) and what it owns is written by this CPU alone, in program
 * order, so an access is never reported although its guard is held. Guards that look at a word of the object look at
 * words that stand still while the guard is held: which mm a VMA belongs to, because it is constant; its anon_vma,
 * because that is set once; whether a count is zero, because who may access has a reference or the lock of one; whether
 * a table is linked, because its owner alone links it, and with its lock held nobody asks. When the guard is not held,
 * what they find may be out of date, and the report then names another lock than the one that is missing. A guard whose
 * word may change all the time (an idle CPU that comes back) looks at it only where nobody else runs meanwhile
 * (Holder.concurrent). Ownership is taken and given back by the owner before anybody else can reach the object and
 * after nobody can. The writer that a report names may be overtaken by a later one.
 *
 * Boot and unit tests that run one CPU alone are exempt: nobody else is there to race with.
 *
 * Frames. The words of a page table are the table's lock's; a table that is linked nowhere is its owner's, and a batch
 * of tables its creator's until RCU calls back. What a data frame holds is kernelAccessed()'s to judge (frameState.ts).
 */
import { brief, briefAt, emptyEntry, hugeFrame, isHuge, pteFrame, tableFrame } from '../arch/entry.js'
import { tableNr } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import { FrameKind } from '../arch/observer.js'
import { peek32, peek64, poke32 } from '../machine/image/image.js'
import type { AccessChecker } from '../machine/image/guarded.js'
import { guard, never, type Guard, type Holder } from '../machine/image/guard.js'
import type { Layout } from '../machine/image/layout.js'
import { MM } from '../mm/mmStruct.js'
import { PAGE, PG_HEAD, type Memmap } from '../mm/page.js'
import { Level } from '../arch/level.js'
import type { CheckedMachine } from './checkedMachine.js'
import { ANYONE, GuardTable, PRIVATE } from './guardTable.js'
import { lockName, type HeldLocks } from './heldLocks.js'
import { OBJECT_SHADOW, TABLE_SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { violation } from './violation.js'

const ORACLE = 'unguarded-access'
const OWNER = OBJECT_SHADOW.at.owner
const WRITE = OBJECT_SHADOW.at.writeCpu

/** Who owns which structure: what Oracles hear of ownership, and what the guards ask. */
export class Owners {
  readonly #shadow: Shadow
  readonly #memmap: Memmap
  readonly #hugePages: number

  constructor(machine: CheckedMachine, shadow: Shadow) {
    this.#shadow = shadow
    this.#hugePages = machine.geo.hpagePmdNr
    this.#memmap = machine.memmap
  }

  own(cpu: Cpu, object: number): void {
    poke32(this.#shadow.object(object) + OWNER, cpu.id + 1)
  }

  share(object: number): void {
    poke32(this.#shadow.object(object) + OWNER, 0)
  }

  owns(cpu: number, object: number): boolean {
    return peek32(this.#shadow.object(object) + OWNER) === cpu + 1
  }

  /** The struct pages of `count` frames from `pfn`. */
  ownPages(cpu: Cpu, pfn: number, count: number): void {
    for (let i = 0; i < count; i++) this.own(cpu, this.#memmap.page(pfn + i))
  }

  sharePages(pfn: number, count: number): void {
    for (let i = 0; i < count; i++) this.share(this.#memmap.page(pfn + i))
  }

  /** The count of the folio at frame `pfn` went to `count`: with the last reference it is `cpu`'s. */
  referenced(cpu: Cpu, pfn: number, count: number): void {
    if (count === 0) this.folioFrozen(cpu, this.#memmap.page(pfn), true)
  }

  /** An entry of `level` is about to become `after`: what it maps or links is everybody's from then on. */
  entryChanging(level: number, after: bigint): void {
    const word = brief(after)
    if (level === Level.pte) this.#shareFrames(pteFrame(word), 1)
    else if (level === Level.pmd && isHuge(word)) this.#shareFrames(hugeFrame(word, this.#hugePages), this.#hugePages)
    else {
      const table = tableFrame(word)
      if (this.#shadow.tableExists(table)) this.#shareFrames(this.#memmap.pfnOfTable(table), 1)
    }
  }

  #shareFrames(pfn: number, count: number): void {
    if (this.#shadow.exists(pfn) && !this.#shadow.isReserved(pfn)) this.sharePages(pfn, count)
  }

  /** A page that one table fills is with its table who gives that back. */
  tableFreed(cpu: Cpu, table: number): void {
    if (this.#memmap.fragments === 1) this.own(cpu, this.#memmap.page(this.#memmap.pfnOfTable(tableNr(table))))
  }

  /** The folio at `folio` is `cpu`'s, or everybody's again. */
  folioFrozen(cpu: Cpu, folio: number, frozen: boolean): void {
    const pages = (peek32(folio + PAGE.at.flags) & PG_HEAD) !== 0 ? 1 << peek32(folio + PAGE.at.order) : 1
    if (frozen) this.ownPages(cpu, this.#memmap.pfnOf(folio), pages)
    else this.sharePages(this.#memmap.pfnOf(folio), pages)
  }
}

/**
 * The entries of tables that are linked change under the table's lock, although by accessors: of two writers one would
 * be lost. free_pgtables() alone unlinks tables under mmap_lock, when their VMAs are gone.
 */
export class EntryLocks {
  readonly #shadow: Shadow
  readonly #memmap: Memmap
  readonly #held: HeldLocks
  readonly #layout: Layout

  constructor(machine: CheckedMachine, shadow: Shadow, held: HeldLocks) {
    this.#shadow = shadow
    this.#memmap = machine.memmap
    this.#held = held
    this.#layout = machine.layout
  }

  /** The entry at `entry` of `level` is about to change. Boot and unit tests are exempt, as in Guards. */
  entryChanging(cpu: Cpu, level: number, mm: number, entry: number): void {
    if (!cpu.engine.threads && cpu.engine.running < 0) return
    const table = this.#memmap.tableOfLevelAt(level, entry)
    if (peek32(this.#shadow.table(table) + TABLE_SHADOW.at.linked) === 0) return
    const lock = this.#lockOf(level, mm, entry)
    if (this.#held.holdsToWrite(cpu.id, lock) || this.#mayUnlink(cpu, level, mm, entry)) return
    violation(cpu, ORACLE, 'unguarded write of a page-table entry', entry, [
      `guard: ${level > Level.pmd ? 'page_table_lock of the mm, once the table is linked' : tableWord.rule}`,
      `its lock: ${lockName(lock, this.#layout)}`,
      `CPU ${cpu.id} holds: ${this.#held.names(cpu.id, this.#layout)}`,
    ])
  }

  /** page_table_lock of the mm, for entries above the PMD level. */
  #lockOf(level: number, mm: number, entry: number): number {
    if (level > Level.pmd) return mm + MM.at.pageTableLock
    const pfn = level === Level.pte ? this.#memmap.pfnAt(entry) : this.#memmap.upperPfnAt(entry)
    return this.#memmap.page(pfn) + PAGE.at.ptl
  }

  #mayUnlink(cpu: Cpu, level: number, mm: number, entry: number): boolean {
    if (level === Level.pte || !this.#held.holds(cpu.id, mm + MM.at.mmapLock)) return false
    return level === Level.pmd ? tableFrame(briefAt(entry)) >= 0 : peek64(entry) !== emptyEntry(level)
  }
}

export class Guards implements AccessChecker {
  readonly #layout: Layout
  readonly #frameBase: number
  readonly #memmap: Memmap
  readonly #opNames: readonly string[]
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #held: HeldLocks
  readonly #owners: Owners
  readonly #table: GuardTable
  readonly #holders: CpuHolder[] = []
  #any: Cpu | null = null

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, held: HeldLocks, owners: Owners) {
    this.#layout = machine.layout
    this.#frameBase = machine.layout.frameBase
    this.#memmap = machine.memmap
    this.#opNames = machine.opNames ?? []
    this.#shadow = shadow
    this.#sites = sites
    this.#held = held
    this.#owners = owners
    this.#table = new GuardTable(machine.layout)
  }

  /** `cpu` is one of those that this thread runs from now on. */
  watch(cpu: Cpu): void {
    this.#holders[cpu.id] = new CpuHolder(cpu, this.#held, this.#owners, this.#layout)
    this.#any = cpu
  }

  // ---- AccessChecker ----------------------------------------------------------------------------------------------

  reads(addr: number): void {
    const holder = this.#running()
    if (holder === null) return
    holder.of.accesses?.peeks(holder.of, addr)
    this.#check(holder, addr, false)
  }

  writes(addr: number): void {
    const holder = this.#running()
    if (holder === null) return
    holder.of.accesses?.peeks(holder.of, addr)
    this.#check(holder, addr, true)
  }

  /** The words of a structure are asked for each by itself, those of a table all at once. */
  fills(addr: number, bytes: number): void {
    const holder = this.#running()
    if (holder === null) return
    holder.of.accesses?.peeks(holder.of, addr)
    const step = addr >= this.#frameBase ? this.#memmap.tableBytes : 4
    for (let at = addr; at < addr + bytes; at += step) this.#check(holder, at, true)
  }

  #running(): CpuHolder | null {
    const { engine, id } = this.#any as Cpu
    const cpu = engine.threads ? id : engine.running
    return cpu < 0 ? null : (this.#holders[cpu] as CpuHolder)
  }

  #check(holder: CpuHolder, addr: number, write: boolean): void {
    if (addr >= this.#frameBase) return this.#checkFrame(holder, addr, write)
    const number = write ? this.#table.ofWrite(addr) : this.#table.ofRead(addr)
    // Who has written a private word is known without a note.
    if (number !== ANYONE && number !== PRIVATE + holder.cpu) this.#ask(holder, addr, write)
  }

  #ask(holder: CpuHolder, addr: number, write: boolean): void {
    const { region, words } = this.#table.regionOf(addr)
    const index = Math.floor((addr - region.base) / region.struct.size)
    const object = region.base + index * region.struct.size
    const guards = words[(addr - object) >>> 2] as readonly Guard[]
    if (!holder.owns(object) && !isGuarded(guards, holder, object, index, write))
      this.#report(holder, addr, write, guards, object)
    if (write) this.#sites.note(holder.of, this.#shadow.object(object) + WRITE)
  }

  /** A word of a frame: of a table, under its lock, while it is linked. */
  #checkFrame(holder: CpuHolder, addr: number, write: boolean): void {
    const pfn = this.#shadow.pfnAt(addr)
    if (pfn < 0 || this.#shadow.kind(pfn) !== FrameKind.table) return
    if (holder.owns(this.#memmap.page(pfn))) return
    const table = this.#shadow.tableOf(addr)
    const level = peek32(table + TABLE_SHADOW.at.state) & 0xf
    if (level === 0) return
    const whole = this.#shadow.table(this.#memmap.wholeTable(level, this.#memmap.tableAt(addr)))
    if (peek32(whole + TABLE_SHADOW.at.linked) === 0) return
    const page = this.#memmap.page(level === Level.pte ? pfn : this.#memmap.upperPfn(pfn))
    if (!holder.holdsToWrite(page + PAGE.at.ptl)) this.#report(holder, addr, write, [tableWord], page)
  }

  // ---- report -----------------------------------------------------------------------------------------------------

  #report(
    { of: cpu, cpu: id }: CpuHolder,
    addr: number,
    write: boolean,
    guards: readonly Guard[],
    object: number,
  ): never {
    const kind = this.#layout.kindOf(addr)
    const lockOf = guards.find((guard) => guard.lockOf !== null)?.lockOf ?? null
    const lock = lockOf === null ? 0 : lockOf(object, this.#layout)
    violation(cpu, ORACLE, `unguarded ${write ? 'write' : 'read'} of ${kind}`, addr, [
      ...guards.map(({ rule }) => `guard: ${rule}`),
      ...(lock === 0 ? [] : [`its lock: ${lockName(lock, this.#layout)}, ${this.#holdersOf(lock)}`]),
      `CPU ${id} holds: ${this.#held.names(id, this.#layout)}`,
      ...this.#lastWrite(object),
    ])
  }

  /** Who holds the lock at `lock`, and in which operation that CPU is, which therefore took it. */
  #holdersOf(lock: number): string {
    const holders: string[] = []
    const count = this.#any?.cpuCount ?? 0
    for (let cpu = 0; cpu < count; cpu++) {
      const held = this.#held.of(cpu).find((candidate) => candidate.lock === lock)
      if (held === undefined) continue
      const mode = held.shared ? 'to read' : 'to write'
      holders.push(`held ${mode} by CPU ${cpu} in ${this.#operationOf(cpu)}`)
    }
    return holders.length === 0 ? 'which nobody holds' : holders.join(', ')
  }

  #operationOf(cpu: number): string {
    const area = (this.#any as Cpu).areaOf(cpu)
    const kind = peek32(area + CPU_AREA.at.opKind)
    return `operation ${peek32(area + CPU_AREA.at.opIndex)} (${this.#opNames[kind] ?? `kind ${kind}`})`
  }

  #lastWrite(object: number): string[] {
    const at = this.#shadow.object(object) + WRITE
    return peek32(at) === 0
      ? []
      : this.#sites.site(`${lockName(object, this.#layout).replace(/\..*/, '')} last written`, at)
  }
}

const tableWord: Guard = guard(
  'the lock of the table; before it is linked and after, its owner',
  never,
  never,
  (page) => page + PAGE.at.ptl,
)

function isGuarded(guards: readonly Guard[], holder: Holder, object: number, index: number, write: boolean): boolean {
  for (const { mayRead, mayWrite } of guards)
    if (write ? mayWrite(holder, object, index) : mayRead(holder, object, index)) return true
  return false
}

/** What one CPU holds. */
class CpuHolder implements Holder {
  readonly of: Cpu
  readonly cpu: number
  readonly concurrent: boolean
  readonly places: Layout
  readonly #held: HeldLocks
  readonly #owners: Owners

  constructor(cpu: Cpu, held: HeldLocks, owners: Owners, places: Layout) {
    this.of = cpu
    this.cpu = cpu.id
    this.concurrent = cpu.engine.threads
    this.#held = held
    this.#owners = owners
    this.places = places
  }

  holds(lock: number): boolean {
    return this.#held.holds(this.cpu, lock)
  }

  holdsToWrite(lock: number): boolean {
    return this.#held.holdsToWrite(this.cpu, lock)
  }

  holdsOne(test: (lock: number) => boolean): boolean {
    return this.#held.holdsOne(this.cpu, test)
  }

  owns(object: number): boolean {
    return this.#owners.owns(this.cpu, object)
  }
}
