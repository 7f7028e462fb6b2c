/**
 * s390 up to v6.7: two PTE tables of 2 KiB in a page of 4 KiB, tracked by the upper byte of the page's reference count.
 *
 * Source: arch/s390/mm/pgalloc.c (v5.17 to v6.6). Left out: tables of KVM guests (pgste), which take a whole page and
 * take no part in any of this.
 *
 *   byte   AA  bits 0, 1: the part is handed out
 *          PP  bits 4, 5: it was given back, and walkers may be in it
 *
 * A page with exactly one part handed out and the other one free or pending is on the mm's pgtableList, through the lru
 * words of its struct page; one whose other part can be had at once is at the head, a pending one at the tail. A moves
 * to P in one atomic operation, so that the byte never says "free" while the list is still being edited (K07).
 *
 * Locks: mm.contextLock guards the list and the A bits. P is cleared without it: that changes no list, and by then the
 * mm may be gone. Whoever makes the byte zero owns the page.
 */
import { phys, type PhysAddr, type Table } from '../../../base/units.js'
import type { Step } from '../../../machine/engine/engine.js'
import { peek32 } from '../../../machine/image/guarded.js'
import { initListHead, listAdd, listAddTail, listDel, listNext } from '../../../sync/list.js'
import { lockdepAssertHeld, spinLock, spinUnlock } from '../../../sync/spinlock.js'
import { MM } from '../../../mm/mmStruct.js'
import { NO_PAGE, NO_TABLE, PAGE } from '../../../mm/page.js'
import { FragmentPgalloc } from '../../../mm/pgalloc/fragments.js'

const BYTE = 24
const ALLOCATED = 0x01
const PENDING = 0x10

export abstract class S390Bits extends FragmentPgalloc {
  override initMm(mm: PhysAddr): void {
    initListHead(this.list(mm))
  }

  // ---- page_table_alloc() -----------------------------------------------------------------------------------------

  override *pteAllocOne(mm: PhysAddr): Step<Table> {
    const reused = yield* this.allocListed(mm)
    if (reused !== NO_TABLE) return this.handOut(mm, reused)
    const pfn = yield* this.newTablePage()
    if (pfn === NO_PAGE) return NO_TABLE
    const page = this.k.memmap.page(pfn)
    initListHead(this.node(page, 1))
    yield* this.xorByte(page, ALLOCATED)
    yield* this.lock(mm)
    yield* this.addToList(mm, page, 1, false)
    yield* this.unlock(mm)
    return this.handOut(mm, this.tableOfPart(page, 0))
  }

  /** The other part of the first listed page. Only the first is looked at: those that can be had are at the head. */
  protected *allocListed(mm: PhysAddr): Step<Table> {
    yield* this.lock(mm)
    let table = NO_TABLE
    const list = this.list(mm)
    const node = yield* listNext(this.cpu, list)
    if (node !== list) {
      const page = this.pageOfNode(node)
      const byte = yield* this.readByte(page)
      const busy = this.busyParts(byte)
      if (busy !== 3) {
        const part = busy === 1 ? 1 : 0
        yield* this.xorByte(page, ALLOCATED << part)
        yield* this.removeFromList(page, part)
        table = this.tableOfPart(page, part)
      }
    }
    yield* this.unlock(mm)
    return table
  }

  /** A part that is pending is as busy as one that is handed out. */
  protected busyParts(byte: number): number {
    return (byte | (byte >>> 4)) & 3
  }

  // ---- giving back ------------------------------------------------------------------------------------------------

  /** Of s390 page_table_free(). */
  override *pteFree(mm: PhysAddr, table: Table): Step<void> {
    const page = this.pageOf(table)
    const part = this.partOf(table)
    yield* this.makePending(mm, table, false)
    yield* this.clearPending(page, part)
  }

  /** Of s390 page_table_free_rcu(): to the tail, since the part cannot be had before its P bit is clear. */
  override *__pteFreeTlb(mm: PhysAddr, table: Table): Step<void> {
    yield* this.makePending(mm, table, true)
  }

  override *__tlbRemoveTable(table: Table): Step<void> {
    yield* this.clearPending(this.pageOf(table), this.partOf(table))
  }

  /** A → P, and the list is made to fit. */
  protected *makePending(mm: PhysAddr, table: Table, tail: boolean): Step<void> {
    const page = this.pageOf(table)
    const part = this.partOf(table)
    this.k.observer.tableFreed(this.cpu, table)
    yield* this.lock(mm)
    const byte = yield* this.xorByte(page, (ALLOCATED | PENDING) << part)
    if (yield* this.mayBeListed(page, byte)) yield* this.addToList(mm, page, part, tail)
    else yield* this.removeFromList(page, 1 - part)
    yield* this.unlock(mm)
  }

  /** A part of the page is handed out still, so the page has a place on the list. */
  protected *mayBeListed(_page: PhysAddr, byte: number): Step<boolean> {
    return (byte & 3) !== 0
  }

  /** The end of the wait. */
  protected *clearPending(page: PhysAddr, part: number): Step<void> {
    if ((yield* this.xorByte(page, PENDING << part)) === 0) yield* this.release(page)
  }

  /** No part of the page is in use, and no other CPU can come to know of it. */
  protected *release(page: PhysAddr): Step<void> {
    yield* this.freeTablePage(page)
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  /** Changes bits of the byte; returns the new byte. Full barrier. The low 24 bits go on counting references. */
  protected *xorByte(page: PhysAddr, bits: number): Step<number> {
    const old = yield* this.cpu.atomicFetchXor32(phys(page + PAGE.at.refcount), bits << BYTE)
    const before = old >>> BYTE
    this.k.observer.tableBitsChanged(this.cpu, page, before, before ^ bits)
    return before ^ bits
  }

  protected *readByte(page: PhysAddr): Step<number> {
    return (yield* this.cpu.readOnce32(phys(page + PAGE.at.refcount))) >>> BYTE
  }

  /** `freePart` is the part that is not handed out. Caller: the context lock. */
  protected *addToList(mm: PhysAddr, page: PhysAddr, freePart: number, tail: boolean): Step<void> {
    lockdepAssertHeld(this.cpu, this.lockOf(mm))
    const node = this.node(page, freePart)
    if (tail) yield* listAddTail(this.cpu, node, this.list(mm))
    else yield* listAdd(this.cpu, node, this.list(mm))
  }

  protected *removeFromList(page: PhysAddr, freePart: number): Step<void> {
    yield* listDel(this.cpu, this.node(page, freePart))
  }

  /** The list node of a page. */
  protected node(page: PhysAddr, _freePart: number): PhysAddr {
    return phys(page + PAGE.at.lruNext)
  }

  protected pageOfNode(node: PhysAddr): PhysAddr {
    return phys(node - PAGE.at.lruNext)
  }

  protected list(mm: PhysAddr): PhysAddr {
    return phys(mm + MM.at.pgtableList)
  }

  /** The lock of the list. */
  protected lockOf(mm: PhysAddr): PhysAddr {
    return phys(mm + MM.at.contextLock)
  }

  protected *lock(mm: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, this.lockOf(mm))
    this.checkAlive(mm)
  }

  protected *unlock(mm: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, this.lockOf(mm))
  }

  /** What KASAN would say of the lock: the mm has been freed. */
  protected checkAlive(mm: PhysAddr): void {
    if (peek32(mm + MM.at.inUse) !== 0) return
    this.cpu.report('frame-state', 'BUG: KASAN: use-after-free: the mm whose context lock is taken is gone', mm)
  }
}
