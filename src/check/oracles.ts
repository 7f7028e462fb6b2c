/**
 * The oracles of one CPU: hears what the machine and the kernel do and hands it to those whom it concerns.
 *
 * Everything they remember is in the image (shadow.ts), so that the objects of other CPUs, in other threads, see it.
 * Only the time of the gup walk under way is in an object.
 *
 * Where several hear of one event, frame-state comes first: what happens to a frame that is not in use is best told so.
 * Bookkeeping (mappings) comes before the oracles that use it; at a removal after those that judge the entry.
 */
import { Observer, type CallKind } from '../arch/observer.js'
import type { AccessWatcher } from '../machine/cpu/accessWatcher.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { CheckedKernel, CheckedMachine } from './checkedMachine.js'
import { Contents, DiscardKept } from './discardKept.js'
import { Written } from './dirtyKept.js'
import { EntryLegal } from './entryLegal.js'
import { FrameState } from './frameState.js'
import { GupIdentity } from './gupIdentity.js'
import { AssertedLocks } from './assertedLocks.js'
import { EntryLocks, Owners } from './guards.js'
import { HeldLocks } from './heldLocks.js'
import { LockOrder } from './lockOrder.js'
import { Mappings } from './mappings.js'
import { Oops, Words } from './oops.js'
import { PinExclusive } from './pinExclusive.js'
import { Refcount } from './refcount.js'
import { Shadow } from './shadow.js'
import { Sites } from './sites.js'
import { TableState } from './tableState.js'
import { TlbStale } from './tlbStale.js'
import { UserContents } from './userContents.js'
import { ObjectLife } from './objectLife.js'
import { ZeroPage } from './zeroPage.js'

export class Oracles extends Observer implements AccessWatcher {
  readonly #shadow: Shadow
  readonly #mappings: Mappings
  readonly #contents: Contents
  readonly #frames: FrameState
  readonly #tables: TableState
  readonly #tlb: TlbStale
  readonly #identity: GupIdentity
  readonly #pins: PinExclusive
  readonly #refcount: Refcount
  readonly #legal: EntryLegal
  readonly #discard: DiscardKept
  readonly #zero: ZeroPage
  readonly #locks: LockOrder
  readonly #held: HeldLocks
  readonly #asserted: AssertedLocks
  readonly #owners: Owners
  readonly #entryLocks: EntryLocks
  readonly #oops: Oops
  readonly #user: UserContents
  readonly #written: Written
  readonly #life: ObjectLife

  constructor(machine: CheckedMachine, words: Words) {
    super()
    const shadow = new Shadow(machine)
    const sites = new Sites(machine, shadow)
    this.#shadow = shadow
    this.#mappings = new Mappings(machine, shadow)
    this.#contents = new Contents(machine, shadow)
    this.#tables = new TableState(machine, shadow, sites)
    this.#frames = new FrameState(machine, shadow, sites, this.#mappings, this.#tables)
    this.#tlb = new TlbStale(machine, shadow, sites, this.#contents)
    this.#identity = new GupIdentity(machine, shadow, sites, this.#mappings)
    this.#pins = new PinExclusive(machine, shadow, sites, this.#mappings, this.#contents)
    this.#refcount = new Refcount(machine, shadow, sites)
    this.#legal = new EntryLegal(machine, shadow, sites)
    this.#discard = new DiscardKept(machine, shadow, sites, this.#contents)
    this.#zero = new ZeroPage(machine, shadow, sites, this.#contents)
    this.#locks = new LockOrder(machine, shadow)
    this.#held = new HeldLocks(shadow)
    this.#asserted = new AssertedLocks(machine, this.#held)
    this.#owners = new Owners(machine, shadow)
    this.#entryLocks = new EntryLocks(machine, shadow, this.#held)
    this.#oops = new Oops(machine, words)
    this.#written = new Written(machine, shadow)
    this.#user = new UserContents(machine, shadow, sites, this.#contents)
    this.#life = new ObjectLife(machine, shadow)
  }

  /** The kernel of the CPU that this observer watches; before the first event. */
  bind(kernel: CheckedKernel): void {
    this.#tlb.bind(kernel)
  }

  // ---- accesses ---------------------------------------------------------------------------------------------------

  accesses(cpu: Cpu, kind: number, addr: number): void {
    this.#oops.accesses(cpu, kind, addr)
    this.#life.accesses(cpu, kind, addr)
  }

  peeks(cpu: Cpu, addr: number): void {
    this.#oops.peeks(cpu, addr)
  }

  // ---- locks ------------------------------------------------------------------------------------------------------

  override lockAcquires(cpu: Cpu, lock: number): void {
    this.#locks.lockAcquires(cpu, lock)
  }

