/**
 * Faults where nothing is mapped yet, in mappings of files and shared memory. A part of FaultHandler.
 *
 * Source: mm/memory.c do_fault(), do_read_fault(), do_cow_fault(), do_shared_fault(), finish_fault(),
 * do_fault_around(), mm/filemap.c filemap_map_pages() (v6.12). Left out: large folios, write notification of shared
 * files.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pfnPte, pteMkdirty, pteMkwrite, pteMkyoung, pteNone } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { downRead, downReadTrylock, upRead } from '../sync/rwsem.js'
import { FAULT_FLAG_WRITE, VM_FAULT_OOM, VM_FAULT_SIGBUS } from './faultFlags.js'
import { ENOMEM, FILE, MM, VM_SHARED, VMA } from './mmStruct.js'
import { NO_PAGE, PAGE } from './page.js'
import { WpFault } from './wpFault.js'

/** fault_around_bytes: upstream's default, which debugfs can change. */
const FAULT_AROUND_BYTES = 65536

export abstract class FileFault extends WpFault {
  /** do_fault(). */
  protected *doFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    if ((flags & FAULT_FLAG_WRITE) === 0) return yield* this.doReadFault(mm, vma, addr, pmdp)
    if (yield* this.readsAhead(vma, addr)) return 0
    const page = yield* this.__doFault(vma, addr)
    if (page === 0) return VM_FAULT_SIGBUS
    return (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0
      ? yield* this.doSharedFault(mm, vma, addr, pmdp, page)
      : yield* this.doCowFault(mm, vma, addr, pmdp, page)
  }

  /** Part of __do_fault(): true: VM_FAULT_RETRY, as more pages were read than the one. */
  protected *readsAhead(vma: PhysAddr, addr: VirtAddr): Step<boolean> {
    return yield* this.k.readahead.faultReadsAhead(vma, this.k.rmap.linearPageIndex(vma, addr))
  }

  /** __do_fault(): the page, with a reference; 0: SIGBUS. */
  protected *__doFault(vma: PhysAddr, addr: VirtAddr): Step<PhysAddr> {
    return yield* this.k.files.filemapFault(vma, this.k.rmap.linearPageIndex(vma, addr))
  }

