/**
 * Splitting a huge PMD: the mapping becomes a table of PTEs, the folio stays whole.
 *
 * Source: mm/huge_memory.c __split_huge_pmd(), split_huge_pmd_locked(), __split_huge_zero_page_pmd() (v6.12, with the
 * migration-entry test of be6e843fc51a).
 *
 * Left out:
 * - file mappings: no file folio is large here, so no huge PMD maps one
 * - mmu notifiers: the model has no secondary MMU that could keep a translation
 * - soft-dirty and uffd bits: nothing in the model reads them
 * - device-mapped PMDs
 * None of these changes which states the entry passes through, which locks are held, or when TLBs are flushed.
 */
import { type Pfn, phys, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import {
  pfnPte,
  pmdDirty,
  pmdPfn,
  pmdTransHuge,
  pmdWrite,
  pmdYoung,
  pteMkdirty,
  pteMkold,
  pteMkspecial,
  pteMkwrite,
  pteNone,
  vmGetPageProt,
  isMigrationEntry,
  isMigrationEntryDirty,
  isMigrationEntryYoung,
  isReadableExclusiveMigrationEntry,
  isWritableMigrationEntry,
  makeMigrationEntryDirty,
  makeMigrationEntryYoung,
  makeReadableExclusiveMigrationEntry,
  makeReadableMigrationEntry,
  makeWritableMigrationEntry,
  swpOffsetPfn,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek64 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { lockdepAssertHeld } from '../sync/spinlock.js'
import { Part } from './part.js'
import { VMA } from './mmStruct.js'
import { PG_ANON_EXCLUSIVE, PG_DIRTY } from './page.js'

/** What the PTEs of a split mapping take over from the PMD. */
export interface PteShape {
  /** Migration entries instead of mappings: the folio is frozen, or was migrating already. */
  readonly migration: boolean
  readonly prot: bigint
  readonly write: boolean
  readonly young: boolean
  readonly dirty: boolean
  readonly exclusive: boolean
}

export class SplitHugePmd extends Part {
  /**
   * __split_huge_pmd(). Nothing is done when the entry is not huge any more. With `freeze` the PTEs become migration
   * entries and the caller holds the lock of `folio`, which must be the one mapped; 0: whatever is mapped there.
   * Cannot fail: the table was deposited when the huge page was mapped.
   */
  *splitHugePmd(vma: PhysAddr, pmdp: PhysAddr, addr: VirtAddr, freeze: boolean, folio: PhysAddr | 0): Step<void> {
    yield* this.k.tables.pmdLock(pmdp)
    yield* this.splitHugePmdLocked(vma, pmdp, this.k.geo.pmdAlignDown(addr), freeze, folio)
    yield* this.k.tables.pmdUnlock(pmdp)
  }

  /**
   * __split_huge_pmd_locked(): what was decided before the lock is decided again here: a zap or another split may have
   * come first.
   */
  protected *splitHugePmdLocked(
    vma: PhysAddr,
    pmdp: PhysAddr,
    haddr: VirtAddr,
    freeze: boolean,
    folio: PhysAddr | 0,
  ): Step<void> {
    lockdepAssertHeld(this.cpu, this.k.tables.pmdLockptr(pmdp))
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    const migration = isMigrationEntry(pmd)
    if (!migration && !pmdTransHuge(pmd)) return
    // A migration entry is looked at as one before a frame is read from it (BUG-52). It is never the caller's folio:
    // that one is locked by the caller, and the folio of a migration entry by whoever migrates it.
    if (folio !== 0 && (migration || this.folioOfPmd(pmd) !== folio)) return
    if (migration) return yield* this.splitMigrationPmd(vma, pmdp, haddr, pmd)
    if (this.k.pages.isHugeZeroPfn(pmdPfn(pmd, this.k.geo.hpagePmdNr)))
      return yield* this.splitHugeZeroPagePmd(vma, pmdp, haddr)
    return yield* this.splitPresentPmd(vma, pmdp, haddr, freeze)
  }

  // ---- a mapped folio ---------------------------------------------------------------------------------------------

  /**
   * Part of __split_huge_pmd_locked(): huge → invalid → table. A peeker without lock must never see none on the way
   * (I1), and the MMU must not be able to load the huge entry any more when the table appears (I2).
   */
  protected *splitPresentPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, freeze: boolean): Step<void> {
    const old = yield* this.makeUnusable(vma, haddr, pmdp)
    const folio = this.folioOfPmd(old)
    if (pmdDirty(old)) yield* this.k.folios.setFlag(folio, PG_DIRTY)
    const exclusive = yield* this.k.folios.testFlag(folio, PG_ANON_EXCLUSIVE)
    // A pin taken before makeUnusable() is seen by the test in here, and then the mapping is split but not frozen. A
    // later gup_fast finds the entry changed and backs off. Barriers: Rmap.folioTryShareAnonRmapPmd().
    const frozen = freeze && (!exclusive || (yield* this.k.rmap.folioTryShareAnonRmapPmd(folio)))
    if (!frozen) yield* this.addPteMappings(vma, haddr, folio, exclusive)
    // Withdrawn after the entry became unusable (D3): until then the table belongs to the huge mapping.
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(this.k.mmOf(vma), pmdp)
    const shape = shapeOfPmd(old, vma, frozen, exclusive)
    yield* this.fillTable(this.k.mmOf(vma), table, haddr, pmdPfn(old, this.k.geo.hpagePmdNr), shape)
    yield* this.dropPmdMapping(folio, frozen)
    yield* this.publishTable(vma, pmdp, haddr, table)
  }

  /**
   * Part of __split_huge_pmd_locked(): pmdp_invalidate(): one exchange, so that no accessed or dirty bit is lost
   * (BUG-39), and a flush on all CPUs. `haddr` is where the huge range begins (BUG-01). From here no CPU has or can
   * load the huge translation.
   */
  protected *makeUnusable(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<PteWord> {
    return yield* this.k.ops.pmdpInvalidate(vma, haddr, pmdp)
  }

  /**
   * Part of __split_huge_pmd_locked(): one PMD reference becomes one for each PTE; references before mapcounts (R1).
   */
  protected *addPteMappings(vma: PhysAddr, haddr: VirtAddr, folio: PhysAddr, exclusive: boolean): Step<void> {
    const { geo, memmap, rmap } = this.k
    const first = memmap.pfnOf(folio)
    yield* this.k.folios.folioGet(folio, geo.hpagePmdNr - 1)
    for (let i = 0; i < geo.hpagePmdNr; i++)
      yield* rmap.folioAddAnonRmapPte(memmap.page(first + i), vma, (haddr + i * geo.pageSize) as VirtAddr, exclusive)
  }

  /**
   * Part of __split_huge_pmd_locked(): the mapping of the whole goes: mapcount first, and frozen its reference too,
   * since migration entries hold none.
   */
  protected *dropPmdMapping(folio: PhysAddr, frozen: boolean): Step<void> {
    yield* this.k.rmap.folioRemoveRmapPmd(folio)
    if (frozen) yield* this.k.folios.folioPut(folio, 1)
  }

  /**
   * Part of __split_huge_pmd_locked(): writes the entries of a withdrawn table, which nobody else can see. Returns the
   * address behind the last one.
   */
  protected *fillTable(mm: PhysAddr, table: Table, haddr: VirtAddr, pfn: Pfn, shape: PteShape): Step<VirtAddr> {
    const { hpagePmdNr, pageSize } = this.k.geo
    const first = this.k.memmap.table(table)
    let addr = haddr
    for (let i = 0; i < hpagePmdNr; i++) {
      const ptep = phys(first + i * 8)
      this.checkNone(ptep)
      yield* this.k.ops.setPteAt(mm, addr, ptep, smallEntry((pfn + i) as Pfn, shape))
      addr = (addr + pageSize) as VirtAddr
    }
    return addr
  }

  /** Part of __split_huge_pmd_locked(). */
  protected *publishTable(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, table: Table): Step<void> {
    // Write barrier: the PTEs before the pointer to them. Otherwise a walker that finds the table could read entries of
    // its last use. Walkers need no barrier: they reach the PTEs through the pointer (address dependency), see
    // GupFast.gupFastPteRange() and Mmu.
    yield* this.cpu.smpWmb()
    yield* this.k.ops.pmdPopulate(this.k.mmOf(vma), haddr, pmdp, table)
  }

  // ---- what is no folio of this mapping ---------------------------------------------------------------------------

  /**
   * Part of __split_huge_pmd_locked(): no invalidation: the hardware never used the entry, and inverting its offset
   * would damage it (BUG-35).
   */
  protected *splitMigrationPmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr, pmd: PteWord): Step<void> {
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(this.k.mmOf(vma), pmdp)
    const shape: PteShape = {
      migration: true,
      prot: 0n,
      write: isWritableMigrationEntry(pmd),
      young: isMigrationEntryYoung(pmd),
      dirty: isMigrationEntryDirty(pmd),
      exclusive: isReadableExclusiveMigrationEntry(pmd),
    }
    yield* this.fillTable(this.k.mmOf(vma), table, haddr, swpOffsetPfn(pmd), shape)
    yield* this.publishTable(vma, pmdp, haddr, table)
  }

  /**
   * __split_huge_zero_page_pmd(): the huge zero page becomes zero-page PTEs. The PMD is none for a moment; whoever
   * skips the range then, or faults and waits for the lock, finds zeroes in any case, and no page or count is attached
   * to them.
   */
  protected *splitHugeZeroPagePmd(vma: PhysAddr, pmdp: PhysAddr, haddr: VirtAddr): Step<void> {
    const { geo, ops, pages } = this.k
    const mm = this.k.mmOf(vma)
    yield* ops.pmdpHugeGetAndClear(mm, haddr, pmdp)
    yield* this.k.tlbFlush.flushTlbRange(vma, haddr, (haddr + geo.pmdSize) as VirtAddr)
    const table = yield* this.k.pgalloc.pgtableTransHugeWithdraw(mm, pmdp)
    const entry = pteMkspecial(pfnPte(pages.zeroPfn, pageProt(vma)))
    for (let i = 0; i < geo.hpagePmdNr; i++) {
      const ptep = phys(this.k.memmap.table(table) + i * 8)
      this.checkNone(ptep)
      yield* ops.setPteAt(mm, (haddr + i * geo.pageSize) as VirtAddr, ptep, entry)
    }
    yield* this.publishTable(vma, pmdp, haddr, table)
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  /** The folio that a huge leaf maps, usable or not. */
  folioOfPmd(pmd: PteWord): PhysAddr {
    return this.k.memmap.page(pmdPfn(pmd, this.k.geo.hpagePmdNr))
  }

  /** BUG_ON(!pte_none(*pte)): a deposited table is empty (D2). The table is private, so this is no racy look. */
  protected checkNone(ptep: PhysAddr): void {
    const pte = peek64(ptep) as PteWord
    if (pteNone(pte)) return
    this.cpu.report(
      'kernel-bug',
      'kernel BUG at mm/huge_memory.c: !pte_none(*pte) in __split_huge_pmd_locked()',
      ptep,
      [`a deposited table is not empty: 0x${pte.toString(16)}`],
    )
  }
}

/** vm_page_prot, read once: a split may run in an rmap walk, beside an mprotect() that is about to walk here too. */
export function pageProt(vma: PhysAddr): bigint {
  return vmGetPageProt(load32(vma + VMA.at.flags))
}

/** What a split hands on of a present PMD. */
export function shapeOfPmd(old: PteWord, vma: PhysAddr, migration: boolean, exclusive: boolean): PteShape {
  const [write, young, dirty] = [pmdWrite(old), pmdYoung(old), pmdDirty(old)]
  return { migration, prot: pageProt(vma), write, young, dirty, exclusive }
}

/** The entry of one page. A NUMA hint of the PMD is not carried over: its pages become accessible. */
function smallEntry(pfn: Pfn, shape: PteShape): PteWord {
  return shape.migration ? migrationEntry(pfn, shape) : presentEntry(pfn, shape)
}

function presentEntry(pfn: Pfn, { prot, write, young, dirty }: PteShape): PteWord {
  let entry = pfnPte(pfn, prot)
  if (write) entry = pteMkwrite(entry)
  if (!young) entry = pteMkold(entry)
  return dirty ? pteMkdirty(entry) : entry
}

/** The migration entry that takes over what a mapping of `pfn` allowed, in the format of PTEs. */
export function migrationEntry(pfn: Pfn, from: Omit<PteShape, 'migration' | 'prot'>): PteWord {
  let entry: PteWord
  if (from.write) entry = makeWritableMigrationEntry(pfn)
  else entry = from.exclusive ? makeReadableExclusiveMigrationEntry(pfn) : makeReadableMigrationEntry(pfn)
  if (from.young) entry = makeMigrationEntryYoung(entry)
  return from.dirty ? makeMigrationEntryDirty(entry) : entry
}
