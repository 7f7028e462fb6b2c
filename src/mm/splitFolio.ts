/**
 * Splitting a folio: a large anonymous folio becomes base pages that can be freed, moved and mapped on their own.
 *
 * Source: mm/huge_memory.c split_huge_page_to_list_to_order(), __split_huge_page(), __split_huge_page_tail() (v6.12).
 *
 * Left out: file folios (none is large here) with their page cache slots, swap cache, orders other than 0, and the
 * deferred split queue. The queue's lock is taken upstream around the freeze because its shrinker raises counts by
 * try-get; without a shrinker there is nothing that the lock would keep out.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import {
  RMP_LOCKED,
  RMP_USE_SHARED_ZEROPAGE,
  TTU_RMAP_LOCKED,
  TTU_SPLIT_HUGE_PMD,
  TTU_SYNC,
} from './migrationEntries.js'
import { EAGAIN, EBUSY } from './mmStruct.js'
import { PAGE, PG_DIRTY, PG_HEAD, PG_LOCKED, PG_LRU, PG_REFERENCED, PG_SWAPBACKED, PG_UPTODATE } from './page.js'

/** What a tail takes over from the head. It starts locked: its migration entries are still in place. */
const INHERITED_FLAGS = PG_LOCKED | PG_REFERENCED | PG_UPTODATE | PG_DIRTY | PG_SWAPBACKED

export class SplitFolio extends Part {
  /**
   * split_folio(): 0 when the folio is base pages now; its former head is still locked and referenced by the caller,
   * the others are unlocked. -EAGAIN when somebody has an unexplained reference, -EBUSY when it is mapped nowhere or
   * must not be split. Caller: folio lock and one reference; no spinlock.
   */
  *splitFolio(folio: PhysAddr): Step<number> {
    const { anonVmas, folios } = this.k
    folios.folioAssertLocked(folio)
    if (this.k.pages.isHugeZeroPfn(this.k.memmap.pfnOf(folio))) return -EBUSY
    if (!folios.isLarge(folio)) return 0
    if (!folios.isAnon(folio)) return -EBUSY
    const anonVma = yield* anonVmas.folioGetAnonVma(folio)
    if (anonVma === 0) return -EBUSY
    // For write: excludes other splits and collapses in these VMAs, and rmap walks.
    yield* anonVmas.anonVmaLockWrite(anonVma)
    const result = yield* this.splitAnonFolio(folio)
    yield* anonVmas.anonVmaUnlockWrite(anonVma)
    yield* anonVmas.putAnonVma(anonVma)
    return result
  }

  /** Part of split_huge_page_to_list_to_order(). */
  protected *splitAnonFolio(folio: PhysAddr): Step<number> {
    if (!(yield* this.canSplitFolio(folio))) return -EAGAIN
    yield* this.unmapFolio(folio)
    // IRQs off: the frozen window must be short, everybody who meets the folio spins on its count of zero.
    this.cpu.localIrqSave()
    const nr = this.k.folios.folioNrPages(folio)
    const frozen = yield* this.freeze(folio)
    if (frozen) yield* this.splitHugePage(folio, nr)
    yield* this.cpu.localIrqRestore()
    if (frozen) yield* this.remapPage(folio, nr, RMP_USE_SHARED_ZEROPAGE)
    else yield* this.remapPage(folio, 1, 0)
    if (!frozen) return -EAGAIN
    yield* this.releaseTails(folio, nr)
    return 0
  }

  /**
   * can_split_folio(): a racy filter: are there references that neither mappings nor the caller explain? The freeze is
   * the real test.
   */
  protected *canSplitFolio(folio: PhysAddr): Step<boolean> {
    return (yield* this.k.folios.folioMapcount(folio)) === (yield* this.k.folios.folioRefCount(folio)) - 1
  }

  /** unmap_folio(): mappings become migration entries, and with them go the mappings' references. */
  protected *unmapFolio(folio: PhysAddr): Step<void> {
    yield* this.k.migrationEntries.tryToMigrate(folio, this.unmapFlags())
  }

  /**
   * TTU_SYNC: a zap that has cleared an entry, but not yet dropped mapcount and reference, is waited for by taking the
   * lock even of entries that look empty. Without it the folio would still be mapped after the walk (BUG-49).
   */
  protected unmapFlags(): number {
    return TTU_RMAP_LOCKED | TTU_SPLIT_HUGE_PMD | TTU_SYNC
  }

  /**
   * Part of split_huge_page_to_list_to_order(): only the caller's reference is left, or somebody is using the folio.
   * Full barrier on success: the entries were changed before, so a gup_fast that takes its reference later finds them
   * changed. Pairs with the full barrier between reference and second look, GupFast.pteUnchanged().
   */
  protected *freeze(folio: PhysAddr): Step<boolean> {
    return yield* this.k.folios.folioRefFreeze(folio, 1)
  }

