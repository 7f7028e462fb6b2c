/**
 * mmu_gather: unmapped pages and unlinked tables, collected until the TLBs have forgotten them.
 *
 * Source: mm/mmu_gather.c, include/asm-generic/tlb.h (v6.12; MMU_GATHER_RCU_TABLE_FREE when tables are freed through
 * RCU). Invariants: M1 cleared, then invalidated, then released; M2 the range is noted when an entry is cleared, before
 * its lock is dropped; M3 tlb_flush_pending is raised before the first lock and dropped after the last flush.
 *
 * The gather of a CPU lives in its part, as the kernel's lives on the stack: nothing of it outlives the operation. Left
 * out: delayed rmap (no dirty shared file pages), per-VMA flags, page-size batches; page batches are one array instead
 * of a chain, full at the size of upstream's on-stack bundle in small geometries.
 */
import { phys, tableNr, type Pfn, type PhysAddr, type Table, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { FrameKind } from '../arch/observer.js'
import type { RcuCallback } from '../sync/rcu.js'
import type { Kernel } from './kernel.js'
import { Part } from './part.js'
import { MM } from './mmStruct.js'
import { NO_PAGE } from './page.js'

/** A table batch is one frame: rcu_head, count, then a token for each table. */
const BATCH_NR = 8
const BATCH_TABLES = 16
/** A token has the number of a table and, in the low bits, its level. */
const LEVEL_BITS = 3
const levelOf = (token: number): number => token & 7
const tableOf = (token: number): Table => tableNr(token >>> LEVEL_BITS)

export class MmuGather extends Part {
  #mm = phys(0)
  #start = 0
  #end = 0
  #freedTables = false
  #fullmm = false
  readonly #pages: Int32Array
  #pageCount = 0
  /** Tables to free right after the flush, where tables are not freed through RCU. */
  readonly #tables: Int32Array
  #tableCount = 0
  /** Frame of the open table batch, or NO_PAGE. */
  #batch: Pfn = NO_PAGE
  readonly #batchCallback: number

  constructor(k: Kernel) {
    super(k)
    this.#pages = new Int32Array(k.geo.ptrsPerTable)
    this.#tables = new Int32Array(k.geo.ptrsPerTable)
    const callback: RcuCallback = { rcu: (head) => this.tlbRemoveTableRcu(head) }
    this.#batchCallback = k.rcu.register(callback)
  }

  /** tlb_gather_mmu(): opens the gather. Caller: mmap_lock in some mode, or the last user of the mm. */
  *tlbGatherMmu(mm: PhysAddr, fullmm: boolean): Step<void> {
    this.#mm = mm
    this.#fullmm = fullmm
    this.#pageCount = this.#tableCount = 0
    this.#batch = NO_PAGE
    this.tlbResetRange()
    yield* this.incTlbFlushPending(mm)
  }

  /**
   * inc_tlb_flush_pending(): M3: the count rises before the first page-table lock, whose release also publishes the
   * cleared entries.
   */
  *incTlbFlushPending(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.tlbFlushPending), 1)
  }

  /** dec_tlb_flush_pending(). */
  *decTlbFlushPending(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.tlbFlushPending), -1)
  }

  /** tlb_flush_pte_range(): notes that entries translating addr … addr + bytes were cleared. */
  tlbFlushPteRange(addr: VirtAddr, bytes: number): void {
    this.#start = Math.min(this.#start, addr)
    this.#end = Math.max(this.#end, addr + bytes)
  }

  /** tlb_flush_pmd_range(). */
  tlbFlushPmdRange(addr: VirtAddr, bytes: number): void {
    this.tlbFlushPteRange(addr, bytes)
  }

  /** The whole address space goes: nobody uses it any more. */
  get fullmm(): boolean {
    return this.#fullmm
  }

  /** True when the next page needs a flush first. */
  get pagesFull(): boolean {
    return this.#pageCount === this.#pages.length
  }

  /**
   * tlb_remove_page(): collects one reference of a page, to be dropped after the flush. Flushes first when the batch is
   * full.
   */
  *tlbRemovePage(page: PhysAddr): Step<void> {
    if (this.pagesFull) yield* this.tlbFlushMmu()
    this.#pages[this.#pageCount++] = page
  }

  /** Part of tlb_remove_page(). */
  *tlbRemoveFolio(folio: PhysAddr): Step<void> {
    yield* this.tlbRemovePage(folio)
  }

  // ---- tables -----------------------------------------------------------------------------------------------------

  /** pte_free_tlb(): takes a PTE table that was just unlinked; `addr` is an address it translated. */
  *pteFreeTlb(table: Table, addr: VirtAddr): Step<void> {
    yield* this.k.pgalloc.__pteFreeTlb(this.#mm, table)
    yield* this.tableFreeTlb(table, addr, Level.pte)
  }

  /** As pteFreeTlb(), for a table of `level`: pmd_free_tlb(), pud_free_tlb(), p4d_free_tlb(). */
  *tableFreeTlb(table: Table, addr: VirtAddr, level: number): Step<void> {
    this.tlbFlushPteRange(addr, this.k.geo.pageSize)
    this.#freedTables = true
    yield* this.tlbRemoveTable(this.#mm, (table << LEVEL_BITS) | level)
  }

  /** tlb_remove_table(). */
  protected *tlbRemoveTable(_mm: PhysAddr, token: number): Step<void> {
    if (this.k.config.tableFree === 'ipi') return yield* this.collectTable(token)
    if (this.#batch === NO_PAGE) this.#batch = yield* this.allocBatch()
    if (this.#batch === NO_PAGE) return yield* this.tlbRemoveTableOne(token)
    const batch = this.k.memmap.frame(this.#batch)
    const count = peek32(batch + BATCH_NR)
    poke32(batch + BATCH_TABLES + count * 4, token)
    poke32(batch + BATCH_NR, count + 1)
    if (BATCH_TABLES + (count + 2) * 4 > this.k.memmap.frameBytes) yield* this.tlbTableFlush()
  }

  /** Part of tlb_remove_table(): the table is freed right after the flush. */
  protected *collectTable(token: number): Step<void> {
    if (this.#tableCount === this.#tables.length) yield* this.tlbFlushMmu()
    this.#freedTables = true
    this.#tables[this.#tableCount++] = token
  }

  /** Part of tlb_remove_table(): a page for a batch, without sleeping: it may not be there. */
  protected *allocBatch(): Step<Pfn> {
    const { failNowait } = this.k.config
    if (failNowait > 0 && this.cpu.choose(100) < failNowait) return NO_PAGE
    const batch = yield* this.k.pages.allocPage(FrameKind.batch)
    if (batch !== NO_PAGE) poke32(this.k.memmap.frame(batch) + BATCH_NR, 0)
    return batch
  }

  /**
   * tlb_remove_table_one(): without a batch: invalidate, wait until every walker with IRQs off has left, free. Protects
   * IRQ-off walkers only, not rcu_read_lock() ones, which may not walk tables of a mapping that is being torn down.
   * With ptReclaim tables go under others' feet, and each waits for a grace period by itself.
   */
  protected *tlbRemoveTableOne(token: number): Step<void> {
    if (this.k.config.ptReclaim && levelOf(token) === Level.pte) {
      yield* this.tlbTableInvalidate()
      return yield* this.k.pgalloc.pteFreeDefer(this.#mm, tableOf(token))
    }
    yield* this.tlbTableInvalidate()
    yield* this.k.tlbFlush.tlbRemoveTableSyncOne()
    yield* this.__tlbRemoveTable(token)
  }

  /**
   * tlb_table_flush(): invalidate first, then hand the batch to RCU: no hardware walker may still hold a path to the
   * tables.
   */
  protected *tlbTableFlush(): Step<void> {
    if (this.#batch === NO_PAGE) return
    const batch = this.#batch
    this.#batch = NO_PAGE
    yield* this.tlbTableInvalidate()
    yield* this.tlbRemoveTableFree(this.k.memmap.frame(batch))
  }

  /** tlb_table_invalidate(): ends the paths of the hardware to the tables. */
  protected *tlbTableInvalidate(): Step<void> {
    yield* this.tlbFlushMmuTlbonly()
  }

  /** tlb_remove_table_free(): hands a batch on to be freed when no software walker can be in its tables any more. */
  protected *tlbRemoveTableFree(batch: PhysAddr): Step<void> {
    yield* this.k.rcu.callRcu(batch, this.#batchCallback)
  }

  /** tlb_remove_table_rcu(): the callback: the tables, then the batch page itself. */
  protected *tlbRemoveTableRcu(batch: PhysAddr): Step<void> {
    const count = peek32(batch + BATCH_NR)
    for (let i = 0; i < count; i++) yield* this.__tlbRemoveTable(peek32(batch + BATCH_TABLES + i * 4))
    yield* this.k.folios.folioPut(this.k.memmap.page(this.k.memmap.pfnAt(batch)), 1)
  }

  /** __tlb_remove_table(). */
  protected *__tlbRemoveTable(token: number): Step<void> {
    const level = levelOf(token)
    if (level === Level.pte) yield* this.k.pgalloc.__tlbRemoveTable(tableOf(token))
    else yield* this.k.tables.freeTable(tableOf(token), level)
  }

  // ---- flushing ---------------------------------------------------------------------------------------------------

  /** tlb_flush_mmu_tlbonly(): invalidates what was noted so far; releases nothing. */
  *tlbFlushMmuTlbonly(): Step<void> {
    if (this.#end === 0) return
    const [start, end] = [this.#start as VirtAddr, this.#end as VirtAddr]
    const freed = this.#freedTables
    this.tlbResetRange()
    yield* this.tlbFlushRange(start, end, freed)
  }

  /** Part of tlb_flush_mmu_tlbonly(): the flush of what was noted, whose other half is TlbFlush.tlbFlush(). */
  protected *tlbFlushRange(start: VirtAddr, end: VirtAddr, freedTables: boolean): Step<void> {
    if (this.#fullmm) yield* this.k.tlbFlush.flushTlbMm(this.#mm)
    else yield* this.k.tlbFlush.tlbFlush(this.#mm, start, end, freedTables)
  }

  /** tlb_flush_mmu(): invalidates, then releases what was collected (M1). */
  *tlbFlushMmu(): Step<void> {
    yield* this.tlbFlushMmuTlbonly()
    yield* this.tlbTableFlush()
    yield* this.tlbBatchPagesFlush()
  }

  /** tlb_batch_pages_flush(). */
  protected *tlbBatchPagesFlush(): Step<void> {
    const [pages, tables] = [this.#pageCount, this.#tableCount]
    this.#pageCount = this.#tableCount = 0
    for (let i = 0; i < pages; i++) {
      const folio = yield* this.k.folios.compoundHead(phys(this.#pages[i] as number))
      yield* this.k.folios.folioPut(folio, 1)
    }
    for (let i = 0; i < tables; i++) yield* this.__tlbRemoveTable(this.#tables[i] as number)
  }

  /** tlb_finish_mmu(): closes the gather. */
  *tlbFinishMmu(): Step<void> {
    if (yield* this.mmTlbFlushNested()) this.flushEverything()
    yield* this.tlbFlushMmu()
    yield* this.decTlbFlushPending(this.#mm)
  }

  /**
   * mm_tlb_flush_nested(): another gather is in flight: it may have cleared entries that this one found empty, and not
   * have flushed them yet. Returning to user space would then leave stale translations (BUG-64).
   */
  protected *mmTlbFlushNested(): Step<boolean> {
    return (yield* this.cpu.readOnce32(phys(this.#mm + MM.at.tlbFlushPending))) > 1
  }

  /** Part of tlb_finish_mmu(). */
  protected flushEverything(): void {
    this.#start = 0
    this.#end = this.k.geo.taskSize
    this.#freedTables = true
  }

  /** __tlb_reset_range(). */
  protected tlbResetRange(): void {
    this.#start = this.#fullmm ? 0 : Number.MAX_SAFE_INTEGER
    this.#end = this.#fullmm ? this.k.geo.taskSize : 0
    this.#freedTables = false
  }
}
