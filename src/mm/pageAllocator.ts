/**
 * The buddy allocator: free blocks of 2^order frames on one list for each order, under the zone lock.
 *
 * Source: mm/page_alloc.c (v6.12). Left out: per-CPU lists, zones and nodes, migrate types, watermarks and reclaim. A
 * freed frame goes to the head of its list and is the next one handed out, which makes a use after free meet a new
 * owner soon.
 */
import { pfn as toPfn, phys, type Pfn, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { copyBytes, fillBytes, peek32, poke32, pokeF64 } from '../machine/image/guarded.js'
import type { Layout } from '../machine/image/layout.js'
import { lockWord, ownLock } from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'
import { FrameKind } from '../arch/observer.js'
import { spinLockIrqsave, spinUnlockIrqrestore } from '../sync/spinlock.js'
import type { Kernel } from './kernel.js'
import { Part } from './part.js'
import { NO_PAGE, PAGE, PG_BUDDY, PG_HEAD, PG_LOCKED, PG_RESERVED, type Memmap } from './page.js'

export const MAX_PAGE_ORDER = 10

export const ZONE = struct('zone', 192, {
  lock: [0, 8, lockWord],
  freePages: [8, 4, ownLock('the zone lock', 0)], // frames in all lists (lock)
  // by order: struct page of the first free block, or 0 (lock)
  freeList: [64, 4 * (MAX_PAGE_ORDER + 1), ownLock('the zone lock', 0)],
})

export function placeZone(layout: Layout): PhysAddr {
  return layout.add('zone', ZONE, 1)
}

/** Frame 0 is nobody's: a table pointer made from an empty entry leads there. */
const ZERO_PFN = 1

export class PageAllocator extends Part {
  /** The 4K zero page and the huge zero page, both read-only for everybody. */
  readonly zeroPfn = toPfn(ZERO_PFN)
  readonly hugeZeroPfn: Pfn
  readonly #zone: PhysAddr
  readonly #lock: PhysAddr
  readonly #memmap: Memmap

  constructor(k: Kernel) {
    super(k)
    this.#zone = k.regions.zone
    this.#lock = phys(k.regions.zone + ZONE.at.lock)
    this.#memmap = k.memmap
    this.hugeZeroPfn = toPfn(k.geo.hpagePmdNr)
  }

  isZeroPfn(pfn: number): boolean {
    return pfn === ZERO_PFN
  }

  isHugeZeroPfn(pfn: number): boolean {
    return pfn >= this.hugeZeroPfn && pfn < this.hugeZeroPfn + this.k.geo.hpagePmdNr
  }

  // ---- allocation -------------------------------------------------------------------------------------------------

  /**
   * alloc_pages(): 2^order frames for use as `kind` (FrameKind), with one reference; for order > 0 a compound page.
   * NO_PAGE when there is no block. Contents are whatever the last owner left.
   */
  *allocPages(order: number, kind: number): Step<Pfn> {
    yield* this.lockZone()
    const pfn = this.rmqueueSmallest(order)
    yield* this.unlockZone()
    if (pfn === NO_PAGE) return NO_PAGE
    this.k.observer.pagesAllocated(this.cpu, pfn, order, kind)
    this.prepNewPage(pfn, order)
    // Compound links and counts before the reference: a speculative getter that succeeds sees a complete folio. Pairs
    // with the add-unless-zero in Folios.tryGetFolio().
    yield* this.cpu.storeRelease32(phys(this.#memmap.page(pfn) + PAGE.at.refcount), 1)
    return pfn
  }

  /** alloc_page(). */
  *allocPage(kind: number): Step<Pfn> {
    return yield* this.allocPages(0, kind)
  }

  /** __free_pages(): gives back a block whose last reference is gone; the caller has taken apart a compound page. */
  *freePages(pfn: Pfn, order: number): Step<void> {
    for (let i = 0; i < 1 << order; i++) this.freePageIsBad(toPfn(pfn + i))
    this.k.observer.pagesFreed(this.cpu, pfn, order)
    yield* this.lockZone()
    this.freeOnePage(pfn, order)
    yield* this.unlockZone()
  }

  /** Frames in the free lists; exact when nothing runs. */
  get freeCount(): number {
    return peek32(this.#zone + ZONE.at.freePages)
  }

  // ---- contents ---------------------------------------------------------------------------------------------------

  *clearPage(pfn: Pfn): Step<void> {
    yield* this.cpu.touch(this.#memmap.frame(pfn))
    this.k.observer.kernelAccessed(this.cpu, pfn, true)
    fillBytes(this.#memmap.frame(pfn), 0, this.#memmap.frameBytes)
    this.k.observer.contentsCreated(this.cpu, pfn, -1)
  }

  /** folio_zero_user() of the folio at `pfn`. */
  *folioZeroUser(pfn: Pfn): Step<void> {
    for (let i = 0; i < this.k.geo.hpagePmdNr; i++) yield* this.clearPage(toPfn(pfn + i))
  }

  *copyPage(to: Pfn, from: Pfn): Step<void> {
    yield* this.cpu.touch(this.#memmap.frame(from))
    this.k.observer.kernelAccessed(this.cpu, from, false)
    this.k.observer.kernelAccessed(this.cpu, to, true)
    copyBytes(this.#memmap.frame(to), this.#memmap.frame(from), this.#memmap.frameBytes)
    this.k.observer.contentsCreated(this.cpu, to, from)
  }

  /** The frame is identical to the zero page. Caller: nobody writes to it. */
  *isZeroFilled(pfn: Pfn): Step<boolean> {
    yield* this.cpu.touch(this.#memmap.frame(pfn))
    this.k.observer.kernelAccessed(this.cpu, pfn, false)
    for (let at = 0; at < this.#memmap.frameBytes; at += 4) if (peek32(this.#memmap.frame(pfn) + at) !== 0) return false
    return true
  }

  // ---- boot -------------------------------------------------------------------------------------------------------

  /** Builds the free lists over all frames but frame 0 and the zero pages. Boot, one CPU. */
  format(): void {
    const { hpagePmdNr } = this.k.geo
    for (let pfn = 0; pfn < this.#memmap.frameCount; pfn++) this.resetPage(pfn)
    for (const pfn of [0, ZERO_PFN]) this.reserve(pfn)
    for (let i = 0; i < hpagePmdNr; i++) this.reserve(this.hugeZeroPfn + i)
    for (let pfn = 0; pfn < this.#memmap.frameCount;) pfn += this.formatBlock(pfn)
  }

  protected reserve(pfn: number): void {
    const page = this.#memmap.page(pfn)
    poke32(page + PAGE.at.flags, PG_RESERVED)
    poke32(page + PAGE.at.refcount, 1)
    fillBytes(this.#memmap.frame(pfn), 0, this.#memmap.frameBytes)
    this.k.observer.pagesAllocated(this.cpu, pfn, 0, FrameKind.reserved)
  }

  /** Frees the largest aligned block from `pfn` that has no reserved frame; returns its length, at least 1. */
  protected formatBlock(pfn: number): number {
    if (this.reserved(pfn)) return 1
    let order = 0
    while (order < MAX_PAGE_ORDER && this.blockIsFree(pfn, order + 1)) order++
    this.link(toPfn(pfn), order)
    return 1 << order
  }

  protected blockIsFree(pfn: number, order: number): boolean {
    const length = 1 << order
    if (pfn % length !== 0 || pfn + length > this.#memmap.frameCount) return false
    for (let i = 0; i < length; i++) if (this.reserved(pfn + i)) return false
    return true
  }

  protected reserved(pfn: number): boolean {
    return (peek32(this.#memmap.page(pfn) + PAGE.at.flags) & PG_RESERVED) !== 0
  }

  // ---- the free lists, zone lock held -----------------------------------------------------------------------------

  protected *lockZone(): Step<void> {
    yield* spinLockIrqsave(this.cpu, this.#lock)
  }

  protected *unlockZone(): Step<void> {
    yield* spinUnlockIrqrestore(this.cpu, this.#lock)
  }

  /** __rmqueue_smallest(). */
  protected rmqueueSmallest(order: number): Pfn {
    for (let from = order; from <= MAX_PAGE_ORDER; from++) {
      const page = peek32(this.listOf(from))
      if (page === 0) continue
      const pfn = this.#memmap.pfnOf(page)
      this.unlink(pfn, from)
      // expand(): the upper halves go back, each one order smaller.
      for (let half = from - 1; half >= order; half--) this.link(toPfn(pfn + (1 << half)), half)
      return pfn
    }
    return NO_PAGE
  }

  /** __free_one_page(): merges with the buddy as long as that is a free block of the same order. */
  protected freeOnePage(pfn: Pfn, order: number): void {
    let [first, size] = [pfn, order]
    while (size < MAX_PAGE_ORDER) {
      const buddy = toPfn(first ^ (1 << size))
      if (buddy + (1 << size) > this.#memmap.frameCount || !this.isFreeBlock(buddy, size)) break
      this.unlink(buddy, size)
      first = toPfn(Math.min(first, buddy))
      size++
    }
    this.link(first, size)
  }

  protected isFreeBlock(pfn: Pfn, order: number): boolean {
    const page = this.#memmap.page(pfn)
    return (peek32(page + PAGE.at.flags) & PG_BUDDY) !== 0 && peek32(page + PAGE.at.order) === order
  }

  protected link(pfn: Pfn, order: number): void {
    const page = this.#memmap.page(pfn)
    const list = this.listOf(order)
    const head = peek32(list)
    poke32(page + PAGE.at.flags, PG_BUDDY)
    poke32(page + PAGE.at.order, order)
    poke32(page + PAGE.at.lruNext, head)
    poke32(page + PAGE.at.lruPrev, 0)
    if (head !== 0) poke32(head + PAGE.at.lruPrev, page)
    poke32(list, page)
    this.count(1 << order)
  }

  protected unlink(pfn: Pfn, order: number): void {
    const page = this.#memmap.page(pfn)
    const [next, prev] = [peek32(page + PAGE.at.lruNext), peek32(page + PAGE.at.lruPrev)]
    if (prev === 0) poke32(this.listOf(order), next)
    else poke32(prev + PAGE.at.lruNext, next)
    if (next !== 0) poke32(next + PAGE.at.lruPrev, prev)
    poke32(page + PAGE.at.flags, 0)
    this.count(-(1 << order))
  }

  protected count(frames: number): void {
    const at = this.#zone + ZONE.at.freePages
    poke32(at, peek32(at) + frames)
  }

  protected listOf(order: number): number {
    return this.#zone + ZONE.at.freeList + order * 4
  }

  // ---- struct pages -----------------------------------------------------------------------------------------------

  /** prep_new_page(), with prep_compound_page() in it, but for the reference count. */
  protected prepNewPage(pfn: Pfn, order: number): void {
    for (let i = 0; i < 1 << order; i++) this.resetPage(pfn + i)
    const head = this.#memmap.page(pfn)
    if (order === 0) return
    poke32(head + PAGE.at.flags, PG_HEAD)
    poke32(head + PAGE.at.order, order)
    for (let i = 1; i < 1 << order; i++) poke32(this.#memmap.page(pfn + i) + PAGE.at.compoundHead, head + 1)
    const firstTail = this.#memmap.page(pfn + 1)
    poke32(firstTail + PAGE.at.entireMapcount, -1)
    poke32(firstTail + PAGE.at.pincount, 0)
    poke32(firstTail + PAGE.at.largeMapcount, 0)
  }

  protected resetPage(pfn: number): void {
    const page = this.#memmap.page(pfn)
    poke32(page + PAGE.at.flags, 0)
    poke32(page + PAGE.at.order, 0)
    poke32(page + PAGE.at.compoundHead, 0)
    poke32(page + PAGE.at.mapping, 0)
    poke32(page + PAGE.at.mapcount, -1)
    poke32(page + PAGE.at.largeMapcount, 0)
    poke32(page + PAGE.at.lruNext, 0)
    poke32(page + PAGE.at.lruPrev, 0)
    poke32(page + PAGE.at.ptl, 0)
    poke32(page + PAGE.at.ptl + 4, 0)
    poke32(page + PAGE.at.pmdHugePte, 0)
    pokeF64(page + PAGE.at.index, 0)
  }

  /** free_page_is_bad(): what must not be left in a page that is freed. */
  protected freePageIsBad(pfn: Pfn): void {
    const page = this.#memmap.page(pfn)
    const flags = peek32(page + PAGE.at.flags)
    const bad: string[] = []
    if (peek32(page + PAGE.at.mapcount) !== -1) bad.push(`nonzero mapcount ${peek32(page + PAGE.at.mapcount) + 1}`)
    if (peek32(page + PAGE.at.refcount) !== 0) bad.push(`nonzero _refcount ${peek32(page + PAGE.at.refcount)}`)
    if ((flags & (PG_LOCKED | PG_BUDDY | PG_RESERVED)) !== 0) bad.push(`flags 0x${flags.toString(16)} set`)
    if (bad.length === 0) return
    this.cpu.report('bad-page', `BUG: Bad page state in CPU ${this.cpu.id}  pfn:0x${pfn.toString(16)}`, page, bad)
  }
}