  // ---- the frozen window ------------------------------------------------------------------------------------------

  /** __split_huge_page(): the head last: as long as it is a head, its order says how far the folio reaches. */
  protected *splitHugePage(folio: PhysAddr, nr: number): Step<void> {
    this.clearLargeCounts(folio)
    for (let i = nr - 1; i >= 1; i--) yield* this.splitHugePageTail(folio, phys(folio + i * PAGE.size), i)
    yield* this.k.folios.clearFlag(folio, PG_HEAD)
    poke32(folio + PAGE.at.order, 0)
    yield* this.k.folios.folioRefUnfreeze(folio, 1)
  }

  /**
   * __split_huge_page_tail(): from the unfreeze on the tail is a page like any other, which anybody may find:
   * everything else comes before.
   */
  protected *splitHugePageTail(folio: PhysAddr, tail: PhysAddr, index: number): Step<void> {
    yield* this.inheritFields(folio, tail, index)
    yield* this.clearCompoundHead(tail)
    yield* this.unfreezeTail(tail)
  }

  /** Part of __split_huge_page_tail(). */
  protected *inheritFields(folio: PhysAddr, tail: PhysAddr, index: number): Step<void> {
    this.checkUnmapped(tail)
    const flags = (peek32(folio + PAGE.at.flags) & INHERITED_FLAGS) | PG_LRU
    yield* this.cpu.writeOnce32(phys(tail + PAGE.at.flags), flags)
    poke32(tail + PAGE.at.mapping, peek32(folio + PAGE.at.mapping))
    pokeF64(tail + PAGE.at.index, peekF64(folio + PAGE.at.index) + index)
  }

  /** Part of __split_huge_page_tail(). */
  protected *clearCompoundHead(tail: PhysAddr): Step<void> {
    // Write barrier: the fields before the link. Otherwise a reader that finds no head could take what the tail's
    // words held before for the fields of a page. Pairs with the dependency through Folios.compoundHead().
    yield* this.cpu.smpWmb()
    yield* this.cpu.writeOnce32(phys(tail + PAGE.at.compoundHead), 0)
  }

  /** Part of __split_huge_page_tail(). */
  protected *unfreezeTail(tail: PhysAddr): Step<void> {
    yield* this.k.folios.folioRefUnfreeze(tail, 1)
  }

  /**
   * Part of __split_huge_page(): the first tail's counts of the whole folio share words with what a page keeps there;
   * no pin and no mapping is left.
   */
  protected clearLargeCounts(folio: PhysAddr): void {
    const firstTail = folio + PAGE.size
    poke32(firstTail + PAGE.at.entireMapcount, 0)
    poke32(firstTail + PAGE.at.pincount, 0)
    poke32(firstTail + PAGE.at.largeMapcount, 0)
  }

  /** Part of __split_huge_page_tail(): VM_BUG_ON_PAGE(atomic_read(&page_tail->_mapcount) != -1). */
  protected checkUnmapped(tail: PhysAddr): void {
    const mapcount = peek32(tail + PAGE.at.mapcount) + 1
    if (mapcount === 0) return
    this.cpu.report('kernel-bug', 'kernel BUG at mm/huge_memory.c: tail is mapped in __split_huge_page_tail()', tail, [
      `mapcount ${mapcount} of a frozen folio's tail`,
    ])
  }

  // ---- afterwards -------------------------------------------------------------------------------------------------

  /**
   * remap_page(): migration entries become mappings again: of the `pieces` base pages, or (1) of the folio that could
   * not be split. Pieces that hold nothing but zeroes give way to the zero page, where `flags` say so: nobody has used
   * them yet, most likely.
   */
  protected *remapPage(folio: PhysAddr, pieces: number, flags: number): Step<void> {
    for (let i = 0; i < pieces; i++) {
      const piece = phys(folio + i * PAGE.size)
      yield* this.k.migrationEntries.removeMigrationPtes(piece, piece, flags | RMP_LOCKED)
    }
  }

  /**
   * Part of __split_huge_page(): lets the faults go that wait for the tails, and drops the reference that each tail
   * started with.
   */
  protected *releaseTails(folio: PhysAddr, nr: number): Step<void> {
    for (let i = 1; i < nr; i++) {
      const tail = phys(folio + i * PAGE.size)
      yield* this.k.folios.folioUnlock(tail)
      // The last one if its mapping was zapped while it was a migration entry.
      yield* this.k.folios.folioPut(tail, 1)
    }
  }
}
