/**
 * The counting side of the reverse map: mapcounts, and the exclusive flag of anonymous pages.
 *
 * Source: mm/rmap.c, include/linux/rmap.h (v6.12). A mapping adds its reference first and its mapcount second, and
 * drops the mapcount first and the reference last (R1), so that refcount >= mapcount at any moment. The walking side
 * (try_to_migrate, remove_migration_ptes) is in migrate.ts. Left out: _nr_pages_mapped and its statistics, and KSM.
 */
import { phys, type PhysAddr, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { Part } from './part.js'
import { VM_DROPPABLE, VMA } from './mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON, PG_ANON_EXCLUSIVE, PG_LRU, PG_SWAPBACKED } from './page.js'

const FIRST_TAIL = 64

export class Rmap extends Part {
  /** linear_page_index(): the index in its mapping of the page at `addr` in `vma`. */
  linearPageIndex(vma: PhysAddr, addr: VirtAddr): number {
    const { pageSize } = this.k.geo
    return peekF64(vma + VMA.at.pgoff) + (addr - peekF64(vma + VMA.at.start)) / pageSize
  }

  // ---- adding -----------------------------------------------------------------------------------------------------

  /**
   * folio_add_new_anon_rmap(): the first mapping of a new folio, nobody else knows it yet: owner, index, exclusive,
   * mapcount 1 (a large folio is mapped as a whole). Caller: page-table lock; the vma has its anon_vma.
   */
  *folioAddNewAnonRmap(folio: PhysAddr, vma: PhysAddr, addr: VirtAddr): Step<void> {
    poke32(folio + PAGE.at.mapping, peek32(vma + VMA.at.anonVma) + PAGE_MAPPING_ANON)
    pokeF64(folio + PAGE.at.index, this.linearPageIndex(vma, addr))
    // folio_add_lru_vma(), which upstream's callers call next, under the same lock.
    const kept = (peek32(vma + VMA.at.flags) & VM_DROPPABLE) === 0 ? PG_SWAPBACKED : 0
    yield* this.k.folios.setFlag(folio, kept | PG_ANON_EXCLUSIVE | PG_LRU)
    if (this.k.folios.isLarge(folio)) yield* this.addPmd(folio)
    else yield* this.addPte(folio)
  }

  /**
   * folio_add_anon_rmap_pte(): one more PTE mapping of a page of an anonymous folio. Caller: page-table lock, and the
   * mapping's reference.
   */
  *folioAddAnonRmapPte(page: PhysAddr, _vma: PhysAddr, _addr: VirtAddr, exclusive: boolean): Step<void> {
    yield* this.addPte(page)
    if (exclusive) yield* this.k.folios.setFlag(page, PG_ANON_EXCLUSIVE)
  }

  /** folio_add_anon_rmap_pmd(). */
  *folioAddAnonRmapPmd(folio: PhysAddr, _vma: PhysAddr, _addr: VirtAddr, exclusive: boolean): Step<void> {
    yield* this.addPmd(folio)
    if (exclusive) yield* this.k.folios.setFlag(folio, PG_ANON_EXCLUSIVE)
  }

  /** folio_add_file_rmap_pte(). */
  *folioAddFileRmapPte(page: PhysAddr): Step<void> {
    yield* this.addPte(page)
  }

  // ---- removing ---------------------------------------------------------------------------------------------------

  /** folio_remove_rmap_pte(). */
  *folioRemoveRmapPte(page: PhysAddr): Step<void> {
    const folio = yield* this.k.folios.compoundHead(page)
    if (this.k.folios.isLarge(folio)) yield* this.cpu.atomicAdd32(largeMapcount(folio), -1)
    yield* this.count(page, phys(page + PAGE.at.mapcount), -1)
  }

  /** folio_remove_rmap_pmd(). */
  *folioRemoveRmapPmd(folio: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(largeMapcount(folio), -1)
    yield* this.count(folio, entireMapcount(folio), -1)
  }

  // ---- the exclusive flag -----------------------------------------------------------------------------------------

  /**
   * folio_try_dup_anon_rmap_pte(): fork: one more mapping of the page, which is then no longer exclusive. False when it
   * may be pinned: the pin stays with the parent, so the child must get a copy. Caller: page-table lock of the parent,
   * mmap_lock for write inside a write section of write_protect_seq, which keeps gup_fast from pinning it meanwhile.
   */
  *folioTryDupAnonRmapPte(page: PhysAddr): Step<boolean> {
    if (!(yield* this.shareForFork(page))) return false
    yield* this.addPte(page)
    return true
  }

  /** folio_try_dup_anon_rmap_pmd(). */
  *folioTryDupAnonRmapPmd(folio: PhysAddr): Step<boolean> {
    if (!(yield* this.shareForFork(folio))) return false
    yield* this.addPmd(folio)
    return true
  }

  /**
   * folio_try_share_anon_rmap_pte(): swap-out and migration: clears the exclusive flag unless the page may be pinned.
   * Caller: has made the entry unusable and flushed it.
   */
  *folioTryShareAnonRmapPte(page: PhysAddr): Step<boolean> {
    const folio = yield* this.k.folios.compoundHead(page)
    // Full barrier: the cleared entry before the pin count is read. Otherwise gup_fast could pin after the read and
    // still find the entry unchanged. Pairs with the barrier in Folios.addPins().
    yield* this.cpu.smpMb()
    if (yield* this.k.folios.folioMaybeDmaPinned(folio)) return false
    yield* this.clearExclusive(page)
    // Full barrier: the cleared flag before the entry that is installed next. Otherwise gup_fast could find an entry
    // put back and the flag still set. Pairs with the read barrier in GupFast.gupMustUnshare().
    yield* this.cpu.smpMb()
    return true
  }

  /** folio_try_share_anon_rmap_pmd(). */
  *folioTryShareAnonRmapPmd(folio: PhysAddr): Step<boolean> {
    return yield* this.folioTryShareAnonRmapPte(folio)
  }

  /** Part of __folio_try_dup_anon_rmap(). */
  protected *shareForFork(page: PhysAddr): Step<boolean> {
    if (!(yield* this.k.folios.testFlag(page, PG_ANON_EXCLUSIVE))) return true
    const folio = yield* this.k.folios.compoundHead(page)
    if (yield* this.k.folios.folioMaybeDmaPinned(folio)) return false
    yield* this.clearExclusive(page)
    return true
  }

  /** Part of __folio_try_share_anon_rmap(). */
  protected *clearExclusive(page: PhysAddr): Step<void> {
    yield* this.k.folios.clearFlag(page, PG_ANON_EXCLUSIVE)
    this.k.observer.anonExclusiveCleared(this.cpu, this.k.memmap.pfnOf(page))
  }

  // ---- counts -----------------------------------------------------------------------------------------------------

  /** Part of __folio_add_rmap(). */
  protected *addPte(page: PhysAddr): Step<void> {
    const folio = yield* this.k.folios.compoundHead(page)
    yield* this.count(page, phys(page + PAGE.at.mapcount), 1)
    if (this.k.folios.isLarge(folio)) yield* this.cpu.atomicAdd32(largeMapcount(folio), 1)
  }

  /** Part of __folio_add_rmap(). */
  protected *addPmd(folio: PhysAddr): Step<void> {
    yield* this.count(folio, entireMapcount(folio), 1)
    yield* this.cpu.atomicAdd32(largeMapcount(folio), 1)
  }

  protected *count(page: PhysAddr, counter: PhysAddr, delta: number): Step<void> {
    const before = yield* this.cpu.atomicFetchAdd32(counter, delta)
    this.k.observer.mapped(this.cpu, this.k.memmap.pfnOf(page), before, delta)
  }
}

const largeMapcount = (folio: PhysAddr): PhysAddr => phys(folio + FIRST_TAIL + PAGE.at.largeMapcount)
const entireMapcount = (folio: PhysAddr): PhysAddr => phys(folio + FIRST_TAIL + PAGE.at.entireMapcount)
