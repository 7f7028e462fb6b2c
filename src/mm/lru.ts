/**
 * The LRU, as far as it decides what may be done with a folio: whether it is on a list (PG_LRU), and whether it is
 * lazyfree: clean anonymous memory that reclaim may drop (PG_SWAPBACKED clear).
 *
 * Source: mm/swap.c folio_mark_lazyfree(), __folio_batch_add_and_move(), folio_batch_move_lru(), lru_add_drain();
 * include/linux/pagevec.h (v6.18: PG_LRU stays set in a batch, afb99e9f5004).
 *
 * MADV_FREE does not change a folio at once: it puts it into a batch of its CPU, with a reference, and the batch is
 * applied when it is full or somebody drains it. Until then the folio counts one reference more.
 *
 * Left out: the lists and their order, and lru_lock with them (nothing here ages; whoever reclaims has chosen the
 * folios); the other batches, which only change the place of a folio in the lists: a new folio is on its list at once.
 * lru_add_drain_all() is that of the calling CPU: a folio in the batch of another one looks used until that is drained.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, poke32 } from '../machine/image/guarded.js'
import { ownCpu } from '../machine/image/guard.js'
import type { Layout } from '../machine/image/layout.js'
import { struct } from '../machine/image/struct.js'
import { PAGE, PG_LRU, PG_REFERENCED, PG_SWAPBACKED } from './page.js'
import { Part } from './part.js'

/** Folios in a batch. */
const PAGEVEC_SIZE = 31

/** cpu_fbatches.lru_lazyfree of each CPU. */
export const LRU_LAZYFREE = struct('lruLazyfree', 128, {
  folios: [0, 4 * PAGEVEC_SIZE, ownCpu], // addresses of struct pages, each with a reference
  nr: [4 * PAGEVEC_SIZE, 4, ownCpu],
})

export function placeLru(layout: Layout, cpuCount: number): PhysAddr {
  return layout.add('lruLazyfree', LRU_LAZYFREE, cpuCount)
}

export class Lru extends Part {
  /** folio_isolate_lru(): takes a referenced folio off its list for this caller alone; with another reference then. */
  *folioIsolateLru(folio: PhysAddr): Step<boolean> {
    if (!(yield* this.folioTestClearLru(folio))) return false
    yield* this.k.folios.folioGet(folio, 1)
    return true
  }

  /** folio_putback_lru(): back on its list; drops the reference of the isolation. */
  *folioPutbackLru(folio: PhysAddr): Step<void> {
    yield* this.k.folios.setFlag(folio, PG_LRU)
    yield* this.k.folios.folioPut(folio, 1)
  }

  /** folio_mark_lazyfree(). Caller: the lock of an entry that maps the folio, which is clean. */
  *folioMarkLazyfree(folio: PhysAddr): Step<void> {
    const wanted = PG_LRU | PG_SWAPBACKED
    const flags = yield* this.cpu.readOnce32(phys(folio + PAGE.at.flags))
    if (!this.k.folios.isAnon(folio) || (flags & wanted) !== wanted) return
    yield* this.k.folios.folioGet(folio, 1)
    this.folioBatchAdd(folio)
    if (peek32(this.batch + LRU_LAZYFREE.at.nr) === PAGEVEC_SIZE || this.k.folios.isLarge(folio))
      yield* this.folioBatchMoveLru()
  }

  /** lru_add_drain(): applies what this CPU has batched. */
  *lruAddDrain(): Step<void> {
    if (peek32(this.batch + LRU_LAZYFREE.at.nr) > 0) yield* this.folioBatchMoveLru()
  }

  /** folio_batch_add(). */
  protected folioBatchAdd(folio: PhysAddr): void {
    const nr = peek32(this.batch + LRU_LAZYFREE.at.nr)
    poke32(this.batch + LRU_LAZYFREE.at.folios + 4 * nr, folio)
    poke32(this.batch + LRU_LAZYFREE.at.nr, nr + 1)
  }

  /** folio_batch_move_lru(). A folio that somebody has isolated meanwhile stays as it is. */
  protected *folioBatchMoveLru(): Step<void> {
    const nr = peek32(this.batch + LRU_LAZYFREE.at.nr)
    for (let i = 0; i < nr; i++) {
      const folio = phys(peek32(this.batch + LRU_LAZYFREE.at.folios + 4 * i))
      if (yield* this.folioTestClearLru(folio)) {
        yield* this.lruLazyfree(folio)
        yield* this.k.folios.setFlag(folio, PG_LRU)
      }
    }
    poke32(this.batch + LRU_LAZYFREE.at.nr, 0)
    for (let i = 0; i < nr; i++)
      yield* this.k.folios.folioPut(phys(peek32(this.batch + LRU_LAZYFREE.at.folios + 4 * i)), 1)
  }

  /** lru_lazyfree(). Whether the folio is clean is judged when it is reclaimed. */
  protected *lruLazyfree(folio: PhysAddr): Step<void> {
    if (!this.k.folios.isAnon(folio)) return
    yield* this.cpu.atomicAnd32(phys(folio + PAGE.at.flags), ~(PG_SWAPBACKED | PG_REFERENCED))
  }

  /** folio_test_clear_lru(): of those who want to isolate a folio, one finds it on its list. */
  protected *folioTestClearLru(folio: PhysAddr): Step<boolean> {
    return ((yield* this.cpu.atomicFetchAnd32(phys(folio + PAGE.at.flags), ~PG_LRU)) & PG_LRU) !== 0
  }

  /** The batch of this CPU. */
  protected get batch(): number {
    return this.k.regions.lruLazyfree + this.cpu.id * LRU_LAZYFREE.size
  }
}
