/**
 * Reclaim: folios are unmapped everywhere and freed, if nothing is lost by that: clean pages of files, which the next
 * access reads anew, and anonymous memory that MADV_FREE was for and nobody has stored to since.
 *
 * Source: mm/vmscan.c reclaim_pages(), shrink_folio_list(), __remove_mapping(), mm/rmap.c try_to_unmap(),
 * rmap_walk_file() (v6.12).
 *
 * Left out: LRU lists and aging (whoever calls has chosen the pages; that a page is on a list is a flag of it),
 * writeback (dirty pages stay), swap (other anonymous and shared memory stays), workingset shadows, large folios of
 * files. A huge PMD is split before its folio is unmapped, and not dropped as a whole.
 *
 * Who may have the page: mappings, which the folio lock does not keep from coming back, gup and pfn walkers. So the
 * count is frozen, which proves that nobody has a reference but the cache and this walk, and the dirty flag is looked
 * at after that: somebody who wrote through a reference has set it before he dropped that.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pteDirty } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { downReadTrylock, upRead } from '../sync/rwsem.js'
import { TTU_SPLIT_HUGE_PMD } from './migrationEntries.js'
import { FILE, MM, VM_DROPPABLE, VM_LOCKED, VMA } from './mmStruct.js'
import { PAGE, PG_DIRTY, PG_SWAPBACKED } from './page.js'
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
    const isolated: PhysAddr[] = []
    for (let index = first; index < first + count; index++) {
      const folio = yield* this.k.files.filemapGetFolio(file, index)
      if (folio === 0) continue
      if (yield* this.k.lru.folioIsolateLru(folio)) isolated.push(folio)
      yield* this.k.folios.folioPut(folio, 1)
    }
    return yield* this.reclaimPages(isolated)
  }

  /** reclaim_pages(): folios that the caller has isolated; returns how many were freed. Caller: no spinlocks. */
  *reclaimPages(isolated: readonly PhysAddr[]): Step<number> {
    const [gone, kept]: [PhysAddr[], PhysAddr[]] = [[], []]
    for (const folio of isolated) {
      if (yield* this.shrinkFolio(folio)) gone.push(folio)
      else kept.push(folio)
    }
    // Z1: nobody reaches the pages through a TLB when they are freed. Nor those that stay when the next reclaimer gets
    // them, who finds them unmapped and has nothing to flush.
    yield* this.k.tlbBatch.tryToUnmapFlush()
    for (const folio of gone) yield* this.k.folios.freeUnrefFolios(folio)
    for (const folio of kept) yield* this.k.lru.folioPutbackLru(folio)
    return gone.length
  }

  /** Part of shrink_folio_list(): true: the folio is mapped nowhere, and its last reference is gone. */
  protected *shrinkFolio(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    const anon = folios.isAnon(folio)
    const mapping = yield* this.cpu.readOnce32(phys(folio + PAGE.at.mapping))
    // Truncation has taken it from its file: it goes with its last reference.
    if (mapping === 0) return false
    // While a range of a file is becoming a huge page, its folio lock is the file's.
    const huge = anon ? phys(0) : phys(mapping + FILE.at.hugeLock)
    if (huge !== 0 && !(yield* downReadTrylock(this.cpu, huge))) return false
    const locked = yield* folios.folioTrylock(folio)
    const gone = locked && (yield* anon ? this.shrinkAnon(folio) : this.shrinkFileFolio(folio))
    if (locked) yield* folios.folioUnlock(folio)
    if (huge !== 0) yield* upRead(this.cpu, huge)
    return gone
  }

  protected *shrinkFileFolio(folio: PhysAddr): Step<boolean> {
    if (peek32(folio + PAGE.at.mapping) === 0) return false
    yield* this.tryToUnmap(folio, TTU_BATCH_FLUSH)
    if ((yield* this.k.folios.folioMapcount(folio)) > 0) return false
    return yield* this.k.files.removeMapping(phys(peek32(folio + PAGE.at.mapping)), folio)
  }

  /**
   * Part of shrink_folio_list(): memory that has to be kept would be swapped out. Without swap it stays, but a large
   * folio is split first, since smaller ones might find room.
   */
  protected *shrinkAnon(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if (yield* folios.testFlag(folio, PG_SWAPBACKED)) {
      if (folios.isLarge(folio)) yield* this.k.splitFolio.splitFolio(folio)
      return false
    }
    yield* this.tryToUnmap(folio, TTU_BATCH_FLUSH | TTU_SPLIT_HUGE_PMD)
    if ((yield* folios.folioMapcount(folio)) > 0) return false
    return yield* folios.folioRefFreeze(folio, 1)
  }

  /** try_to_unmap(): unmaps a folio wherever it is mapped. Caller: the folio lock, a reference. */
  *tryToUnmap(folio: PhysAddr, flags: number): Step<void> {
    const { anonVmas, folios, pageVmaMapped } = this.k
    folios.folioAssertLocked(folio)
    const walk = this.pvmw.of(folio, folio, flags)
    if (!folios.isAnon(folio)) return yield* pageVmaMapped.rmapWalkFile(walk, phys(peek32(folio + PAGE.at.mapping)))
    const anonVma = yield* anonVmas.folioLockAnonVmaRead(folio)
    if (anonVma === 0) return
    yield* pageVmaMapped.rmapWalkAnon(walk, anonVma)
    yield* anonVmas.anonVmaUnlockRead(anonVma)
  }

  /** Part of try_to_unmap_one(). False: the mapping stays, and with it the folio: locked memory, or it is in use. */
  *visitPte({ flags, vma, address, ptep, folio, index }: PageVmaMappedWalk): Step<boolean> {
    if ((load32(vma + VMA.at.flags) & VM_LOCKED) !== 0) return false
    const { folios, ops } = this.k
    const [mm, anon] = [this.k.mmOf(vma), folios.isAnon(folio)]
    const old = yield* this.clear(flags, mm, vma, address, ptep)
    // After the entry is cleared: the hardware sets no more bits.
    if (pteDirty(old)) yield* folios.setFlag(folio, PG_DIRTY)
    if (anon && !(yield* this.mayDiscard(vma, folio))) {
      yield* ops.setPteAt(mm, address, ptep, old)
      return false
    }
    this.k.tables.addCounter(phys(mm + (anon ? MM.at.rssAnon : MM.at.rssFile)), -1)
    yield* this.k.rmap.folioRemoveRmapPte(phys(folio + index * PAGE.size))
    yield* folios.folioPut(folio, 1)
    return true
  }

  /**
   * Part of try_to_unmap_one(), of a lazyfree folio, one of whose entries has just been cleared: clean, and with no
   * reference that mappings and this walk do not explain. A folio that was stored to is not lazyfree any more; one of
   * droppable memory always is.
   */
  protected *mayDiscard(vma: PhysAddr, folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    // Full barrier: the cleared entry before the count. Otherwise gup_fast could take a reference after the count was
    // read and still find the entry. Pairs with the full barrier between reference and second look,
    // GupFast.pteUnchanged().
    yield* this.cpu.smpMb()
    const references = yield* folios.folioRefCount(folio)
    const mappings = yield* folios.folioMapcount(folio)
    // Read barrier: the count before the flag, which is set before a reference is dropped that the folio was written
    // through. Pairs with the full barrier of Folios.folioPut().
    yield* this.cpu.smpRmb()
    const droppable = (load32(vma + VMA.at.flags) & VM_DROPPABLE) !== 0
    if (droppable || !(yield* folios.testFlag(folio, PG_DIRTY))) return references === 1 + mappings
    yield* folios.setFlag(folio, PG_SWAPBACKED)
    return false
  }

  protected *clear(flags: number, mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<PteWord> {
    const { ops, tlbBatch } = this.k
    const defer = (flags & TTU_BATCH_FLUSH) !== 0 && (yield* tlbBatch.shouldDeferFlush(mm))
    if (!defer) return yield* ops.ptepClearFlush(vma, addr, ptep)
    const old = yield* ops.ptepGetAndClear(mm, addr, ptep)
    yield* tlbBatch.setTlbUbcFlushPending(mm, addr, old)
    return old
  }

  /** A huge mapping is split before the walk looks at it. */
  *beforePmd({ flags, vma, address, pmdp, folio }: PageVmaMappedWalk): Step<void> {
    if ((flags & TTU_SPLIT_HUGE_PMD) === 0 || !this.k.folios.isLarge(folio)) return
    yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, address, false, folio)
  }

  /** None is left: of anonymous memory they are split, and files have none. */
  *visitPmd(): Step<boolean> {
    return true
  }

  /** Until nothing maps the folio any more. */
  *visitedVma({ folio }: PageVmaMappedWalk): Step<boolean> {
    return (yield* this.k.folios.folioMapcount(folio)) > 0
  }
}
