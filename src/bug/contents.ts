/** Faults that lose what a process has stored, or show it to another one: copy-on-write and dirty bits. */
import {
  pfnPmd,
  pmdDirty,
  pmdMkhuge,
  pmdMkwrite,
  pteMkclean,
  pteModify,
  pteNone,
  ptePfn,
  ptePresent,
  pteSpecial,
  pteWrite,
  pteYoung,
} from '../arch/entry.js'
import { phys, type Pfn, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { FaultHandler } from '../mm/fault.js'
import { HugeFault } from '../mm/hugeFault.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { MigrationEntries } from '../mm/migrationEntries.js'
import { Mprotect } from '../mm/mprotect.js'
import { PAGE, PG_ANON_EXCLUSIVE } from '../mm/page.js'
import type { PageVmaMappedWalk } from '../mm/pageVmaMapped.js'
import { migrationEntry, pageProt, SplitHugePmd, type PteShape } from '../mm/splitHugePmd.js'
import { Zap } from '../mm/zap.js'
import { defineBug, defineMutant } from './bug.js'

/** The count is not looked at: the page is another process's, too. */
class ReusesShared extends FaultHandler {
  protected override *anonReusable(page: PhysAddr): Step<boolean> {
    yield* this.k.folios.setFlag(page, PG_ANON_EXCLUSIVE)
    return true
  }
}

export const cowReuseShared = defineMutant({
  id: 'cow-reuse-shared',
  summary: 'a write fault reuses a page that another process maps, too, and calls it exclusive',
  symptom: 'what one process stores is what the other one reads',
  scenarios: ['fork-vs-store'],
  parts: { FaultHandler: ReusesShared },
})

/** A page of the page cache is no anonymous one, and is never a private mapping's own. */
class ReusesFilePage extends FaultHandler {
  protected override *doWpPage(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    ptep: PhysAddr,
    pte: PteWord,
    flags: number,
  ): Step<number> {
    const isFile = !pteSpecial(pte) && !this.k.folios.isAnonPage(this.k.memmap.page(ptePfn(pte)))
    if (isFile) return yield* this.wpPageReuse(vma, addr, ptep, pte)
    return yield* super.doWpPage(mm, vma, addr, pmdp, ptep, pte, flags)
  }
}

export const cowFilePage = defineMutant({
  id: 'cow-file-page',
  summary: 'a write fault of a private mapping reuses the page of the page cache',
  symptom: 'what the process stores is in the file, for all to see',
  scenarios: ['store-vs-reclaim'],
  parts: { FaultHandler: ReusesFilePage },
})

// ---- dirty bits -----------------------------------------------------------------------------------------------------

class ZapsDirtyAsClean extends Zap {
  protected override *zapPte(mm: PhysAddr, addr: VirtAddr, ptep: PhysAddr, evenCows: boolean): Step<void> {
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    if (pteNone(pte) || !ptePresent(pte) || pteSpecial(pte) || (!evenCows && this.isCow(pte)))
      return yield* super.zapPte(mm, addr, ptep, evenCows)
    const old = yield* this.k.ops.ptepGetAndClearFull(mm, addr, ptep, this.k.gather.fullmm)
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
    const page = this.k.memmap.page(ptePfn(old))
    yield* this.k.rmap.folioRemoveRmapPte(page)
    this.countRss(mm, page, -1)
    yield* this.releasePage(page)
  }
}

export const dirtyLostZap = defineMutant({
  id: 'dirty-lost-zap',
  summary: 'munmap does not hand the dirty bit of an entry on to the folio',
  symptom: 'reclaim drops the page, and what was stored in the file is gone',
  scenarios: ['store-vs-reclaim'],
  parts: { Zap: ZapsDirtyAsClean },
})

class ProtectsAsClean extends Mprotect {
  protected override *changePte(
    vma: PhysAddr,
    addr: VirtAddr,
    ptep: PhysAddr,
    change: Parameters<Mprotect['changeProtection']>[3],
  ): Step<void> {
    const old = yield* this.k.ops.ptepModifyProtStart(vma, addr, ptep)
    yield* this.k.ops.ptepModifyProtCommit(vma, addr, ptep, old, pteMkclean(pteModify(old, change.prot)))
    this.k.gather.tlbFlushPteRange(addr, this.k.geo.pageSize)
  }
}

export const dirtyLostMprotect = defineMutant({
  id: 'dirty-lost-mprotect',
  summary: 'mprotect makes entries anew and does not keep their dirty bits',
  symptom: 'a page that was written looks clean, and reclaim drops it',
  scenarios: ['store-vs-reclaim'],
  parts: { Mprotect: ProtectsAsClean },
})

class MigratesAsClean extends MigrationEntries {
  protected override *setPteMigrationEntry({ vma, address, ptep, folio, index }: PageVmaMappedWalk): Step<boolean> {
    const { folios, ops, rmap } = this.k
    const page = phys(folio + index * PAGE.size)
    const old = yield* ops.ptepClearFlush(vma, address, ptep)
    const exclusive = yield* folios.testFlag(page, PG_ANON_EXCLUSIVE)
    if (exclusive && !(yield* rmap.folioTryShareAnonRmapPte(page))) {
      yield* ops.setPteAt(this.k.mmOf(vma), address, ptep, old)
      return false
    }
    const from = { write: pteWrite(old), young: pteYoung(old), dirty: false, exclusive }
    yield* ops.setPteAt(this.k.mmOf(vma), address, ptep, migrationEntry(this.k.memmap.pfnOf(page), from))
    yield* rmap.folioRemoveRmapPte(page)
    yield* folios.folioPut(folio, 1)
    return true
  }
}

export const dirtyLostMigration = defineMutant({
  id: 'dirty-lost-migration',
  summary: 'a page that was written is clean when it arrives at its new frame',
  symptom: 'memory that was freed lazily and written again is dropped',
  scenarios: ['compaction-vs-gup'],
  parts: { MigrationEntries: MigratesAsClean },
})

class SplitsAsClean extends SplitHugePmd {
  protected override *makeUnusable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    const old = yield* super.makeUnusable(vma, haddr, pmdp)
    return pmdDirty(old) ? ((old & ~DIRTY_BITS) as PteWord) : old
  }

  protected override *fillTable(
    mm: PhysAddr,
    table: Table,
    haddr: VirtAddr,
    pfn: Pfn,
    shape: PteShape,
  ): Step<VirtAddr> {
    return yield* super.fillTable(mm, table, haddr, pfn, { ...shape, dirty: false })
  }
}