  /** do_read_fault(): maps what the cache has around the address, or reads the one page. */
  protected *doReadFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    if (this.faultAroundPages > 1 && (yield* this.doFaultAround(mm, vma, addr, pmdp))) return 0
    if (yield* this.readsAhead(vma, addr)) return 0
    const page = yield* this.__doFault(vma, addr)
    if (page === 0) return VM_FAULT_SIGBUS
    yield* this.finishFault(mm, vma, addr, pmdp, page, false)
    return 0
  }

  /** do_shared_fault(): maps the page of the cache, writable. */
  protected *doSharedFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    yield* this.finishFault(mm, vma, addr, pmdp, page, true)
    return 0
  }

  /**
   * finish_fault(): maps `page` of the vma's file, whose reference becomes the mapping's or is dropped because the
   * entry is taken, the table gone, or the page no longer the file's.
   */
  *finishFault(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    page: PhysAddr,
    write: boolean,
  ): Step<'mapped' | 'taken' | 'gone'> {
    // The folio lock, which filemap_fault() takes and finish_fault() still holds: against the range becoming huge.
    const folio = phys(peek32(vma + VMA.at.file) + FILE.at.hugeLock)
    yield* downRead(this.cpu, this.k.rcu, folio)
    if (!(yield* this.isStillCached(vma, addr, page))) {
      yield* upRead(this.cpu, folio)
      yield* this.k.folios.folioPut(page, 1)
      return 'taken'
    }
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) {
      let entry = pteMkyoung(pfnPte(this.k.memmap.pfnOf(page), this.pageProt(vma)))
      if (write) entry = pteMkwrite(pteMkdirty(entry))
      yield* this.k.rmap.folioAddFileRmapPte(page)
      this.k.tables.addCounter(phys(mm + MM.at.rssFile), 1)
      yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
    }
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    yield* upRead(this.cpu, folio)
    if (!free) yield* this.k.folios.folioPut(page, 1)
    return free ? 'mapped' : ptep === 0 ? 'gone' : 'taken'
  }

  /** Part of filemap_fault(): truncation may have cut the page off before the fault had its lock. */
  protected *isStillCached(vma: PhysAddr, addr: VirtAddr, page: PhysAddr): Step<boolean> {
    const file = phys(peek32(vma + VMA.at.file))
    return yield* this.k.files.isCached(file, this.k.rmap.linearPageIndex(vma, addr), page)
  }

  // ---- fault-around -------------------------------------------------------------------------------------------------

  /** fault_around_pages. */
  protected get faultAroundPages(): number {
    return Math.floor(FAULT_AROUND_BYTES / this.k.geo.pageSize)
  }

  /**
   * do_fault_around(): maps cached pages in the aligned range around `addr`, within the VMA and the table. True when
   * the page at `addr` is among them.
   */
  protected *doFaultAround(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<boolean> {
    const { geo } = this.k
    const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
    const [pages, index] = [this.faultAroundPages, geo.pteIndex(addr)]
    const from = Math.max(index - (index % pages), index - geo.pagesIn(addr - start))
    const to = Math.min(from + pages, geo.ptrsPerPte, index + geo.pagesIn(end - addr)) - 1
    // The folio lock of a range that is becoming huge; waiting for it is not worth it here.
    const folio = phys(peek32(vma + VMA.at.file) + FILE.at.hugeLock)
    if (!(yield* downReadTrylock(this.cpu, folio))) return false
    this.k.rcu.rcuReadLock()
    const mapped = yield* this.filemapMapPages(mm, vma, addr, pmdp, from - index, to - index)
    this.k.rcu.rcuReadUnlock()
    yield* upRead(this.cpu, folio)
    return mapped
  }

  /**
   * filemap_map_pages(): pages `from` … `to`, counted from the one at `addr`. One that is locked, or not there, is left
   * to its own fault.
   */
  protected *filemapMapPages(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    from: number,
    to: number,
  ): Step<boolean> {
    const { files, folios, tables } = this.k
    const file = phys(peek32(vma + VMA.at.file))
    const index = this.k.rmap.linearPageIndex(vma, addr)
    let folio = yield* files.nextUptodateFolio(file, index + from, index + to)
    if (folio === 0) return false
    const start = (addr + from * this.k.geo.pageSize) as VirtAddr
    const first = yield* tables.pteOffsetMapLock(mm, pmdp, start)
    let [mapped, rss] = [false, 0]
    while (folio !== 0) {
      const at = peekF64(folio + PAGE.at.index) - index
      const ptep = phys(first + 8 * (at - from))
      if (first !== 0 && (yield* this.filemapMapOrder0Folio(mm, vma, addr, at, ptep, folio))) {
        rss++
        if (at === 0) mapped = true
      }
      yield* folios.folioUnlock(folio)
      yield* folios.folioPut(folio, 1)
      folio = first === 0 ? phys(0) : yield* files.nextUptodateFolio(file, index + at + 1, index + to)
    }
    if (rss > 0) tables.addCounter(phys(mm + MM.at.rssFile), rss)
    if (first !== 0) yield* tables.pteUnmapUnlock(first)
    return mapped
  }

  /** filemap_map_order0_folio(): false when something is mapped there. */
  protected *filemapMapOrder0Folio(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    at: number,
    ptep: PhysAddr,
    folio: PhysAddr,
  ): Step<boolean> {
    if (!pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)) return false
    // Reference before mapcount before entry (R1). The caller's own reference is dropped after this.
    yield* this.k.folios.folioGet(folio, 1)
    yield* this.k.rmap.folioAddFileRmapPte(folio)
    const entry = pteMkyoung(pfnPte(this.k.memmap.pfnOf(folio), this.pageProt(vma)))
    yield* this.k.ops.setPteAt(mm, (addr + at * this.k.geo.pageSize) as VirtAddr, ptep, entry)
    return true
  }

  // ---- copy on the first write --------------------------------------------------------------------------------------

  /**
   * do_cow_fault(): `page` comes with a reference, which is dropped. Copied and mapped under the folio lock, so that
   * truncation finds the copy in its second pass.
   */
  protected *doCowFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    const prepared = yield* this.k.anonVmas.anonVmaPrepare(vma)
    const folio = phys(peek32(vma + VMA.at.file) + FILE.at.hugeLock)
    yield* downRead(this.cpu, this.k.rcu, folio)
    const cached = yield* this.isStillCached(vma, addr, page)
    const result = cached && prepared === 0 ? yield* this.copyAndMap(mm, vma, addr, pmdp, page) : prepared
    yield* upRead(this.cpu, folio)
    yield* this.k.folios.folioPut(page, 1)
    return result === 0 ? 0 : VM_FAULT_OOM
  }

  /** Part of do_cow_fault(): 0, or an error when there is no memory. */
  protected *copyAndMap(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, page: PhysAddr): Step<number> {
    const copy = yield* this.allocCopy(this.k.memmap.pfnOf(page))
    if (copy === NO_PAGE) return -ENOMEM
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) yield* this.mapNewAnon(mm, vma, addr, ptep, this.k.memmap.page(copy), true)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (!free) yield* this.k.folios.folioPut(this.k.memmap.page(copy), 1)
    return 0
  }
}
