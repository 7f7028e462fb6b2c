/**
 * Reclaim of page cache: clean pages of a file are unmapped everywhere, taken out of the cache and freed; the next
 * access reads them anew.
 *
 * Source: mm/vmscan.c shrink_folio_list(), __remove_mapping(), mm/rmap.c try_to_unmap() (v6.12).
 *
 * Left out: LRU lists and aging (whoever calls has chosen the pages; that a page is on a list is a flag of it),
 * writeback (dirty pages stay), swap (anonymous and shared memory stay), workingset shadows, large folios of files.
 *
 * Who may have the page: mappings, which the folio lock does not keep from coming back, gup and pfn walkers. So the
 * count is frozen, which proves that nobody has a reference but the cache and this walk, and the dirty flag is looked
 * at after that: somebody who wrote through a reference has set it before he dropped that.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pteDirty } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { load32 } from '../machine/image/image.js'
import { downReadTrylock, upRead } from '../sync/rwsem.js'
import { FILE, MM, VM_LOCKED, VMA } from './mmStruct.js'
import { PAGE, PG_DIRTY, PG_LRU } from './page.js'
import { PageVmaMappedWalk, type RmapVisitor } from './pageVmaMapped.js'
import { Part } from './part.js'

/** Clears first and flushes once for all. */
const TTU_BATCH_FLUSH = 0x40

export class Reclaim extends Part implements RmapVisitor {
  protected readonly pvmw = new PageVmaMappedWalk(this);

  /**
   * Pages `first` … `first` + `count` - 1 of `file`, as far as they are cached; returns how many were freed. Caller: no
   * locks.
   */
  *shrinkFile(file: PhysAddr, first: number, count: number): Step<number> {
    const { folios } = this.k
    const [gone, kept]: [PhysAddr[], PhysAddr[]] = [[], []]
    for (let index = first; index < first + count; index++) {
      const folio = yield* this.folioIsolateLru(file, index)
      if (folio === 0) continue
      if (yield* this.shrinkFolio(file, folio)) gone.push(folio)
      else kept.push(folio)
    }
    // Z1: nobody reaches the pages through a TLB when they are freed. Nor those that stay when the next reclaimer gets
    // them, who finds them unmapped and has nothing to flush.
    yield* this.k.tlbBatch.tryToUnmapFlush()
    for (const folio of gone) yield* folios.freeUnrefFolios(folio)
    for (const folio of kept) yield* this.folioPutbackLru(folio)
    return gone.length
  }

  /** folio_isolate_lru(): the cached page, for this walk alone; 0 when there is none or somebody else has it. */
  protected *folioIsolateLru(file: PhysAddr, index: number): Step<PhysAddr> {
    const folio = yield* this.k.files.filemapGetFolio(file, index)
    if (folio === 0) return folio
    const flags = yield* this.cpu.atomicFetchAnd32(phys(folio + PAGE.at.flags), ~PG_LRU)
    if ((flags & PG_LRU) !== 0) return folio
    yield* this.k.folios.folioPut(folio, 1)
    return phys(0)
  }

  /** folio_putback_lru(). */
  protected *folioPutbackLru(folio: PhysAddr): Step<void> {
    yield* this.k.folios.setFlag(folio, PG_LRU)
    yield* this.k.folios.folioPut(folio, 1)
  }

  /** True: the folio has left the cache, and its last reference is gone. */
  protected *shrinkFolio(file: PhysAddr, folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    // While the range is becoming a huge page, its folio lock is the file's.
    const huge = phys(file + FILE.at.hugeLock)
    if (!(yield* downReadTrylock(this.cpu, huge))) return false
    const locked = yield* folios.folioTrylock(folio)
    const gone = locked && (yield* this.shrinkLocked(file, folio))
    if (locked) yield* folios.folioUnlock(folio)
    yield* upRead(this.cpu, huge)
    return gone
  }

  protected *shrinkLocked(file: PhysAddr, folio: PhysAddr): Step<boolean> {
    yield* this.tryToUnmap(file, folio, TTU_BATCH_FLUSH)
    if ((yield* this.k.folios.folioMapcount(folio)) > 0) return false
    return yield* this.k.files.removeMapping(file, folio)
  }

  /** try_to_unmap(): unmaps a folio of a file wherever it is mapped. Caller: the folio lock, a reference. */
  *tryToUnmap(file: PhysAddr, folio: PhysAddr, flags: number): Step<void> {
    this.k.folios.folioAssertLocked(folio)
    yield* this.k.pageVmaMapped.rmapWalkFile(this.pvmw.of(folio, folio, flags), file)
  }

  /** Part of try_to_unmap_one(). False: locked memory stays, and with it the page. */
  *visitPte({ flags, vma, address, ptep, folio }: PageVmaMappedWalk): Step<boolean> {
    if ((load32(vma + VMA.at.flags) & VM_LOCKED) !== 0) return false
    const mm = this.k.mmOf(vma)
    const old = yield* this.clear(flags, mm, vma, address, ptep)
    // After the entry is cleared: the hardware sets no more bits.
    if (pteDirty(old)) yield* this.k.folios.setFlag(folio, PG_DIRTY)
    this.k.tables.addCounter(phys(mm + MM.at.rssFile), -1)
    yield* this.k.rmap.folioRemoveRmapPte(folio)
    yield* this.k.folios.folioPut(folio, 1)
    return true
  }

  protected *clear(flags: number, mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    const { ops, tlbBatch } = this.k
    const defer = (flags & TTU_BATCH_FLUSH) !== 0 && (yield* tlbBatch.shouldDeferFlush(mm))
    if (!defer) return yield* ops.ptepClearFlush(vma, addr, ptep)
    const old = yield* ops.ptepGetAndClear(mm, addr, ptep)
    yield* tlbBatch.setTlbUbcFlushPending(mm, addr, old)
    return old
  }

  *beforePmd(): Step<void> {}

  /** No huge pages of files. */
  *visitPmd(): Step<boolean> {
    return true
  }

  *visitedVma(): Step<boolean> {
    return true
  }
}
