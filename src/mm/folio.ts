/**
 * Folios: references, the folio lock, flags and pins.
 *
 * Source: include/linux/page_ref.h, mm.h, mm/gup.c (try_get_folio), mm/filemap.c (folio lock); v6.12. A folio is its
 * head page; a reference to any of its pages is counted there, and tail pages have refcount 0 for ever (R3).
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step, WaitCondition } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { lockdepAssertHeld } from '../sync/spinlock.js'
import { Part } from './part.js'
import { GUP_PIN_COUNTING_BIAS, PAGE, PAGE_MAPPING_ANON, PG_HEAD, PG_LOCKED } from './page.js'

/** Bytes from the head to the first tail, where a large folio keeps its further counts. */
const FIRST_TAIL = 64

const isUnlocked: WaitCondition = (flags) => (flags & PG_LOCKED) === 0

export class Folios extends Part {
  // ---- compound pages ---------------------------------------------------------------------------------------------

  /** The head of the folio that `page` belongs to now; without a reference it may change at once. */
  *compoundHead(page: PhysAddr): Step<PhysAddr> {
    const head = yield* this.cpu.readOnce32(phys(page + PAGE.at.compoundHead))
    return (head & 1) !== 0 ? phys(head - 1) : page
  }

  /** log2 of the folio's pages. Caller: holds a reference or a lock that keeps the folio whole. */
  folioOrder(folio: PhysAddr): number {
    return (peek32(folio + PAGE.at.flags) & PG_HEAD) !== 0 ? peek32(folio + PAGE.at.order) : 0
  }

  folioNrPages(folio: PhysAddr): number {
    return 1 << this.folioOrder(folio)
  }

  isLarge(folio: PhysAddr): boolean {
    return (peek32(folio + PAGE.at.flags) & PG_HEAD) !== 0
  }

  // ---- references -------------------------------------------------------------------------------------------------

  /**
   * folio_get(): adds `n` references. Caller: something keeps the count above zero (a lock under which a mapping cannot
   * vanish).
   */
  *folioGet(folio: PhysAddr, n = 1): Step<void> {
    const before = yield* this.cpu.atomicFetchAdd32(phys(folio + PAGE.at.refcount), n)
    this.k.observer.referenced(this.cpu, this.k.memmap.pfnOf(folio), before, n)
  }

  /**
   * folio_try_get(): adds `n` references unless there is none: a zero count is final (R2). Full barrier when it
   * succeeds.
   */
  *folioTryGet(folio: PhysAddr, n = 1): Step<boolean> {
    return yield* this.cpu.atomicAddUnless32(phys(folio + PAGE.at.refcount), n, 0)
  }

  /**
   * try_get_folio(): `n` references on the folio of `page`, found without a lock; 0 if it has none left. The head is
   * read again after the reference: a split between the two leaves the reference on a folio that `page` has left.
   */
  *tryGetFolio(page: PhysAddr, n: number): Step<PhysAddr> {
    for (;;) {
      const folio = yield* this.compoundHead(page)
      if (!(yield* this.folioTryGet(folio, n))) return phys(0)
      if (yield* this.headUnchanged(page, folio)) return folio
      yield* this.folioPut(folio, n)
    }
  }

  /**
   * Part of try_get_folio(): the re-check of tryGetFolio(), ordered after the reference by its full barrier (BUG-23 had
   * none).
   */
  protected *headUnchanged(page: PhysAddr, folio: PhysAddr): Step<boolean> {
    return (yield* this.compoundHead(page)) === folio
  }

  /** folio_put(): drops `n` references; frees the folio with the last one. */
  *folioPut(folio: PhysAddr, n = 1): Step<void> {
    const after = yield* this.cpu.atomicAddReturn32(phys(folio + PAGE.at.refcount), -n)
    this.k.observer.referenced(this.cpu, this.k.memmap.pfnOf(folio), after + n, -n)
    if (after === 0) yield* this.freeFolio(folio)
  }

  /** One compare-exchange from `expected` to 0: proves that nobody has another reference, and lets nobody take one. */
  *folioRefFreeze(folio: PhysAddr, expected: number): Step<boolean> {
    const frozen = (yield* this.cpu.cmpxchg32(phys(folio + PAGE.at.refcount), expected, 0)) === expected
    if (frozen) this.k.observer.folioFrozen(this.cpu, folio, true)
    return frozen
  }

