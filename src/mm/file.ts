/**
 * Files and shared memory, as far as mappings need them: a page cache indexed by page offset.
 *
 * Source: mm/filemap.c filemap_fault(), mm/shmem.c shmem_zero_setup(), mm/vmscan.c __remove_mapping() (v6.12). Left
 * out: writeback and large folios; but for fault-around, lookups are done under the i_pages lock instead of lockless. A
 * cached page stays until its file goes, truncation cuts it off (truncate.ts), or reclaim takes it (reclaim.ts).
 *
 * The contents of a file are made up from its number and the page offset, so that a page from elsewhere shows.
 */
import { assert } from '../base/assert.js'
import { UsageError } from '../base/errors.js'
import { phys, type Pfn, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { fillBytes, peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { downRead, upRead } from '../sync/rwsem.js'
import { lockdepAssertHeld, spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { TABLES } from './mms.js'
import { FILE, SYSV_SEGMENT, VMA } from './mmStruct.js'
import { NO_PAGE, PAGE, PG_DIRTY, PG_LOCKED, PG_LRU, PG_READAHEAD, PG_UPTODATE } from './page.js'

const NO_FILE = phys(0)

export class Files extends Part {
  /** Boot, one CPU: no files, an empty page cache. */
  format(): void {
    const { regions, config } = this.k
    fillBytes(regions.files, 0, FILE.size * config.files)
    fillBytes(regions.pageCache, 0, 4 * config.filePages)
    fillBytes(regions.pageHoles, 0, 4 * config.filePages)
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  /** A file of `pages` pages, held open for ever. Boot. */
  *openFile(pages: number): Step<PhysAddr> {
    const file = yield* this.create(pages, false)
    if (file !== 0) return file
    const { files, filePages } = this.k.config
    throw new UsageError(
      `no room for a file of ${pages} pages`,
      `this machine has ${files} files and ${filePages} pages for them`,
    )
  }

  /** A segment of SysV shared memory of `pages` pages, which shmget() made and nobody removes. Boot. */
  *newSegment(pages: number): Step<PhysAddr> {
    const file = yield* this.openFile(pages)
    poke32(file + FILE.at.zeroed, SYSV_SEGMENT)
    return file
  }

  /** The file opened as number `index`, from 0. */
  fileAt(index: number): PhysAddr {
    return phys(this.k.regions.files + index * FILE.size)
  }

  /** shmem_zero_setup(): memory for one shared anonymous mapping, with one reference; 0 without room. */
  *shmemZeroSetup(pages: number): Step<PhysAddr> {
    return yield* this.create(pages, true)
  }

  *getFile(file: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(file + FILE.at.refcount), 1)
  }

  /** Drops a reference; the file and its pages go with the last one. */
  *fput(file: PhysAddr): Step<void> {
    // Full barrier: this user's accesses before another one finds itself the last.
    const count = yield* this.cpu.atomicAddReturn32(phys(file + FILE.at.refcount), -1)
    assert(count >= 0, 'fput() without getFile()')
    if (count > 0) return
    this.k.observer.objectOwned(this.cpu, file)
    this.k.observer.fileContentsGone(this.cpu, file, 0, peek32(file + FILE.at.pages))
    for (let index = 0; index < peek32(file + FILE.at.pages); index++) yield* this.dropPage(this.slotOf(file, index))
    const lock = phys(this.k.regions.tables + TABLES.at.fileLock)
    yield* spinLock(this.cpu, lock)
    poke32(file + FILE.at.id, 0)
    this.k.observer.objectShared(this.cpu, file)
    yield* spinUnlock(this.cpu, lock)
  }

  protected *dropPage(slot: PhysAddr): Step<void> {
    const page = phys(peek32(slot))
    if (page === 0) return
    poke32(slot, 0)
    // Somebody may hold the page longer than the file lives; its slot can be another file by then.
    poke32(page + PAGE.at.mapping, 0)
    yield* this.k.folios.folioPut(page, 1)
  }

  protected *create(pages: number, zeroed: boolean): Step<PhysAddr> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.fileLock))
    const [file, cache] = [this.freeFile(), this.freeCache(pages)]
    if (file !== 0 && cache !== 0) this.setUp(file, pages, cache, zeroed)
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.fileLock))
    return file !== 0 && cache !== 0 ? file : NO_FILE
  }

  protected setUp(file: PhysAddr, pages: number, cache: PhysAddr, zeroed: boolean): void {
    const counter = this.k.regions.tables + TABLES.at.nextFileId
    const id = peek32(counter) + 1
    poke32(counter, id)
    this.k.observer.objectOwned(this.cpu, file)
    fillBytes(file, 0, FILE.size)
    poke32(file + FILE.at.id, id)
    poke32(file + FILE.at.pages, pages)
    poke32(file + FILE.at.size, pages)
    poke32(file + FILE.at.cache, cache)
    poke32(file + FILE.at.refcount, 1)
    poke32(file + FILE.at.zeroed, zeroed ? 1 : 0)
    this.k.observer.objectShared(this.cpu, file)
  }

  protected freeFile(): PhysAddr {
    for (let i = 0; i < this.k.config.files; i++) {
      const file = this.k.regions.files + i * FILE.size
      if (peek32(file + FILE.at.id) === 0) return phys(file)
    }
    return NO_FILE
  }

  /** `pages` slots in a row that no file has; 0 when there are none. First fit: files are few. */
  protected freeCache(pages: number): PhysAddr {
    const { pageCache } = this.k.regions
    const end = pageCache + 4 * this.k.config.filePages
    let at: number = pageCache
    for (;;) {
      const taken = this.fileBetween(at, at + 4 * pages)
      if (taken === 0) return at + 4 * pages <= end ? phys(at) : NO_FILE
      at = peek32(taken + FILE.at.cache) + 4 * peek32(taken + FILE.at.pages)
    }
  }

  /** A file whose cache overlaps start … end, or 0. */
  protected fileBetween(start: number, end: number): number {
    for (let i = 0; i < this.k.config.files; i++) {
      const file = this.k.regions.files + i * FILE.size
      const first = peek32(file + FILE.at.cache)
      const last = first + 4 * peek32(file + FILE.at.pages)
      if (peek32(file + FILE.at.id) !== 0 && first < end && start < last) return file
    }
    return 0
  }

  protected slotOf(file: PhysAddr, index: number): PhysAddr {
    return phys(peek32(file + FILE.at.cache) + 4 * index)
  }

  // ---- faults -----------------------------------------------------------------------------------------------------

  /**
   * filemap_fault(): page `pgoff` of the file that `vma` maps, with a reference for the caller; 0 beyond the end of the
   * file (SIGBUS) and without memory. Caller: mmap_lock, no spinlock.
   */
  *filemapFault(vma: PhysAddr, pgoff: number): Step<PhysAddr> {
    this.k.mms.mmapAssertLocked(this.k.mmOf(vma))
    const file = phys(peek32(vma + VMA.at.file))
    if (pgoff >= peek32(file + FILE.at.pages)) return phys(0)
    return yield* this.pageOrRead(file, pgoff, 0)
  }

  /**
   * Part of filemap_fault() and read_pages(): the page, referenced, which is read with `flags` if it is not cached; 0
   * without memory, or beyond the end of the file. Under the invalidate lock, which keeps truncation from cutting off
   * what is read meanwhile.
   */
  *pageOrRead(file: PhysAddr, index: number, flags: number): Step<PhysAddr> {
    const cached = yield* this.filemapGetPage(file, index, phys(0))
    if (cached !== 0) return cached
    if (this.isShmem(file)) return yield* this.readInto(file, index, flags)
    const lock = phys(file + FILE.at.invalidateLock)
    yield* downRead(this.cpu, this.k.rcu, lock)
    const page = yield* this.readInto(file, index, flags)
    yield* upRead(this.cpu, lock)
    return page
  }

  protected *readInto(file: PhysAddr, index: number, flags: number): Step<PhysAddr> {
    const pfn = yield* this.k.pages.allocPage(FrameKind.data)
    if (pfn === NO_PAGE) return phys(0)
    yield* this.readPage(file, index, pfn, flags)
    const page = this.k.memmap.page(pfn)
    const winner = yield* this.filemapGetPage(file, index, page)
    if (winner !== page) yield* this.k.folios.folioPut(page, 1)
    return winner
  }

  /**
   * next_uptodate_folio(): the first of pages `first` … `last` that can be mapped without waiting, locked and with a
   * reference; 0 when there is none. Caller: an RCU reader, maybe with a spinlock.
   */
  *nextUptodateFolio(file: PhysAddr, first: number, last: number): Step<PhysAddr> {
    const { folios } = this.k
    const end = Math.min(last, peek32(file + FILE.at.pages) - 1)
    for (let index = first; index <= end; index++) {
      const folio = yield* this.filemapGetEntry(file, index)
      if (folio === 0) continue
      // Reclaim takes a page out of the cache under its lock: locked and still in the cache, it stays.
      if (yield* folios.folioTrylock(folio)) {
        if ((yield* this.isCached(file, index, folio)) && (yield* this.isReady(folio))) return folio
        yield* folios.folioUnlock(folio)
      }
      yield* folios.folioPut(folio, 1)
    }
    return phys(0)
  }

  /** Part of next_uptodate_folio(): a page that is to start a read-ahead is left to a fault of its own. */
  protected *isReady(folio: PhysAddr): Step<boolean> {
    const flags = yield* this.cpu.readOnce32(phys(folio + PAGE.at.flags))
    return (flags & (PG_UPTODATE | PG_READAHEAD)) === PG_UPTODATE
  }

  /** filemap_get_entry(): a cached page that is not locked, with a reference. Found lockless, so looked at twice. */
  protected *filemapGetEntry(file: PhysAddr, index: number): Step<PhysAddr> {
    const { folios } = this.k
    const folio = phys(yield* this.cpu.readOnce32(this.slotOf(file, index)))
    if (folio === 0 || (yield* folios.testFlag(folio, PG_LOCKED)) || !(yield* folios.folioTryGet(folio, 1)))
      return phys(0)
    // After the reference, by its full barrier: until it was taken the page could be freed and become anything.
    if (yield* this.isCached(file, index, folio)) return folio
    yield* folios.folioPut(folio, 1)
    return phys(0)
  }

  /** True while page `index` of `file` is this one: a fault asks under the folio lock. */
  *isCached(file: PhysAddr, index: number, folio: PhysAddr): Step<boolean> {
    return (yield* this.cpu.readOnce32(this.slotOf(file, index))) === folio
  }

  /** The cached page `index`, referenced; 0: none, or beyond the end. */
  *filemapGetFolio(file: PhysAddr, index: number): Step<PhysAddr> {
    if (index >= peek32(file + FILE.at.pages)) return phys(0)
    return yield* this.filemapGetPage(file, index, phys(0))
  }

  /**
   * __remove_mapping(): takes a page out of the cache if nobody has a reference but the cache and the caller, and it is
   * clean; its count is zero then. Shared memory has no other place and stays. Caller: the folio lock; the page is
   * unmapped.
   */
  *removeMapping(file: PhysAddr, folio: PhysAddr): Step<boolean> {
    this.k.folios.folioAssertLocked(folio)
    if (peek32(file + FILE.at.zeroed) !== 0) return false
    yield* this.lockPages(file)
    const gone = yield* this.freezeClean(folio)
    if (gone) {
      yield* this.cpu.writeOnce32(this.slotOf(file, peekF64(folio + PAGE.at.index)), 0)
      poke32(folio + PAGE.at.mapping, 0)
    }
    yield* this.unlockPages(file)
    return gone
  }

  /** The count first: who wrote through a reference has set the flag before he dropped it. */
  protected *freezeClean(folio: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if (!(yield* folios.folioRefFreeze(folio, 2))) return false
    if (!(yield* folios.testFlag(folio, PG_DIRTY))) return true
    yield* folios.folioRefUnfreeze(folio, 2)
    return false
  }

  /** The cached page, referenced; if there is none, `fresh` becomes it, and its reference is the cache's. */
  protected *filemapGetPage(file: PhysAddr, index: number, fresh: PhysAddr): Step<PhysAddr> {
    yield* this.lockPages(file)
    const isInside = index < peek32(file + FILE.at.size)
    const page = isInside ? yield* this.pageOrFresh(file, this.slotOf(file, index), fresh) : phys(0)
    yield* this.unlockPages(file)
    return page
  }

  // ---- truncation (truncate.ts) -------------------------------------------------------------------------------------

  isShmem(file: PhysAddr): boolean {
    return peek32(file + FILE.at.zeroed) !== 0
  }

  /** i_size_write(): the size before. From then on nobody adds a page beyond it to the cache. */
  *iSizeWrite(file: PhysAddr, pages: number): Step<number> {
    yield* this.lockPages(file)
    const before = peek32(file + FILE.at.size)
    poke32(file + FILE.at.size, pages)
    yield* this.unlockPages(file)
    return before
  }

  /** Part of find_lock_entries(): the cached page, beyond the end of the file too, with a reference; 0: none. */
  *findLockEntry(file: PhysAddr, index: number): Step<PhysAddr> {
    yield* this.lockPages(file)
    const page = yield* this.pageOrFresh(file, this.slotOf(file, index), phys(0))
    yield* this.unlockPages(file)
    return page
  }

  /** filemap_remove_folio(): false when it was gone already. Caller: the folio lock; the cache's reference is left. */
  *filemapRemoveFolio(file: PhysAddr, index: number, folio: PhysAddr): Step<boolean> {
    yield* this.lockPages(file)
    const slot = this.slotOf(file, index)
    const cached = (yield* this.cpu.plainRead32(slot)) === folio
    if (cached) {
      yield* this.cpu.writeOnce32(slot, 0)
      poke32(folio + PAGE.at.mapping, 0)
      this.k.observer.fileContentsGone(this.cpu, file, index, index + 1)
    }
    yield* this.unlockPages(file)
    return cached
  }

  /** Page `index` of an ordinary file reads as zeroes from now on. Caller: the invalidate lock. */
  *makeHole(file: PhysAddr, index: number): Step<void> {
    if (!this.isShmem(file)) yield* this.cpu.plainWrite32(this.holeOf(file, index), 1)
  }

  protected *isHole(file: PhysAddr, index: number): Step<boolean> {
    return (yield* this.cpu.plainRead32(this.holeOf(file, index))) !== 0
  }

  protected holeOf(file: PhysAddr, index: number): PhysAddr {
    const { pageCache, pageHoles } = this.k.regions
    return phys(pageHoles + (this.slotOf(file, index) - pageCache))
  }

  // ---- the page cache -----------------------------------------------------------------------------------------------

  /** Part of filemap_get_folio() and filemap_add_folio(), i_pages held. */
  protected *pageOrFresh(file: PhysAddr, slot: PhysAddr, fresh: PhysAddr): Step<PhysAddr> {
    lockdepAssertHeld(this.cpu, phys(file + FILE.at.lock))
    let page = phys(yield* this.cpu.plainRead32(slot))
    if (page === 0 && fresh !== 0) {
      this.k.observer.objectShared(this.cpu, fresh)
      // RELEASE (rcu_assign_pointer()): the page's fields before the slot. Pairs with the dependency of who finds it
      // without the lock, filemapGetEntry().
      yield* this.cpu.storeRelease32(slot, fresh)
      page = fresh
    }
    if (page !== 0) yield* this.k.folios.folioGet(page, 1)
    return page
  }

  protected *lockPages(file: PhysAddr): Step<void> {
    yield* spinLock(this.cpu, phys(file + FILE.at.lock))
  }

  protected *unlockPages(file: PhysAddr): Step<void> {
    yield* spinUnlock(this.cpu, phys(file + FILE.at.lock))
  }

  /** Fills a new page and makes it one of the file; nobody else knows it yet. */
  protected *readPage(file: PhysAddr, index: number, pfn: Pfn, flags: number): Step<void> {
    const page = this.k.memmap.page(pfn)
    if (this.isShmem(file) || (yield* this.isHole(file, index))) yield* this.k.pages.clearPage(pfn)
    else yield* this.fillPage(pfn, fileByte(peek32(file + FILE.at.id), index))
    poke32(page + PAGE.at.mapping, file)
    pokeF64(page + PAGE.at.index, index)
    // Write barrier: the contents before the flag, and so before the entry that maps the page (P2).
    yield* this.cpu.smpWmb()
    yield* this.k.folios.setFlag(page, flags | PG_UPTODATE | PG_LRU)
  }

  protected *fillPage(pfn: Pfn, byte: number): Step<void> {
    const { memmap, observer } = this.k
    yield* this.cpu.touch(memmap.frame(pfn))
    observer.kernelAccessed(this.cpu, pfn, true)
    fillBytes(memmap.frame(pfn), byte, memmap.frameBytes)
    observer.contentsCreated(this.cpu, pfn, -1)
  }
}

/** What every byte of page `index` of file `id` is; never 0, which is what cleared memory holds. */
export function fileByte(id: number, index: number): number {
  return 1 + ((id * 89 + index * 7) % 255)
}
