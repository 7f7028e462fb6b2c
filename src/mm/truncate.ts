/**
 * Truncation and hole punching: pages of a file go from all mappings and from the cache, while faults want them.
 *
 * Source: mm/truncate.c truncate_pagecache(), truncate_pagecache_range(), truncate_inode_pages_range(),
 * truncate_inode_folio(), truncate_cleanup_folio(); mm/shmem.c shmem_setattr(), shmem_fallocate(); fs/open.c
 * do_truncate(), vfs_fallocate() (v6.12).
 *
 * Left out: parts of pages, writeback, the wait of shmem's faults for a hole that is being punched (they retry), and
 * what the file system has on disk but for one thing: a page that was cut off or punched reads as zeroes.
 *
 * Against faults: the size is written first, and who adds a page to the cache looks at it (Files.pageOrFresh()). A page
 * goes under its folio lock, under which a fault maps it, if it is still cached then. Of ordinary files the invalidate
 * lock keeps faults from reading pages in meanwhile; shared memory has nothing to read.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { downWrite, upWrite } from '../sync/rwsem.js'
import { EFBIG, FILE } from './mmStruct.js'
import { Part } from './part.js'

export class Truncate extends Part {
  /** do_truncate(): the file has `pages` pages afterwards, -EFBIG beyond what it had at first. No locks held. */
  *doTruncate(file: PhysAddr, pages: number): Step<number> {
    if (pages > peek32(file + FILE.at.pages)) return -EFBIG
    yield* this.begin(file)
    const before = yield* this.k.files.iSizeWrite(file, pages)
    if (pages < before) yield* this.truncatePagecache(file, pages, before - pages)
    yield* this.end(file)
    return 0
  }

  /** vfs_fallocate() with FALLOC_FL_PUNCH_HOLE: private copies of pages stay. No locks held. */
  *vfsFallocate(file: PhysAddr, first: number, count: number): Step<number> {
    yield* this.begin(file)
    const last = Math.min(first + count, peek32(file + FILE.at.pages))
    yield* this.k.zap.unmapMappingPages(file, first, count, false)
    yield* this.truncateInodePagesRange(file, first, last)
    yield* this.end(file)
    return 0
  }

  /** Here only. Takes i_rwsem, and the invalidate lock, which shared memory does without. */
  protected *begin(file: PhysAddr): Step<void> {
    yield* downWrite(this.cpu, this.k.rcu, phys(file + FILE.at.inodeRwsem))
    if (!this.k.files.isShmem(file)) yield* downWrite(this.cpu, this.k.rcu, phys(file + FILE.at.invalidateLock))
  }

  protected *end(file: PhysAddr): Step<void> {
    if (!this.k.files.isShmem(file)) yield* upWrite(this.cpu, phys(file + FILE.at.invalidateLock))
    yield* upWrite(this.cpu, phys(file + FILE.at.inodeRwsem))
  }

  /**
   * truncate_pagecache(). Mappings go twice: first for speed, then, with no page left in the cache, the private copies
   * that faults have made meanwhile.
   */
  protected *truncatePagecache(file: PhysAddr, first: number, count: number): Step<void> {
    yield* this.k.zap.unmapMappingPages(file, first, count, true)
    yield* this.truncateInodePagesRange(file, first, first + count)
    yield* this.k.zap.unmapMappingPages(file, first, count, true)
  }

  /** truncate_inode_pages_range(): pages `first` … `end` - 1. */
  protected *truncateInodePagesRange(file: PhysAddr, first: number, end: number): Step<void> {
    for (let index = first; index < end; index++) {
      yield* this.k.files.makeHole(file, index)
      const folio = yield* this.k.files.findLockEntry(file, index)
      if (folio !== 0) {
        yield* this.truncateInodeFolio(file, index, folio)
        yield* this.k.folios.folioPut(folio, 1)
      } // Reclaim has taken it, and whoever reads it in again finds the hole.
      else this.k.observer.fileContentsGone(this.cpu, file, index, index + 1)
    }
  }

  /** truncate_inode_folio(), with the lock of the folio. Caller: a reference. */
  protected *truncateInodeFolio(file: PhysAddr, index: number, folio: PhysAddr): Step<void> {
    const { files, folios, zap } = this.k
    yield* this.lockFolio(file, folio)
    // truncate_cleanup_folio(): a fault may have mapped it since.
    if ((yield* folios.folioMapcount(folio)) > 0) yield* zap.unmapMappingPages(file, index, 1, false)
    const gone = yield* files.filemapRemoveFolio(file, index, folio)
    yield* folios.folioUnlock(folio)
    yield* upWrite(this.cpu, phys(file + FILE.at.hugeLock))
    if (gone) yield* folios.folioPut(folio, 1)
  }

  /** The lock of the folio, and before it that of the huge range that it may become part of, which faults take. */
  protected *lockFolio(file: PhysAddr, folio: PhysAddr): Step<void> {
    const { folios } = this.k
    const huge = phys(file + FILE.at.hugeLock)
    for (;;) {
      yield* downWrite(this.cpu, this.k.rcu, huge)
      if (yield* folios.folioTrylock(folio)) return
      // Its holder may want the other lock: wait for it without.
      yield* upWrite(this.cpu, huge)
      yield* folios.folioLock(folio)
      yield* folios.folioUnlock(folio)
    }
  }
}