  /**
   * RELEASE: everything the freezer changed (flags, mapping, index, compound links) before the count. Pairs with the
   * full barrier of a successful folioTryGet().
   */
  *folioRefUnfreeze(folio: PhysAddr, n: number): Step<void> {
    this.k.observer.folioFrozen(this.cpu, folio, false)
    yield* this.cpu.storeRelease32(phys(folio + PAGE.at.refcount), n)
  }

  *folioRefCount(folio: PhysAddr): Step<number> {
    return yield* this.cpu.readOnce32(phys(folio + PAGE.at.refcount))
  }

  /** free_unref_folios(): of a folio whose count was frozen and stays zero. */
  *freeUnrefFolios(folio: PhysAddr): Step<void> {
    yield* this.freeFolio(folio)
  }

  /** Takes a folio without references apart and gives its frames back. */
  protected *freeFolio(folio: PhysAddr): Step<void> {
    const order = this.folioOrder(folio)
    if (order > 0) this.checkLargeFree(folio)
    poke32(folio + PAGE.at.flags, 0)
    poke32(folio + PAGE.at.mapping, 0)
    for (let i = 1; i < 1 << order; i++) {
      const tail = phys(folio + i * PAGE.size)
      yield* this.cpu.writeOnce32(phys(tail + PAGE.at.compoundHead), 0)
      poke32(tail + PAGE.at.flags, 0)
      poke32(tail + PAGE.at.mapping, 0)
    }
    yield* this.k.pages.freePages(this.k.memmap.pfnOf(folio), order)
  }

  protected checkLargeFree(folio: PhysAddr): void {
    const entire = peek32(folio + FIRST_TAIL + PAGE.at.entireMapcount) + 1
    const pins = peek32(folio + FIRST_TAIL + PAGE.at.pincount)
    if (entire === 0 && pins === 0) return
    const pfn = this.k.memmap.pfnOf(folio)
    this.cpu.report('bad-page', `BUG: Bad page state in CPU ${this.cpu.id}  pfn:0x${pfn.toString(16)}`, folio, [
      `large folio freed with entire mapcount ${entire}, pincount ${pins}`,
    ])
  }

  // ---- flags and lock ---------------------------------------------------------------------------------------------

  *testFlag(page: PhysAddr, bit: number): Step<boolean> {
    return ((yield* this.cpu.readOnce32(phys(page + PAGE.at.flags))) & bit) !== 0
  }

  *setFlag(page: PhysAddr, bit: number): Step<void> {
    yield* this.cpu.atomicOr32(phys(page + PAGE.at.flags), bit)
  }

  *clearFlag(page: PhysAddr, bit: number): Step<void> {
    yield* this.cpu.atomicAnd32(phys(page + PAGE.at.flags), ~bit)
  }

  *folioTrylock(folio: PhysAddr): Step<boolean> {
    const taken = yield* this.tryLock(folio)
    if (taken) this.cpu.locks.lockTried(this.cpu, folio, false)
    return taken
  }

  protected *tryLock(folio: PhysAddr): Step<boolean> {
    return ((yield* this.cpu.atomicFetchOr32(phys(folio + PAGE.at.flags), PG_LOCKED)) & PG_LOCKED) === 0
  }

  /** folio_lock(): sleeps until the folio lock is this CPU's. Caller: a reference; no spinlock. */
  *folioLock(folio: PhysAddr): Step<void> {
    this.cpu.locks.lockAcquires(this.cpu, folio)
    while (!(yield* this.tryLock(folio))) yield* this.folioWaitLocked(folio)
    this.cpu.locks.lockAcquired(this.cpu, folio, false)
  }

  /** RELEASE: everything done under the lock before the flag goes. */
  *folioUnlock(folio: PhysAddr): Step<void> {
    const at = phys(folio + PAGE.at.flags)
    this.cpu.locks.lockReleased(this.cpu, folio)
    yield* this.cpu.atomicFetchAnd32(at, ~PG_LOCKED)
    this.cpu.wakeWaiters(at)
  }

