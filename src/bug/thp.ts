/** Bugs of transparent huge pages: split, collapse, NUMA hints and migration of a huge PMD. */
import { pmdDirty, pmdPfn, ptePfn } from '../arch/entry.js'
import type { PhysAddr, PteWord, VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { Level } from '../arch/level.js'
import { GupFast } from '../mm/gupFast.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { Khugepaged } from '../mm/khugepaged.js'
import { TTU_SYNC } from '../mm/migrationEntries.js'
import { PG_ANON_EXCLUSIVE, PG_DIRTY } from '../mm/page.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { shapeOfPmd, SplitHugePmd } from '../mm/splitHugePmd.js'
import { Zap } from '../mm/zap.js'
import { defineBug, defineMutant } from './bug.js'

/**
 * BUG-01. "thp: call pmdp_invalidate() with correct virtual address" (2016, hash not confirmed).
 *
 * The split of v4.5-rc filled the table while the huge entry was still live, and invalidated afterwards, with the
 * variable that the fill loop had advanced to the end of the range. On s390 that hit a word in front of the PMD table.
 * On x86-64 the entry itself is right, and the flush goes to the next huge range: TLBs keep the huge translation while
 * the table appears, and whoever takes a page out of a frozen split (migration entries need no flush) leaves it there
 * for good.
 *
 * As in v4.5-rc there is no exclusive flag to be cleared before freezing: pins are found by the freeze of the count.
 */
class FillsThenInvalidates extends SplitHugePmd {
  protected override *splitPresentPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, freeze: boolean): Step<void> {
    const { folios, geo } = this.k
    const mm = this.k.mmOf(vma)
    const old = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    const folio = this.folioOfPmd(old)
    if (pmdDirty(old)) yield* folios.setFlag(folio, PG_DIRTY)
    const exclusive = yield* folios.testFlag(folio, PG_ANON_EXCLUSIVE)
    if (!freeze) yield* this.addPteMappings(vma, haddr, folio, exclusive)
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(mm, pmdp)
    const shape = shapeOfPmd(old, vma, freeze, exclusive)
    const end = yield* this.fillTable(mm, table, haddr, pmdPfn(old, geo.hpagePmdNr), shape)
    yield* this.makeUnusable(vma, end, pmdp)
    yield* this.publishTable(vma, pmdp, haddr, table)
    yield* this.dropPmdMapping(folio, freeze)
  }
}

export const pmdpInvalAddr = defineBug({
  id: 'pmdp-inval-addr',
  number: 'BUG-01',
  also: ['K11'],
  year: 2016,
  upstream: { introduced: 'eef1b3ba053a', fixed: '2ac015e293bb' },
  summary: 'a PMD split invalidates with the address that its fill loop ended at: the flush misses the huge range',
  symptom: 'huge and small translations of one address at once; stale TLB entries of pages that were dropped and freed',
  scenarios: ['fault-vs-split', 'gup-vs-split', 'split-vs-dontneed'],
  parts: { SplitHugePmd: FillsThenInvalidates },
})

/**
 * BUG-03. 2ba99c5e0881 "mm/khugepaged: fix GUP-fast interaction by sending IPI".
 *
 * Collapse relied on its TLB flush to wait for walkers with IRQs off. A flush by broadcast waits for nobody: the
 * detached table is deposited, and may be freed and reused, while a gup_fast still reads it.
 */
/** Without tlb_remove_table_sync_one(). */
class TrustsTlbFlush extends Khugepaged {
  protected override *excludeGupFast(): Step<void> {}
}

export const gupCollapseUaf = defineBug({
  id: 'gup-collapse-uaf',
  number: 'BUG-03',
  also: ['K16'],
  year: 2022,
  upstream: { introduced: 'ba76149f47d8', fixed: '2ba99c5e0881' },
  summary: 'collapse does not wait for gup_fast walkers of the table that it detached, before it deposits the table',
  symptom: 'gup_fast reads a page table that was deposited, freed or reused',
  scenarios: ['gup-vs-collapse'],
  parts: { Khugepaged: TrustsTlbFlush },
  config: { flushStyle: 'broadcast' },
})

/**
 * BUG-02. 70cbc3cc78a9 "mm: gup: fix the fast GUP race against THP collapse".
 *
 * After its reference gup_fast looked at the PTE again, but not at the PMD. Collapse changes only the PMD, and the PTEs
 * of the detached table stay as they were until the copy is done. Where a TLB flush interrupts nobody, nothing else
 * tells the walker; the explicit IPI came with the fix of BUG-03.
 */
class RechecksPteOnly extends GupFast {
  protected override *pteUnchanged(_pmd: PteWord, _pmdp: PhysAddr, pte: PteWord, ptep: PhysAddr): Step<boolean> {
    const now = yield* this.cpu.readOnce64(ptep)
    this.k.observer.tableRead(this.cpu, Level.pte, ptep)
    return now === pte
  }
}

export const gupCollapsePmd = defineBug({
  id: 'gup-collapse-pmd',
  number: 'BUG-02',
  also: ['K15'],
  year: 2022,
  upstream: { introduced: '2667f50e8b81', fixed: '70cbc3cc78a9' },
  summary: 'gup_fast looks again at the PTE but not at the PMD, which is all that a collapse changes',
  symptom: 'gup returns a page that was copied into a huge page and is no longer mapped: writes through it are lost',
  scenarios: ['gup-vs-collapse'],
  parts: { GupFast: RechecksPteOnly, Khugepaged: TrustsTlbFlush },
  config: { flushStyle: 'broadcast' },
})