/** x86-64: the hardware's bit, and the one of an entry that is not writable. */
const DIRTY_BITS = (1n << 6n) | (1n << 58n)

export const dirtyLostSplit = defineMutant({
  id: 'dirty-lost-split',
  summary: 'the split of a huge PMD hands its dirty bit on neither to the PTEs nor to the folio',
  symptom: 'memory that was freed lazily and written again is dropped',
  scenarios: ['split-vs-migrate'],
  parts: { SplitHugePmd: SplitsAsClean },
})

class CollapsesAsClean extends HugeFault {
  override *mapAnonFolioPmd(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, pfn: Pfn, table: Table): Step<void> {
    const entry = pmdMkwrite(pmdMkhuge(pfnPmd(pfn, pageProt(vma), this.k.geo.hpagePmdNr)))
    yield* this.k.rmap.folioAddNewAnonRmap(this.k.memmap.page(pfn), vma, haddr)
    yield* this.k.pgalloc.pgtableTransHugeDeposit(this.k.mmOf(vma), pmdp, table)
    yield* this.k.ops.setPmdAt(this.k.mmOf(vma), haddr, pmdp, entry)
  }
}

export const dirtyLostCollapse = defineMutant({
  id: 'dirty-lost-collapse',
  summary: 'a collapse maps its huge page clean',
  symptom: 'what was stored in the small pages is dropped with the huge one',
  scenarios: ['collapse-vs-munmap'],
  parts: { HugeFault: CollapsesAsClean },
})

/**
 * f7491d7c81db "x86/mm: Fix user-space data loss with MADV_FREE and THP".
 *
 * From v6.6 to 7.3-rc3 pmd_modify() masked the hardware's dirty bit out before it could be saved, which pte_modify()
 * and pud_modify() did not. mprotect and NUMA hints of a huge page made it look clean. The overrides take the bit out
 * of the entry that is handed to pmd_modify(), which comes to the same.
 */
class ModifiesAsClean extends HugeMemory {
  protected override *takeForChange(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return ((yield* super.takeForChange(vma, addr, pmdp)) & ~HARDWARE_DIRTY) as PteWord
  }
}

const HARDWARE_DIRTY = 1n << 6n

export const pmdModifyDirty = defineBug({
  id: 'pmd-modify-dirty',
  number: 'other',
  year: 2026,
  upstream: { introduced: 'bb3aadf7d446', fixed: 'f7491d7c81db' },
  summary: 'on x86-64, mprotect or a NUMA hint of a huge page loses the dirty bit that the hardware has set',
  symptom: 'a huge page that was freed lazily and written again looks clean, and reclaim drops what was written',
  scenarios: ['numa-vs-dontneed'],
  parts: { HugeMemory: ModifiesAsClean },
})