  /** The caller holds the folio lock; upstream: VM_BUG_ON_FOLIO() of !folio_test_locked(). */
  folioAssertLocked(folio: PhysAddr): void {
    lockdepAssertHeld(this.cpu, folio)
  }

  /** Sleeps until the lock was free once. A sleeping CPU is in no RCU reader, so it counts as quiescent. */
  *folioWaitLocked(folio: PhysAddr): Step<void> {
    yield* this.k.rcu.ctKernelExit()
    yield* this.cpu.waitUntil(phys(folio + PAGE.at.flags), isUnlocked, 0)
    yield* this.k.rcu.ctKernelEnter()
  }

  // ---- mapping ----------------------------------------------------------------------------------------------------

  isAnon(folio: PhysAddr): boolean {
    return (peek32(folio + PAGE.at.mapping) & PAGE_MAPPING_ANON) !== 0
  }

  /** As isAnon(), for any page of a folio. Caller: something keeps the folio whole. */
  isAnonPage(page: PhysAddr): boolean {
    const head = peek32(page + PAGE.at.compoundHead)
    return this.isAnon((head & 1) !== 0 ? phys(head - 1) : page)
  }

  /** folio_anon_vma(): the anon_vma of an anonymous folio, 0 for others. */
  folioAnonVma(folio: PhysAddr): PhysAddr {
    const mapping = peek32(folio + PAGE.at.mapping)
    return phys((mapping & PAGE_MAPPING_ANON) !== 0 ? mapping - PAGE_MAPPING_ANON : 0)
  }

  /** folio_mapcount(): all mappings of the folio: of the one page, or of a large folio by PTEs and PMDs together. */
  *folioMapcount(folio: PhysAddr): Step<number> {
    if (this.isLarge(folio)) return yield* this.cpu.readOnce32(phys(folio + FIRST_TAIL + PAGE.at.largeMapcount))
    return (yield* this.cpu.readOnce32(phys(folio + PAGE.at.mapcount))) + 1
  }

  /**
   * folio_likely_mapped_shared(): more than one process maps it. A guess for a large folio that is mapped by PTEs: its
   * first page stands for the others.
   */
  *folioLikelyMappedShared(folio: PhysAddr): Step<boolean> {
    const mapcount = yield* this.folioMapcount(folio)
    if (mapcount <= 1 || !this.isLarge(folio)) return mapcount > 1
    const entire = (yield* this.cpu.readOnce32(phys(folio + FIRST_TAIL + PAGE.at.entireMapcount))) + 1
    if (entire > 0 || mapcount > this.folioNrPages(folio)) return true
    return (yield* this.cpu.readOnce32(phys(folio + PAGE.at.mapcount))) + 1 > 1
  }

  // ---- pins -------------------------------------------------------------------------------------------------------

  /**
   * folio_maybe_dma_pinned(): may say yes for an unpinned small folio with 1,024 references, never no for a pinned one.
   */
  *folioMaybeDmaPinned(folio: PhysAddr): Step<boolean> {
    if (this.isLarge(folio)) return (yield* this.cpu.readOnce32(phys(folio + FIRST_TAIL + PAGE.at.pincount))) > 0
    return (yield* this.folioRefCount(folio)) >>> 0 >= GUP_PIN_COUNTING_BIAS
  }

  /** Turns `n` references that the caller has just taken into `n` pins. */
  *addPins(folio: PhysAddr, n: number): Step<void> {
    if (this.isLarge(folio)) yield* this.cpu.atomicAdd32(phys(folio + FIRST_TAIL + PAGE.at.pincount), n)
    else yield* this.folioGet(folio, n * (GUP_PIN_COUNTING_BIAS - 1))
    // Full barrier: the pin before the walker looks at the entry again. Pairs with the barrier between clearing the
    // entry and folioMaybeDmaPinned() in Rmap.folioTryShareAnonRmapPte().
    yield* this.cpu.smpMb()
  }

  /** Drops `n` pins with their references. */
  *dropPins(folio: PhysAddr, n: number): Step<void> {
    if (!this.isLarge(folio)) return yield* this.folioPut(folio, n * GUP_PIN_COUNTING_BIAS)
    yield* this.cpu.atomicAdd32(phys(folio + FIRST_TAIL + PAGE.at.pincount), -n)
    yield* this.folioPut(folio, n)
  }
}