  override lockAcquired(cpu: Cpu, lock: number, shared: boolean): void {
    this.#held.acquired(cpu, lock, shared)
  }

  override lockTried(cpu: Cpu, lock: number, shared: boolean): void {
    this.#held.acquired(cpu, lock, shared)
    this.#locks.lockTried(cpu, lock)
  }

  override lockDowngraded(cpu: Cpu, lock: number): void {
    this.#held.downgraded(cpu, lock)
  }

  override lockReleased(cpu: Cpu, lock: number): void {
    this.#held.released(cpu, lock)
    this.#locks.lockReleased(cpu, lock)
  }

  override lockAsserted(cpu: Cpu, lock: number, shared: boolean): void {
    this.#asserted.lockAsserted(cpu, lock, shared)
  }

  override entersKernel(): void {
    this.#oops.forgets()
  }

  override returnsToUser(cpu: Cpu): void {
    this.#locks.returnsToUser(cpu)
    this.#oops.forgets()
  }

  // ---- objects ----------------------------------------------------------------------------------------------------

  override objectOwned(cpu: Cpu, object: number): void {
    this.#owners.own(cpu, object)
  }

  override objectAllocated(cpu: Cpu, object: number): void {
    this.#life.freed(object, false)
    this.#owners.own(cpu, object)
  }

  override objectFreed(_cpu: Cpu, object: number): void {
    this.#life.freed(object, true)
    this.#owners.share(object)
  }

  override objectShared(_cpu: Cpu, object: number): void {
    this.#owners.share(object)
  }

  override folioFrozen(cpu: Cpu, folio: number, frozen: boolean): void {
    this.#owners.folioFrozen(cpu, folio, frozen)
  }

  // ---- TLBs -------------------------------------------------------------------------------------------------------

  override tlbFilled(_cpu: number, pfn: number, pages: number): void {
    this.#tlb.tlbFilled(pfn, pages)
  }

  override tlbDropped(cpu: number, pfn: number, pages: number): void {
    this.#tlb.tlbDropped(cpu, pfn, pages)
  }

  // ---- frames -----------------------------------------------------------------------------------------------------

  override pagesAllocated(cpu: Cpu, pfn: number, order: number, kind: number): void {
    this.#shadow.touch()
    this.#owners.ownPages(cpu, pfn, 1 << order)
    this.#frames.pagesAllocated(cpu, pfn, order, kind)
  }

  override pagesFreed(cpu: Cpu, pfn: number, order: number): void {
    this.#shadow.touch()
    this.#frames.pagesFreed(cpu, pfn, order)
    this.#tlb.pagesFreed(cpu, pfn, order)
    this.#owners.sharePages(pfn, 1 << order)
  }

  override tableCreated(cpu: Cpu, table: number, level: number): void {
    this.#tables.created(cpu, table, level)
  }

  override tableBitsChanged(cpu: Cpu, page: number, _before: number, after: number): void {
    this.#tables.bitsChanged(cpu, page, after)
  }

  override tableFreed(cpu: Cpu, table: number): void {
    this.#tables.freed(cpu, table)
    this.#owners.tableFreed(cpu, table)
    this.#tlb.tableFreed(cpu, table)
  }

  override tableDeposited(cpu: Cpu, table: number, pmdp: number, deposited: boolean): void {
    this.#tables.deposited(cpu, table, pmdp, deposited)
  }

  // ---- references -------------------------------------------------------------------------------------------------

  override referenced(cpu: Cpu, pfn: number, before: number, delta: number): void {
    this.#shadow.touch()
    this.#refcount.referenced(cpu, pfn, before, delta)
    this.#owners.referenced(cpu, pfn, before + delta)
  }

  override mapped(cpu: Cpu, pfn: number, before: number, delta: number): void {
    this.#shadow.touch()
    this.#refcount.mapped(cpu, pfn, before, delta)
  }

  override anonExclusiveCleared(cpu: Cpu, pfn: number): void {
    this.#pins.anonExclusiveCleared(cpu, pfn)
  }

  // ---- page tables ------------------------------------------------------------------------------------------------

  override entryChanging(cpu: Cpu, level: number, mm: number, addr: number, entry: number, after: bigint): void {
    this.#tables.entryChanging(cpu, level, entry, after)
    this.#entryLocks.entryChanging(cpu, level, mm, entry)
    this.#owners.entryChanging(level, after)
    this.#mappings.entryChanging(cpu, level, mm, addr, entry, after)
  }

