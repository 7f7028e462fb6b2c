/**
 * The walking side of the reverse map: from a folio to the entries that map it, or that wait for it.
 *
 * Source: mm/page_vma_mapped.c page_vma_mapped_walk(), mm/rmap.c rmap_walk_anon() (v6.12). Upstream hands one place
 * after the other to its caller; here the caller is the subclass, which is visited under the lock of the place.
 *
 * Left out: file folios (none migrates here) and hugetlb. The PTE lock is held across the folio's entries of one table,
 * as upstream's walk keeps it from the first that it finds.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pmdPfn, pmdPresent, pmdTransHuge, ptePfn, ptePresent, isMigrationEntry, swpOffsetPfn } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { Part } from './part.js'
import { ANON_VMA, VMA } from './mmStruct.js'
import { PAGE } from './page.js'

/** Take the lock even of what looks empty: a zap may have cleared it and not yet dropped the mapcount. */
export const PVMW_SYNC = 1
/** Look for migration entries instead of mappings. */
export const PVMW_MIGRATION = 2

/** struct page_vma_mapped_walk: what a walk looks for, and the place that it has come to. */
export class PageVmaMappedWalk {
  /** PVMW_ flags, and TTU_ flags of the caller. */
  flags = 0
  /** Says where to look. */
  folio = phys(0)
  /** The folio that entries are about: `folio`, unless that replaces it. */
  old = phys(0)
  vma = phys(0)
  /** The address that the entry translates; of a huge one, where its range begins. */
  address = 0 as VirtAddr
  /** Addresses of the entries; `ptep` is that of a visited PTE. */
  pmdp = phys(0)
  ptep = phys(0)
  /** The page of `old` that a visited PTE is about. */
  index = 0
}

export abstract class PageVmaMapped extends Part {
  /** The walk of this CPU: no visit begins another. */
  protected readonly pvmw = new PageVmaMappedWalk()

  /**
   * rmap_walk_anon(): visits every place where `old` is mapped (PVMW_MIGRATION: waited for), in all VMAs of `anonVma`;
   * `folio` says where to look, and is `old` unless it replaces it. Ends early when a visit or visitedVma() returns
   * false. Caller: the lock of both folios, the anon_vma lock.
   */
  protected *rmapWalkAnon(anonVma: PhysAddr, flags: number, folio: PhysAddr, old: PhysAddr): Step<void> {
    this.k.anonVmas.anonVmaAssertLocked(anonVma)
    for (let vma = peek32(anonVma + ANON_VMA.at.firstVma); vma !== 0; vma = peek32(vma + VMA.at.anonNext)) {
      if (!(yield* this.walkVma(phys(vma), flags, folio, old))) return
      if (!(yield* this.visitedVma(this.pvmw))) return
    }
  }

  /** A PMD that maps `old` as a whole, or is its migration entry; PMD lock held. False ends the walk. */
  protected abstract visitPmd(pvmw: PageVmaMappedWalk, pmd: PteWord): Step<boolean>

  /** A PTE that maps page `index` of `old`, or is its migration entry; PTE lock held. False ends the walk. */
  protected abstract visitPte(pvmw: PageVmaMappedWalk, pte: PteWord): Step<boolean>

  /** After each VMA; false ends the walk. */
  protected abstract visitedVma(pvmw: PageVmaMappedWalk): Step<boolean>

  /** Part of page_vma_mapped_walk(): the part of the folio's range that lies in `vma`, table by table. */
  protected *walkVma(vma: PhysAddr, flags: number, folio: PhysAddr, old: PhysAddr): Step<boolean> {
    const { pvmw } = this
    pvmw.flags = flags
    pvmw.folio = folio
    pvmw.old = old
    pvmw.vma = vma
    const index = peekF64(folio + PAGE.at.index)
    const end = this.clip(vma, index + this.k.folios.folioNrPages(folio))
    for (let addr = this.clip(vma, index); addr < end;) {
      const next = this.k.geo.pmdAddrEnd(addr, end)
      pvmw.address = addr
      pvmw.pmdp = yield* this.k.upper.mmFindPmd(this.k.mmOf(vma), addr)
      if (pvmw.pmdp !== 0 && !(yield* this.walkPmd(pvmw, next))) return false
      addr = next
    }
    return true
  }

  /** Address of page `index` of the mapping, moved to the nearer end of `vma` when it is outside. */
  protected clip(vma: PhysAddr, index: number): VirtAddr {
    const start = peekF64(vma + VMA.at.start)
    const addr = start + (index - peekF64(vma + VMA.at.pgoff)) * this.k.geo.pageSize
    return Math.min(Math.max(addr, start), peekF64(vma + VMA.at.end)) as VirtAddr
  }

