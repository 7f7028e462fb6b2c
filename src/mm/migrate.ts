/**
 * Migration: moving an anonymous folio to other frames, as compaction does.
 *
 * Source: mm/migrate.c migrate_folio_unmap(), migrate_folio_move(), __migrate_folio(); mm/compaction.c
 * isolate_migratepages_block() (v6.12).
 *
 * Left out: file folios and page-cache references (whose migration freezes the count; an anonymous folio's is
 * compared), batches of folios, retries, NUMA targets, LRU lists. An isolated folio is one that somebody holds a
 * reference to for this: two isolations of one folio see each other's reference and both give up, where upstream's
 * second one finds it off the LRU and gives up earlier.
 */
import { phys, type Pfn, type PhysAddr } from '../base/units.js'
import { assert } from '../base/assert.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { EAGAIN, EBUSY, ENOMEM } from './mmStruct.js'
import { NO_PAGE, PAGE, PG_DIRTY, PG_LRU, PG_REFERENCED, PG_SWAPBACKED, PG_UPTODATE } from './page.js'
import { Part } from './part.js'

/** Flags that go with the contents: folio_migrate_flags(). */
const MIGRATED_FLAGS = PG_REFERENCED | PG_UPTODATE | PG_DIRTY | PG_SWAPBACKED

export class Migrate extends Part {
  /**
   * Compaction of one frame, whatever it is used for by now: isolates the folio at `pfn` and moves it. 0, or -EBUSY
   * when there is nothing that could be moved, or the result of migrateIsolated().
   */
  *migratePfn(pfn: Pfn): Step<number> {
    const folio = yield* this.isolateByPfn(pfn)
    return folio === 0 ? -EBUSY : yield* this.migrateIsolated(folio)
  }

  /**
   * Part of isolate_migratepages_block(): a pfn walker's look at a frame: the anonymous folio that starts there, with a
   * reference; 0 for anything else. The frame may be free, a page table, or part of a folio that is being split;
   * folio_try_get() decides (R2, R3).
   */
  *isolateByPfn(pfn: Pfn): Step<PhysAddr> {
    const { folios } = this.k
    const page = this.k.memmap.page(pfn)
    // folio_get_nontail_page(): a tail's count is zero for ever, so this cannot succeed on one (R3; BUG-45).
    if (!(yield* folios.folioTryGet(page, 1))) return phys(0)
    if (folios.isAnon(page) && !(yield* this.looksPinned(page))) return page
    // The real put: the page may have lost its last other reference meanwhile, and then this one frees it.
    yield* folios.folioPut(page, 1)
    return phys(0)
  }

  /**
   * Part of isolate_migratepages_block(): more references than mappings and this one explain: a cheap filter, the count
   * is judged again when it is decisive.
   */
  protected *looksPinned(folio: PhysAddr): Step<boolean> {
    return (yield* this.k.folios.folioRefCount(folio)) > (yield* this.k.folios.folioMapcount(folio)) + 1
  }

  /**
   * Part of migrate_pages(): moves an isolated folio to new frames: 0, -EAGAIN when somebody else has a reference,
   * -ENOMEM. Consumes the reference that isolated it, which also keeps it from being split. Caller: no locks.
   */
  *migrateIsolated(src: PhysAddr): Step<number> {
    const { folios } = this.k
    const pfn = yield* this.k.pages.allocPages(folios.folioOrder(src), FrameKind.data)
    if (pfn === NO_PAGE) return yield* this.trySplitFolio(src)
    yield* folios.folioLock(src)
    const result = yield* this.migrateLocked(src, this.k.memmap.page(pfn))
    yield* folios.folioUnlock(src)
    // With the mappings moved, these are the last references of `src`, or after a failure of the new folio.
    yield* folios.folioPut(this.k.memmap.page(pfn), 1)
    yield* folios.folioPut(src, 1)
    return result
  }

  /** try_split_folio(): without a huge page to move to, the pieces can be moved by the next scan. */
  protected *trySplitFolio(src: PhysAddr): Step<number> {
    if (this.k.folios.isLarge(src) && (yield* this.k.folios.folioTrylock(src))) {
      yield* this.k.splitFolio.splitFolio(src)
      yield* this.k.folios.folioUnlock(src)
    }
    yield* this.k.folios.folioPut(src, 1)
    return -ENOMEM
  }

  /** Part of migrate_pages(). */
  protected *migrateLocked(src: PhysAddr, dst: PhysAddr): Step<number> {
    const { anonVmas, folios } = this.k
    // Keeps the anon_vma while nothing maps the folio: its last VMA may go away meanwhile.
    const anonVma = yield* anonVmas.folioGetAnonVma(src)
    if (anonVma === 0) return -EAGAIN
    // Locked before it can be found through a mapping: a fault may then wait for either folio.
    const locked = yield* folios.folioTrylock(dst)
    assert(locked, 'nobody else knows the new folio')
    yield* this.k.migrationEntries.tryToMigrate(src)
    const unmapped = (yield* folios.folioMapcount(src)) === 0
    const result = unmapped ? yield* this.migrateFolio(dst, src) : -EAGAIN
    yield* this.k.migrationEntries.removeMigrationPtes(src, result === 0 ? dst : src)
    yield* folios.folioUnlock(dst)
    yield* anonVmas.putAnonVma(anonVma)
    return result
  }

  /**
   * __migrate_folio(): copies the contents, unless somebody else has a reference and could be reading or writing them.
   */
  protected *migrateFolio(dst: PhysAddr, src: PhysAddr): Step<number> {
    if (!(yield* this.onlyIsolated(src))) return -EAGAIN
    yield* this.copyContents(dst, src)
    // Again: copying takes long, and a pfn walker may have taken a reference. A gup_fast can not: the entries changed
    // before the first look at the count (G3), so its second look at them fails.
    if (!(yield* this.onlyIsolated(src))) return -EAGAIN
    yield* this.folioMigrateMapping(dst, src)
    return 0
  }

  /** Part of __migrate_folio(). */
  protected *onlyIsolated(src: PhysAddr): Step<boolean> {
    return (yield* this.k.folios.folioRefCount(src)) === 1
  }

  /** Part of __migrate_folio(). */
  protected *copyContents(dst: PhysAddr, src: PhysAddr): Step<void> {
    const [to, from] = [this.k.memmap.pfnOf(dst), this.k.memmap.pfnOf(src)]
    for (let i = 0; i < this.k.folios.folioNrPages(src); i++) {
      yield* this.k.pages.copyPage((to + i) as Pfn, (from + i) as Pfn)
      this.k.observer.contentsMoved(this.cpu, to + i, from + i)
    }
  }

  /**
   * folio_migrate_mapping(): the new folio becomes what the old one was. Nobody else knows it: it is locked, and mapped
   * nowhere.
   */
  protected *folioMigrateMapping(dst: PhysAddr, src: PhysAddr): Step<void> {
    poke32(dst + PAGE.at.mapping, peek32(src + PAGE.at.mapping))
    pokeF64(dst + PAGE.at.index, peekF64(src + PAGE.at.index))
    yield* this.k.folios.setFlag(dst, (peek32(src + PAGE.at.flags) & MIGRATED_FLAGS) | PG_LRU)
    // Write barrier: contents and owner before the entries that removeMigrationPtes() stores (P2). A reader reaches
    // both through its entry (address dependency).
    yield* this.cpu.smpWmb()
  }
}
