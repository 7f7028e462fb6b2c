/**
 * Read-ahead: pages of a file that are read together with the one that a fault misses.
 *
 * Source: mm/readahead.c force_page_cache_ra(), page_cache_async_ra(), do_page_cache_ra(); mm/filemap.c
 * do_sync_mmap_readahead(), do_async_mmap_readahead() (v6.18: executable mappings read up to their own end).
 *
 * How many pages is a property of the device (config.readAhead); 0 reads the one page. Left out: large folios, which a
 * file system may read into; the count of misses, after which a file is not read ahead any more; the window of the last
 * read-ahead: where the next one begins is found in the cache, as upstream does for readers in between.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { FILE, VM_EXEC, VM_RAND_READ, VM_SEQ_READ, VMA } from './mmStruct.js'
import { PG_READAHEAD } from './page.js'
import { Part } from './part.js'

export class Readahead extends Part {
  /** force_page_cache_readahead(): pages `first` … `first` + `count` - 1, whatever the device is like. */
  *forcePageCacheReadahead(file: PhysAddr, first: number, count: number): Step<void> {
    yield* this.doPageCacheRa(file, first, count, -1)
  }

  /**
   * Part of filemap_fault(): a fault for page `pgoff` reads ahead, if that is due. True: the page is cached by now, and
   * the fault is tried again, since upstream gives mmap_lock away while it reads: then it finds all that was read.
   * Caller: mmap_lock, no spinlock.
   */
  *faultReadsAhead(vma: PhysAddr, pgoff: number): Step<boolean> {
    const { files, folios } = this.k
    if (this.k.config.readAhead === 0 || (peek32(vma + VMA.at.flags) & VM_RAND_READ) !== 0) return false
    const file = phys(peek32(vma + VMA.at.file))
    const found = yield* files.filemapGetFolio(file, pgoff)
    if (found === 0) yield* this.doSyncMmapReadahead(vma, pgoff)
    else if (!(yield* this.doAsyncMmapReadahead(vma, pgoff, found))) {
      yield* folios.folioPut(found, 1)
      return false
    }
    const cached = found === 0 ? yield* files.filemapGetFolio(file, pgoff) : found
    if (cached !== 0) yield* folios.folioPut(cached, 1)
    return cached !== 0
  }

  /**
   * do_sync_mmap_readahead(): page `pgoff` of the file is missed by a fault: read are the pages around it, of an
   * executable mapping those behind it in the mapping.
   */
  protected *doSyncMmapReadahead(vma: PhysAddr, pgoff: number): Step<void> {
    const flags = peek32(vma + VMA.at.flags)
    const pages = this.k.config.readAhead
    const file = phys(peek32(vma + VMA.at.file))
    if ((flags & VM_SEQ_READ) !== 0) return yield* this.doPageCacheRa(file, pgoff, pages, -1)
    if ((flags & VM_EXEC) !== 0) {
      const left = this.k.geo.pagesIn(peekF64(vma + VMA.at.end) - peekF64(vma + VMA.at.start))
      const end = peekF64(vma + VMA.at.pgoff) + left
      return yield* this.doPageCacheRa(file, pgoff, Math.min(pages, end - pgoff), -1)
    }
    const start = Math.max(0, pgoff - pages / 2)
    yield* this.doPageCacheRa(file, start, pages, start + pages - pages / 4)
  }

  /**
   * do_async_mmap_readahead(): of a cached page that a fault finds: if it is the marked one, its use shows that the
   * pages behind the window will be wanted next.
   */
  protected *doAsyncMmapReadahead(vma: PhysAddr, pgoff: number, folio: PhysAddr): Step<boolean> {
    if (!(yield* this.k.folios.testFlag(folio, PG_READAHEAD))) return false
    yield* this.k.folios.clearFlag(folio, PG_READAHEAD)
    const file = phys(peek32(vma + VMA.at.file))
    const pages = this.k.config.readAhead
    const start = yield* this.pageCacheNextMiss(file, pgoff + 1, pages)
    if (start - pgoff <= pages) yield* this.doPageCacheRa(file, start, getNextRaSize(start - pgoff + 1, pages), start)
    return true
  }

  /**
   * do_page_cache_ra(): reads what is not cached yet of `count` pages from `first`, as far as file and memory reach,
   * and marks the one at `mark`. Shared memory has nothing to read them from.
   */
  protected *doPageCacheRa(file: PhysAddr, first: number, count: number, mark: number): Step<void> {
    const { files, folios } = this.k
    if (peek32(file + FILE.at.zeroed) !== 0) return
    const end = Math.min(first + count, peek32(file + FILE.at.pages))
    for (let index = first; index < end; index++) {
      const page = yield* files.pageOrRead(file, index, index === mark ? PG_READAHEAD : 0)
      if (page === 0) return
      yield* folios.folioPut(page, 1)
    }
  }

  /** page_cache_next_miss(): the first page from `first` that is not cached; behind `most` pages when there is none. */
  protected *pageCacheNextMiss(file: PhysAddr, first: number, most: number): Step<number> {
    for (let index = first; index < first + most; index++) {
      const page = yield* this.k.files.filemapGetFolio(file, index)
      if (page === 0) return index
      yield* this.k.folios.folioPut(page, 1)
    }
    return first + most
  }
}

/** get_next_ra_size(): twice the last window, four times a small one. */
function getNextRaSize(size: number, most: number): number {
  if (size < most / 16) return 4 * size
  return size <= most / 2 ? 2 * size : most
}
