/**
 * The hooks by which the machine and the kernel tell observers their steps. The class is the empty twin: a machine
 * without oracles runs it, at the cost of a call that V8 inlines to nothing. Oracles (check/) extend it.
 *
 * Methods are plain functions and no schedule points: in the controlled engine they belong to the step that calls them.
 * In free runs they race like everything else, so each one says on which side of the real event it is called; an oracle
 * that compares times (Cpu.tick) must be sound for that side.
 */
import { LockWatcher } from '../machine/cpu/lockWatcher.js'
import type { TlbWatcher } from '../machine/cpu/tlb.js'
import type { Cpu } from '../machine/cpu/cpu.js'

/** What a frame is used for. */
export const FrameKind = { free: 0, reserved: 1, data: 2, table: 3, batch: 4 } as const

export class Observer extends LockWatcher implements TlbWatcher {
  tlbFilled(_cpu: number, _pfn: number, _pages: number): void {}
  tlbDropped(_cpu: number, _pfn: number, _pages: number): void {}

  // ---- objects ----------------------------------------------------------------------------------------------------

  /**
   * The structure at `object` is this CPU's alone: it was just allocated, or is linked nowhere any more. Until
   * objectShared() the guards of its fields (machine/image/guard.ts) are not asked for.
   */
  objectOwned(_cpu: Cpu, _object: number): void {}
  /** As objectOwned(), of a structure that has just left its allocator. */
  objectAllocated(_cpu: Cpu, _object: number): void {}
  /** As objectShared(), of a structure that is about to enter its allocator; accessors touch it no more. */
  objectFreed(_cpu: Cpu, _object: number): void {}
  /** It is about to be linked where others find it, or to be given back. */
  objectShared(_cpu: Cpu, _object: number): void {}
  /**
   * The count of the folio at `folio` was frozen to zero, which makes it this CPU's (true); or is about to be thawed.
   */
  folioFrozen(_cpu: Cpu, _folio: number, _frozen: boolean): void {}

  // ---- frames -----------------------------------------------------------------------------------------------------

  /** 2^order frames from `pfn` left the allocator; nobody else knows them yet. `kind` is a FrameKind. */
  pagesAllocated(_cpu: Cpu, _pfn: number, _order: number, _kind: number): void {}
  /** 2^order frames from `pfn` are about to enter the allocator; the caller is their only owner. */
  pagesFreed(_cpu: Cpu, _pfn: number, _order: number): void {}
  /**
   * Table `table` of `level` was handed out for mm at `mm`, all entries none; not linked yet. Its page is allocated.
   */
  tableCreated(_cpu: Cpu, _table: number, _level: number, _mm: number): void {}
  /** Table `table` is about to be given back, to its page if others share it; walkers may still be in it. */
  tableFreed(_cpu: Cpu, _table: number): void {}
  /**
   * A table was deposited with the PMD table at `pmdp` for a later split (true) or withdrawn (false), under its lock.
   */
  tableDeposited(_cpu: Cpu, _table: number, _pmdp: number, _deposited: boolean): void {}

  /**
   * s390: the byte that tracks the two tables of the page at `page` went from `before` to `after`, in one operation.
   */
  tableBitsChanged(_cpu: Cpu, _page: number, _before: number, _after: number): void {}

  // ---- references -------------------------------------------------------------------------------------------------

  /** A reference count went from `before` by `delta`; called after the atomic operation. `pfn` is the head. */
  referenced(_cpu: Cpu, _pfn: number, _before: number, _delta: number): void {}
  /** A mapcount (stored minus one) changed from `before` by `delta`. */
  mapped(_cpu: Cpu, _pfn: number, _before: number, _delta: number): void {}
  /** PageAnonExclusive of the page is about to be cleared (fork, swap-out, migration) with the pin test passed. */
  anonExclusiveCleared(_cpu: Cpu, _pfn: number): void {}

  // ---- page tables ------------------------------------------------------------------------------------------------

  /**
   * The entry at `entry` is about to become `after`; called before the store, by whom entryChanged() is called after
   * it. Nobody but the hardware's accessed and dirty bits changes the entry in between.
   */
  entryChanging(_cpu: Cpu, _level: number, _mm: number, _addr: number, _entry: number, _after: bigint): void {}
  /** The entry at `entry` (Level `level`, translating from `addr` in `mm`) went from `before` to `after`; just done. */
  entryChanged(
    _cpu: Cpu,
    _level: number,
    _mm: number,
    _addr: number,
    _entry: number,
    _before: bigint,
    _after: bigint,
  ): void {}
  /** A software walker (gup_fast, rmap) has just read the table word at `entry`, Level `level`. */
  tableRead(_cpu: Cpu, _level: number, _entry: number): void {}
  /** The hardware walker has just read the table word at `entry` while translating `addr`. */
  tableWalked(_cpu: Cpu, _level: number, _entry: number): void {}
  /** flush_tlb_*() of vpn … end-1 of `mm` has returned on this CPU. */
  tlbFlushed(_cpu: Cpu, _mm: number, _vpn: number, _end: number): void {}