  override entryChanged(
    cpu: Cpu,
    level: number,
    mm: number,
    addr: number,
    entry: number,
    before: bigint,
    after: bigint,
  ): void {
    this.#shadow.touch()
    this.#tables.entryChanged(cpu, level, entry)
    this.#legal.entryChanged(cpu, level, mm, addr, entry, before, after)
    this.#zero.entryChanged(cpu, level, mm, addr, after)
    this.#mappings.entryChanged(cpu, level, entry, before, after)
    this.#contents.entryChanged(cpu, level, before, after)
    this.#tlb.entryChanged(cpu, level, mm, addr, entry, before, after)
  }

  override tableRead(cpu: Cpu, level: number, entry: number): void {
    this.#tables.read(cpu, level, entry)
  }

  override tableWalked(cpu: Cpu, level: number, entry: number): void {
    this.#tables.read(cpu, level, entry)
  }

  // ---- data -------------------------------------------------------------------------------------------------------

  override userAccesses(cpu: Cpu, mm: number, addr: number, pfn: number, write: boolean): void {
    if (cpu.engine.threads) this.#user.accesses(cpu, mm, addr, pfn, write)
  }

  override userAccessed(
    cpu: Cpu,
    mm: number,
    addr: number,
    pfn: number,
    _stamp: number,
    write: boolean,
    value: number,
  ): void {
    this.#frames.userAccessed(cpu, mm, addr, pfn, write)
    this.#zero.accessed(cpu, pfn, write)
    if (write) {
      this.#shadow.touch()
      this.#written.stored(pfn)
    }
    this.#user.accessed(cpu, mm, addr, pfn, write, value)
  }

  override kernelAccessed(cpu: Cpu, pfn: number, write: boolean): void {
    this.#frames.kernelAccessed(cpu, pfn, write)
    this.#zero.accessed(cpu, pfn, write)
  }

  override deviceAsks(cpu: Cpu): void {
    this.#user.deviceAsks(cpu)
  }

  override deviceWrites(cpu: Cpu, mm: number, addr: number, pfn: number, pinned: boolean): void {
    this.#user.deviceWrites(cpu, mm, addr, pfn, pinned)
  }

  override privateWrite(cpu: Cpu, mm: number, addr: number, pfn: number, pinned: boolean, value: number): void {
    this.#shadow.touch()
    this.#zero.privateWrite(cpu, mm, addr, pfn)
    this.#written.stored(pfn)
    this.#user.deviceWrote(cpu, mm, addr, pfn, pinned, value)
  }

  override contentsCreated(_cpu: Cpu, pfn: number, from: number): void {
    this.#contents.contentsCreated(pfn, from)
    this.#user.contentsCreated(pfn, from)
  }

  override contentsMoved(_cpu: Cpu, to: number, from: number): void {
    this.#written.moved(to, from)
  }

  override contentsFreed(_cpu: Cpu, mm: number, start: number, end: number): void {
    this.#written.freed(mm, start, end)
  }

  override contentsGivingUp(cpu: Cpu, mm: number, start: number, end: number, to: number): void {
    this.#user.givingUp(cpu, mm, start, end, to)
  }

  override contentsGivenUp(cpu: Cpu, moved: boolean): void {
    this.#user.givenUp(cpu, moved)
  }

  override contentsForked(cpu: Cpu, parent: number, child: number, start: number, end: number, stamp: number): void {
    this.#user.forked(cpu, parent, child, start, end, stamp)
  }

  override fileContentsGone(cpu: Cpu, file: number, first: number, end: number): void {
    this.#user.fileGone(cpu, file, first, end)
  }

  // ---- get_user_pages ---------------------------------------------------------------------------------------------

  override gupBegins(): void {
    this.#identity.gupBegins()
  }

  override gupTaking(cpu: Cpu): void {
    this.#shadow.touch()
    this.#identity.gupTaking(cpu)
  }

  override gupStamp(): number {
    return this.#identity.gupStamp()
  }

  override gupDone(
    cpu: Cpu,
    mm: number,
    addr: number,
    pfn: number,
    stamp: number,
    pinned: boolean,
    write: boolean,
  ): void {
    this.#identity.gupDone(cpu, mm, addr, pfn, stamp)
    this.#pins.gupDone(cpu, mm, addr, pfn, pinned)
    this.#zero.gupDone(cpu, mm, addr, pfn, write)
  }

  override gupReleased(cpu: Cpu, pfn: number, pinned: boolean): void {
    this.#pins.gupReleased(cpu, pfn, pinned)
  }

  // ---- operations -------------------------------------------------------------------------------------------------

  override callBegins(cpu: Cpu): number {
    return cpu.tick()
  }

  override callReturns(cpu: Cpu, kind: CallKind, mm: number, start: number, end: number, stamp: number): void {
    if (kind === 'discard') this.#discard.callReturns(cpu, mm, start, end, stamp)
    this.#tlb.callReturns(cpu, kind, mm, start, end, stamp)
  }
}