  /** Part of page_vma_mapped_walk(): one PMD entry, which translates up to `end`. */
  protected *walkPmd(pvmw: PageVmaMappedWalk, end: VirtAddr): Step<boolean> {
    const seen = yield* this.k.ops.pmdpGetLockless(pvmw.pmdp)
    this.k.observer.tableRead(this.cpu, Level.pmd, pvmw.pmdp)
    if (isHuge(seen)) {
      // Under the lock it may have become a table (a split): then its PTEs are looked at.
      const verdict = yield* this.lockedPmd(pvmw)
      if (verdict !== PmdVerdict.table) return verdict === PmdVerdict.goOn
    } else if (!pmdPresent(seen)) {
      if ((pvmw.flags & PVMW_SYNC) !== 0) yield* this.awaitZap(pvmw.pmdp)
      return true
    }
    return yield* this.walkPtes(pvmw, end)
  }

  /**
   * Waits until a zap that has cleared the entry has also dropped the mapcount: it does both under the lock (BUG-49).
   */
  protected *awaitZap(pmdp: PhysAddr): Step<void> {
    yield* this.k.tables.pmdLock(pmdp)
    yield* this.k.tables.pmdUnlock(pmdp)
  }

  protected *lockedPmd(pvmw: PageVmaMappedWalk): Step<PmdVerdict> {
    yield* this.k.tables.pmdLock(pvmw.pmdp)
    const pmd = (yield* this.cpu.readOnce64(pvmw.pmdp)) as PteWord
    const huge = isHuge(pmd)
    let goOn = true
    if (huge && this.pmdMatches(pvmw, pmd)) {
      pvmw.address = this.k.geo.pmdAlignDown(pvmw.address)
      goOn = yield* this.visitPmd(pvmw, pmd)
    }
    yield* this.k.tables.pmdUnlock(pvmw.pmdp)
    if (!huge) return PmdVerdict.table
    return goOn ? PmdVerdict.goOn : PmdVerdict.stop
  }

  protected *walkPtes(pvmw: PageVmaMappedWalk, end: VirtAddr): Step<boolean> {
    const { pageSize } = this.k.geo
    if ((pvmw.flags & PVMW_SYNC) === 0 && !(yield* this.anyPteMatches(pvmw, end))) return true
    const first = yield* this.k.tables.pteOffsetMapLock(this.k.mmOf(pvmw.vma), pvmw.pmdp, pvmw.address)
    if (first === 0) return true
    let goOn = true
    let ptep = first
    for (let at = pvmw.address; at < end && goOn; at = (at + pageSize) as VirtAddr) {
      const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
      pvmw.index = this.pteIndexIn(pvmw, pte)
      pvmw.address = at
      pvmw.ptep = ptep
      if (pvmw.index >= 0) goOn = yield* this.visitPte(pvmw, pte)
      ptep = phys(ptep + 8)
    }
    yield* this.k.tables.pteUnmapUnlock(first)
    return goOn
  }

  /**
   * A look without the lock. What it finds is looked at again under it; what it misses is for PVMW_SYNC to care about.
   */
  protected *anyPteMatches(pvmw: PageVmaMappedWalk, end: VirtAddr): Step<boolean> {
    let ptep = yield* this.k.tables.pteOffsetMap(pvmw.pmdp, pvmw.address)
    if (ptep === 0) return false
    let found = false
    for (let at: number = pvmw.address; at < end && !found; at += this.k.geo.pageSize) {
      const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
      this.k.observer.tableRead(this.cpu, Level.pte, ptep)
      found = this.pteIndexIn(pvmw, pte) >= 0
      ptep = phys(ptep + 8)
    }
    this.k.tables.pteUnmap()
    return found
  }

  protected pmdMatches({ flags, old }: PageVmaMappedWalk, pmd: PteWord): boolean {
    const migration = isMigrationEntry(pmd)
    if (migration !== ((flags & PVMW_MIGRATION) !== 0)) return false
    const pfn = migration ? swpOffsetPfn(pmd) : pmdPfn(pmd, this.k.geo.hpagePmdNr)
    return pfn === this.k.memmap.pfnOf(old)
  }

  /** Which page of `old` the entry is about, -1 for none. */
  protected pteIndexIn({ flags, old }: PageVmaMappedWalk, pte: PteWord): number {
    const wanted = (flags & PVMW_MIGRATION) !== 0 ? isMigrationEntry(pte) : ptePresent(pte)
    if (!wanted) return -1
    const pfn = (flags & PVMW_MIGRATION) !== 0 ? swpOffsetPfn(pte) : ptePfn(pte)
    const index = pfn - this.k.memmap.pfnOf(old)
    return index >= 0 && index < this.k.folios.folioNrPages(old) ? index : -1
  }
}

const PmdVerdict = { goOn: 0, stop: 1, table: 2 } as const
type PmdVerdict = (typeof PmdVerdict)[keyof typeof PmdVerdict]

const isHuge = (pmd: PteWord): boolean => pmdTransHuge(pmd) || isMigrationEntry(pmd)
