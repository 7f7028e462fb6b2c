/**
 * pte_free_defer() with a third pair of bits (posted for s390 on 20 and 28 June 2023, superseded by S390Active): H says
 * that a part waits on the rcu_head of its page. Whoever sets the first H queues the head; a part that comes second
 * leaves its H for the callback of the first, which queues the head again.
 *
 * Source: the s390 drafts of June 2023, in the thread of pte_free_defer(). Every decision is taken from the value that
 * one atomic operation returned, so exactly one CPU ever finds the head its own (T4); and H implies P, so the page
 * stays. A page is on the list only while exactly one part is handed out and the other one free: a pending part has the
 * words of the list node for the rcu_head (T5).
 *
 * Three ways to bring a page back to the list when a part is free again:
 *
 *   S390PphhaaGlobal  under one lock for all mms, since the mm of the other part may be going. Right.
 *   S390PphhaaMmLock  under the lock of the mm that the page names. Broken: nothing keeps that mm (K04).
 *   S390PphhaaOnList  never after a deferred free, and a flag in the struct page says what is listed. Right.
 */
import { phys, type Pfn, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { peek32, poke32 } from '../../../machine/image/guarded.js'
import { listAdd, listAddTail, listDel } from '../../../sync/list.js'
import { lockdepAssertHeld } from '../../../sync/spinlock.js'
import type { Kernel } from '../../../mm/kernel.js'
import { TABLES } from '../../../mm/mms.js'
import { NO_PAGE, PAGE } from '../../../mm/page.js'
import { S390Bits } from './bits.js'

const ALLOCATED = 0x01
const HEAD = 0x04
const HEADS = HEAD | (HEAD << 1)
const PENDING = 0x10

abstract class S390Pphhaa extends S390Bits {
  readonly #callbacks: readonly number[]

  constructor(k: Kernel) {
    super(k)
    this.#callbacks = [0, 1].map((part) => k.rcu.register({ rcu: (head) => this.headDone(head, part) }))
  }

  protected override *newTablePage(): Step<Pfn> {
    const pfn = yield* super.newTablePage()
    if (pfn !== NO_PAGE) poke32(this.k.memmap.page(pfn) + PAGE.at.ptFragRefcount, 0)
    return pfn
  }

  // ---- pte_free_defer() -------------------------------------------------------------------------------------------

  override *pteFreeDefer(mm: PhysAddr, table: Table): Step<void> {
    const [page, part] = [this.pageOf(table), this.partOf(table)]
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.lock(mm)
    const byte = yield* this.xorByte(page, (ALLOCATED | HEAD | PENDING) << part)
    yield* this.takeOff(page)
    yield* this.unlock(mm)
    if ((byte & (HEAD << (1 - part))) === 0) yield* this.queue(page, part)
  }

  protected *queue(page: PhysAddr, part: number): Step<void> {
    yield* this.k.rcu.callRcu(phys(page + PAGE.at.rcuNext), this.#callbacks[part] as number)
  }

  /** The callback of a part: its wait is over, and the head is the other part's if that has come meanwhile. */
  protected *headDone(head: PhysAddr, part: number): Step<void> {
    const page = phys(head - PAGE.at.rcuNext)
    const other = (yield* this.xorByte(page, HEAD << part)) & (HEAD << (1 - part))
    yield* this.endOfWait(page, part)
    if (other !== 0) yield* this.queue(page, 1 - part)
  }

  // ---- the list ---------------------------------------------------------------------------------------------------

  protected override *makePending(mm: PhysAddr, table: Table, _tail: boolean): Step<void> {
    const [page, part] = [this.pageOf(table), this.partOf(table)]
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.lock(mm)
    yield* this.xorByte(page, (ALLOCATED | PENDING) << part)
    yield* this.takeOff(page)
    yield* this.unlock(mm)
  }

  protected override *clearPending(page: PhysAddr, part: number): Step<void> {
    yield* this.endOfWait(page, part)
  }

  /** Clears P; frees the page, or lists it if its other part is handed out. */
  protected abstract endOfWait(page: PhysAddr, part: number): Step<void>

  protected override *addToList(mm: PhysAddr, page: PhysAddr): Step<void> {
    poke32(page + PAGE.at.ptMm, mm)
    yield* this.putOn(mm, page)
  }

  protected override *removeFromList(page: PhysAddr): Step<void> {
    yield* this.takeOff(page)
  }

  /** Lists a page that is not listed. Caller: the lock of the list. */
  protected *putOn(mm: PhysAddr, page: PhysAddr, tail = false): Step<void> {
    lockdepAssertHeld(this.cpu, this.lockOf(mm))
    poke32(page + PAGE.at.ptFragRefcount, 1)
    if (tail) yield* listAddTail(this.cpu, this.node(page, 0), this.list(mm))
    else yield* listAdd(this.cpu, this.node(page, 0), this.list(mm))
  }

  /** Takes a page off if it is on. */
  protected *takeOff(page: PhysAddr): Step<void> {
    if (peek32(page + PAGE.at.ptFragRefcount) === 0) return
    poke32(page + PAGE.at.ptFragRefcount, 0)
    yield* listDel(this.cpu, this.node(page, 0))
  }

  /** The page can be had from again: one part handed out, none pending. */
  protected *relist(page: PhysAddr, byte: number): Step<void> {
    if ((byte & 3) !== 0 && (byte & 0x30) === 0) yield* this.putOn(phys(peek32(page + PAGE.at.ptMm)), page)
  }
}

export class S390PphhaaGlobal extends S390Pphhaa {
  protected override lockOf(_mm: PhysAddr): PhysAddr {
    return phys(this.k.regions.tables + TABLES.at.pgtableLock)
  }

  /** The lock goes with no mm. */
  protected override checkAlive(_mm: PhysAddr): void {}

  /** Under the lock, a part that is handed out keeps its mm: giving it back takes the lock, too. */
  protected override *endOfWait(page: PhysAddr, part: number): Step<void> {
    yield* this.lock(phys(0))
    const byte = yield* this.xorByte(page, PENDING << part)
    yield* this.relist(page, byte)
    yield* this.unlock(phys(0))
    if (byte === 0) yield* this.release(page)
  }
}

export class S390PphhaaMmLock extends S390Pphhaa {
  /** Looks first whether there is anything to list, and trusts that the mm is still there when it comes to its lock. */
  protected override *endOfWait(page: PhysAddr, part: number): Step<void> {
    const relist = ((yield* this.readByte(page)) & 3) !== 0
    const mm = phys(peek32(page + PAGE.at.ptMm))
    if (relist) yield* this.lock(mm)
    const byte = yield* this.xorByte(page, PENDING << part)
    if (relist) yield* this.relist(page, byte)
    if (relist) yield* this.unlock(mm)
    if (byte === 0) yield* this.release(page)
  }
}

export class S390PphhaaOnList extends S390Pphhaa {
  /**
   * The list is left alone, so that the mm need not be there: what a deferred part leaves behind is not handed out
   * again.
   */
  protected override *endOfWait(page: PhysAddr, part: number): Step<void> {
    if ((yield* this.xorByte(page, PENDING << part)) === 0) yield* this.release(page)
  }

  /** As before there were deferred frees: pending pages go to the tail, those with a free part to the head. */
  protected override *makePending(mm: PhysAddr, table: Table, tail: boolean): Step<void> {
    const [page, part] = [this.pageOf(table), this.partOf(table)]
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.lock(mm)
    const byte = yield* this.xorByte(page, (ALLOCATED | PENDING) << part)
    // A part that waits on the rcu_head has its words.
    yield* this.takeOff(page)
    if ((byte & (ALLOCATED | (ALLOCATED << 1))) !== 0 && (byte & HEADS) === 0) yield* this.putOn(mm, page, tail)
    yield* this.unlock(mm)
  }
}