/**
 * BUG-26. ced108037c2a "thp: fix MADV_DONTNEED vs. numa balancing race".
 *
 * To change a huge entry without losing accessed and dirty bits it was taken out, and put back changed. The NUMA
 * scanner does that under mmap_lock for read, as does MADV_DONTNEED, which peeks, finds none, and believes that nothing
 * is there.
 */
class ChangesThroughNone extends HugeMemory {
  protected override *takeForChange(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpHugeGetAndClear(this.k.mmOf(vma), addr, pmdp)
  }
}

export const dontneedNuma = defineBug({
  id: 'dontneed-numa',
  number: 'BUG-26',
  year: 2017,
  upstream: { fixed: 'ced108037c2a' },
  summary: 'arming a NUMA hint lets a live huge entry pass through none, under mmap_lock for read',
  symptom: 'MADV_DONTNEED skips the range, and old data survives it',
  scenarios: ['numa-vs-dontneed'],
  parts: { HugeMemory: ChangesThroughNone },
})

/**
 * BUG-35. 3a5a8d343e1c "mm: fix race between __split_huge_pmd_locked() and GUP-fast".
 *
 * The split invalidated the PMD before it looked what kind of entry it was. Of a migration entry that makes a word
 * which walkers take for something else: on arm64 it looks present, on x86-64 the offset is inverted.
 */
class InvalidatesMigrationEntry extends SplitHugePmd {
  protected override *splitMigrationPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, pmd: PteWord): Step<void> {
    yield* this.makeUnusable(vma, haddr, pmdp)
    yield* super.splitMigrationPmd(vma, pmdp, haddr, pmd)
  }
}

export const splitMigentryInval = defineBug({
  id: 'split-migentry-inval',
  number: 'BUG-35',
  also: ['K22'],
  year: 2024,
  upstream: { introduced: '84c3fc4e9c56', fixed: '3a5a8d343e1c' },
  summary: 'a split invalidates a migration entry, which was never valid and whose bits mean something else',
  symptom: 'an entry that names a frame which was never there',
  scenarios: ['split-vs-migrate'],
  parts: { SplitHugePmd: InvalidatesMigrationEntry },
})

/**
 * BUG-49. 732ed55823fc "mm/thp: try_to_unmap() use TTU_SYNC for safe splitting".
 *
 * The unmapping walk before a folio split passed over entries that looked empty, without the lock. A zap that has
 * cleared the entry, and has not yet dropped the mapcount, was not waited for, and the folio was still mapped
 * afterwards.
 *
 * The assertion was upstream's then. Pins that keep a mapping in place came later, and are not its business.
 */
class UnmapsWithoutSync extends SplitFolio {
  protected override unmapFlags(): number {
    return super.unmapFlags() & ~TTU_SYNC
  }

  protected override *unmapFolio(folio: PhysAddr): Step<void> {
    yield* super.unmapFolio(folio)
    const mapcount = yield* this.k.folios.folioMapcount(folio)
    if (mapcount === 0 || (yield* this.k.folios.folioMaybeDmaPinned(folio))) return
    this.cpu.report('kernel-bug', 'kernel BUG at mm/huge_memory.c: !unmap_success in unmap_page()', folio, [
      `mapcount ${mapcount} after try_to_unmap()`,
    ])
  }
}

export const splitZapSync = defineBug({
  id: 'split-zap-sync',
  number: 'BUG-49',
  year: 2021,
  upstream: { introduced: 'fec89c109f3a', fixed: '732ed55823fc' },
  summary: 'unmapping for a split does not wait for a zap that has cleared an entry but not yet dropped its mapcount',
  symptom: 'BUG_ON: the folio is still mapped after it was unmapped',
  scenarios: ['split-vs-zap'],
  parts: { SplitFolio: UnmapsWithoutSync },
})

/**
 * BUG-65. A split that clears the PMD before it populates it; found while the split was rewritten for v4.5, discussed
 * on linux-mm in June 2016. The hash of the fix is not known to us.
 *
 * exit_mmap() and MADV_DONTNEED peek at the entry without its lock, find none, and believe that nothing is there.
 */
class SplitsThroughNone extends SplitHugePmd {
  protected override *makeUnusable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpCollapseFlush(vma, haddr, pmdp)
  }
}

export const splitNoneExit = defineBug({
  id: 'split-none-exit',
  number: 'BUG-65',
  year: 2016,
  upstream: { fixed: 'unknown' },
  summary: 'a PMD split lets the entry of a live huge page pass through none',
  symptom: 'MADV_DONTNEED and exit skip the range: old data survives, pages leak',
  scenarios: ['split-vs-dontneed'],
  parts: { SplitHugePmd: SplitsThroughNone },
})

/** A migration entry names the frame in a form of its own; taken for a page, it leads to a struct page that is none. */
class ZapsMigrationEntriesAsPages extends Zap {
  protected override *zapNonPresent(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<void> {
    const old = yield* this.k.ops.ptepGetAndClearFull(mm, addr, ptep, this.k.gather.fullmm)
    yield* this.k.rmap.folioRemoveRmapPte(this.k.memmap.page(ptePfn(old)))
  }
}

export const zapMigrationEntry = defineMutant({
  id: 'zap-migration-entry',
  summary: 'a zap takes a migration entry for the mapping of a page',
  symptom: 'the page of a frame that does not exist loses a mapping: a page fault of the kernel',
  scenarios: ['split-vs-zap'],
  parts: { Zap: ZapsMigrationEntriesAsPages },
})