  // ---- data -------------------------------------------------------------------------------------------------------

  /**
   * A user's load or store is about to go to frame `pfn` for `addr` in `mm`. Interrupts are off, and a flush waits,
   * until userAccessed().
   */
  userAccesses(_cpu: Cpu, _mm: number, _addr: number, _pfn: number, _write: boolean): void {}
  /**
   * It went there, through a translation filled at clock `stamp`, and loaded or stored `value` (31 bits).
   */
  userAccessed(
    _cpu: Cpu,
    _mm: number,
    _addr: number,
    _pfn: number,
    _stamp: number,
    _write: boolean,
    _value: number,
  ): void {}
  /** The kernel is about to read or write the data of frame `pfn` (copy, clear, write through a pin). */
  kernelAccessed(_cpu: Cpu, _pfn: number, _write: boolean): void {}
  /** The kernel is about to call gup for a write of its user's, with deviceWrites() and privateWrite() to follow. */
  deviceAsks(_cpu: Cpu): void {}
  /** It is about to write the word at `addr` of `mm`, through frame `pfn`, of which it has a reference or a pin. */
  deviceWrites(_cpu: Cpu, _mm: number, _addr: number, _pfn: number, _pinned: boolean): void {}
  /** It wrote `value` there. */
  privateWrite(_cpu: Cpu, _mm: number, _addr: number, _pfn: number, _pinned: boolean, _value: number): void {}
  /** Frame `pfn` now holds new contents for page `addr` of `mm`: zeroes, or a copy of frame `from` (-1: none). */
  contentsCreated(_cpu: Cpu, _pfn: number, _from: number): void {}

  /** Frame `to` takes the place of frame `from`, whose contents it has got: migration and collapse. */
  contentsMoved(_cpu: Cpu, _to: number, _from: number): void {}
  /** MADV_FREE of start … end of `mm` has made the entries clean and flushed them; mmap_lock is held. */
  contentsFreed(_cpu: Cpu, _mm: number, _start: number, _end: number): void {}
  /**
   * A call is about to take away what start … end (bytes) of `mm` holds: to unmap it, to discard it, or to move it to
   * `to` (-1: not). Until contentsGivenUp() by this CPU a user may find the old contents or the new ones.
   */
  contentsGivingUp(_cpu: Cpu, _mm: number, _start: number, _end: number, _to: number): void {}
  /** It has; `moved`: each entry has arrived at its new address. */
  contentsGivenUp(_cpu: Cpu, _moved: boolean): void {}
  /** start … end of `child` hold what those of `parent` held at some time since the tick `stamp`. */
  contentsForked(_cpu: Cpu, _parent: number, _child: number, _start: number, _end: number, _stamp: number): void {}
  /** Pages `first` … `end` - 1 of `file` go, and their contents with them. */
  fileContentsGone(_cpu: Cpu, _file: number, _first: number, _end: number): void {}

  // ---- get_user_pages ---------------------------------------------------------------------------------------------

  /** A walk of gup begins on this CPU: forgets the time of the last one's references. */
  gupBegins(): void {}
  /** gup is about to take its reference on a page that it has found. */
  gupTaking(_cpu: Cpu): void {}
  /** The time of the first gupTaking() since gupBegins() on this CPU: no reference of the walk is older. */
  gupStamp(): number {
    return 0
  }
  /** gup returns page `pfn` for `addr` of `mm` to its caller; `pinned` for FOLL_PIN, `write` for FOLL_WRITE. */
  gupDone(
    _cpu: Cpu,
    _mm: number,
    _addr: number,
    _pfn: number,
    _stamp: number,
    _pinned: boolean,
    _write: boolean,
  ): void {}
  /** A page that gup returned is about to be put or unpinned. */
  gupReleased(_cpu: Cpu, _pfn: number, _pinned: boolean): void {}

  // ---- operations -------------------------------------------------------------------------------------------------

  /** A system call that removes translations of `start` … `end` (bytes) of `mm` begins; returns a stamp. */
  callBegins(_cpu: Cpu): number {
    return 0
  }
  /**
   * It returns to user space. `kind`: what it promised: 'unmap' (munmap, mremap source, exit), 'discard'
   * (MADV_DONTNEED), 'protect' (mprotect to `prot`). Called with mmap_lock still held by the call.
   */
  callReturns(_cpu: Cpu, _kind: CallKind, _mm: number, _start: number, _end: number, _stamp: number): void {}
}

export type CallKind = 'unmap' | 'discard' | 'protect'
