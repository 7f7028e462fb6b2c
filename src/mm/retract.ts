/**
 * A PTE table of a file mapping is taken away, for faults to build anew: what khugepaged does to the mappings of a file
 * range that it has made huge.
 *
 * Source: mm/khugepaged.c collapse_pte_mapped_thp() and retract_page_tables() (v6.12; without mmap_lock for write since
 * 1043173eb5eb and 1d65b771bc08). The pages of the file stay small here, as they would after the huge page was split
 * again: nobody who walks the tables can tell. The folio lock of the huge page, which keeps faults from refilling what
 * was unmapped until the tables are gone, is a lock of the file here.
 *
 * Locks: mmap_lock for read, or only that of the file's list of VMAs, so faults, gup and MADV_DONTNEED are in the
 * tables meanwhile; the PMD lock, then the PTE lock. Walkers with IRQs off and RCU readers may be in the table longer:
 * pte_free_defer().
 */
import { phys, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import { entryTable, pmdLeaf, pmdPresent, pteDirty, pteNone, ptePfn, ptePresent, pteSpecial } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { downRead, downWrite, upRead, upWrite } from '../sync/rwsem.js'
import { Part } from './part.js'
import { EINVAL, FILE, MM, VM_SHARED, VMA } from './mmStruct.js'
import { PG_DIRTY } from './page.js'

export class Retract extends Part {
  /** The table that translates the huge range around `addr` of `mm`: 0, or -EINVAL when there is none to take. */
  *retractTable(mm: PhysAddr, addr: VirtAddr): Step<number> {
    const haddr = this.k.geo.pmdAlignDown(addr)
    yield* this.lockMm(mm)
    const vma = this.k.vmas.vmaLookup(mm, haddr)
    const taken = vma !== 0 && this.isCandidate(vma, haddr) && (yield* this.retractLocked(mm, vma, haddr))
    yield* this.unlockMm(mm)
    return taken ? 0 : -EINVAL
  }

  /** Under the folio lock: reclaim does not free a page whose entry is cleared and not flushed. */
  protected *retractLocked(mm: PhysAddr, vma: PhysAddr, haddr: VirtAddr): Step<boolean> {
    const file = phys(peek32(vma + VMA.at.file))
    const folio = phys(file + FILE.at.hugeLock)
    yield* downWrite(this.cpu, this.k.rcu, folio)
    yield* this.excludeRmapWalks(file)
    const pmdp = yield* this.k.upper.mmFindPmd(mm, haddr)
    const taken = pmdp !== 0 && (yield* this.takeTable(mm, vma, haddr, pmdp, true))
    yield* this.admitRmapWalks(file)
    yield* upWrite(this.cpu, folio)
    return taken
  }

  /** Walks of the reverse map may be in the table: they look at the PMD again when they have its lock. */
  protected *excludeRmapWalks(_file: PhysAddr): Step<void> {}

  protected *admitRmapWalks(_file: PhysAddr): Step<void> {}

  protected *lockMm(mm: PhysAddr): Step<void> {
    yield* this.k.mms.mmapReadLock(mm)
  }

  protected *unlockMm(mm: PhysAddr): Step<void> {
    yield* this.k.mms.mmapReadUnlock(mm)
  }

  /**
   * retract_page_tables(): the tables of all mappings of page `pgoff` of `file`, in any process, that begin a huge
   * range there; returns how many. No mmap_lock: the lock of the file's list keeps the VMAs, and with them their
   * tables, since a VMA leaves the list before its tables are freed. Faults, mremap and MADV_DONTNEED may be anywhere
   * in them.
   */
  *retractPageTables(file: PhysAddr, pgoff: number): Step<number> {
    const [folio, lock] = [phys(file + FILE.at.hugeLock), phys(file + FILE.at.rwsem)]
    yield* downWrite(this.cpu, this.k.rcu, folio)
    yield* downRead(this.cpu, this.k.rcu, lock)
    yield* this.eachTable(file, pgoff, false)
    const taken = yield* this.eachTable(file, pgoff, true)
    yield* upRead(this.cpu, lock)
    yield* upWrite(this.cpu, folio)
    return taken
  }

  /**
   * Clears the entries of every table (try_to_unmap() of the small pages), or takes the tables, which are empty then.
   */
  protected *eachTable(file: PhysAddr, pgoff: number, take: boolean): Step<number> {
    let found = 0
    for (let vma = phys(peek32(file + FILE.at.firstVma)); vma !== 0; vma = phys(peek32(vma + VMA.at.fileNext))) {
      const pages = pgoff - peekF64(vma + VMA.at.pgoff)
      const addr = (peekF64(vma + VMA.at.start) + pages * this.k.geo.pageSize) as VirtAddr
      if (pages < 0 || addr !== this.k.geo.pmdAlignDown(addr) || !this.isCandidate(vma, addr)) continue
      const mm = this.k.mmOf(vma)
      const pmdp = yield* this.k.upper.mmFindPmd(mm, addr)
      if (pmdp === 0) continue
      if (take ? yield* this.takeTable(mm, vma, addr, pmdp, false) : yield* this.unmap(mm, vma, addr, pmdp)) found++
    }
    return found
  }

  protected *unmap(mm: PhysAddr, vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<boolean> {
    const { geo, tables, tlbFlush } = this.k
    const first = yield* tables.pteOffsetMapLock(mm, pmdp, haddr)
    if (first === 0) return false
    yield* this.clearEntries(mm, haddr, first)
    // Before the lock goes: whoever moves the table next flushes the address to which it belongs then.
    yield* tlbFlush.flushTlbRange(vma, haddr, (haddr + geo.pmdSize) as VirtAddr)
    yield* tables.pteUnmapUnlock(first)
    return true
  }

  /** A shared mapping of a file that covers the whole range: nothing in the table is anonymous. */
  protected isCandidate(vma: PhysAddr, haddr: VirtAddr): boolean {
    const shared = peek32(vma + VMA.at.file) !== 0 && (load32(vma + VMA.at.flags) & VM_SHARED) !== 0
    const inside = peekF64(vma + VMA.at.start) <= haddr && haddr + this.k.geo.pmdSize <= peekF64(vma + VMA.at.end)
    return shared && inside
  }

  /** Unlinks the table and gives it back after a grace period; with `full` it has entries that are cleared first. */
  protected *takeTable(mm: PhysAddr, vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, full: boolean): Step<boolean> {
    const { ops, tables } = this.k
    yield* tables.pmdLock(pmdp)
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    const isTable = pmdPresent(pmd) && !pmdLeaf(pmd)
    if (isTable) {
      const first = tables.pteOffset(pmd, haddr)
      // Nested: the PTE lock keeps those out who found the table before it is unlinked, and look at the PMD again then.
      yield* this.lockEntries(first)
      if (full) yield* this.clearEntries(mm, haddr, first)
      yield* ops.pmdpCollapseFlush(vma, haddr, pmdp)
      yield* this.unlockEntries(first)
    }
    yield* tables.pmdUnlock(pmdp)
    if (!isTable) return false
    tables.mmDecNrPtes(mm)
    yield* this.freeTaken(mm, entryTable(pmd))
    return true
  }

  protected *freeTaken(mm: PhysAddr, table: Table): Step<void> {
    yield* this.k.pgalloc.pteFreeDefer(mm, table)
  }

  protected *lockEntries(first: PhysAddr): Step<void> {
    yield* this.k.tables.pteLock(first)
  }

  protected *unlockEntries(first: PhysAddr): Step<void> {
    yield* this.k.tables.pteUnlock(first)
  }

  /** The page cache keeps the pages, so their TLB entries may go later, with the table's. */
  protected *clearEntries(mm: PhysAddr, haddr: VirtAddr, first: PhysAddr): Step<void> {
    const { geo, memmap, ops, rmap, tables } = this.k
    for (let i = 0; i < geo.ptrsPerPte; i++) {
      const ptep = phys(first + i * 8)
      if (pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)) continue
      const old = yield* ops.ptepGetAndClear(mm, (haddr + i * geo.pageSize) as VirtAddr, ptep)
      if (!ptePresent(old) || pteSpecial(old)) continue
      const page = memmap.page(ptePfn(old))
      if (pteDirty(old)) yield* this.k.folios.setFlag(page, PG_DIRTY)
      yield* rmap.folioRemoveRmapPte(page)
      tables.addCounter(phys(mm + MM.at.rssFile), -1)
      yield* this.k.folios.folioPut(page, 1)
    }
  }
}
