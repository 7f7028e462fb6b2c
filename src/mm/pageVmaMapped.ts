/**
 * The walking side of the reverse map: from a folio to the entries that map it, or that wait for it.
 *
 * Source: mm/page_vma_mapped.c page_vma_mapped_walk(), mm/rmap.c rmap_walk_anon(), rmap_walk_file() (v6.12). Upstream
 * hands one place after the other to its caller; here the caller is a visitor, which is called under the lock of the
 * place.
 *
 * Left out: hugetlb. The PTE lock is held across the folio's entries of one table, as upstream's walk keeps it from the
 * first that it finds.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pmdPfn, pmdPresent, pmdTransHuge, ptePfn, ptePresent, isMigrationEntry, swpOffsetPfn } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { downRead, upRead } from '../sync/rwsem.js'
import { Level } from '../arch/level.js'
import { Part } from './part.js'
import { ANON_VMA, FILE, VMA } from './mmStruct.js'
import { PAGE } from './page.js'

/** Take the lock even of what looks empty: a zap may have cleared it and not yet dropped the mapcount. */
export const PVMW_SYNC = 1
/** Look for migration entries instead of mappings. */
export const PVMW_MIGRATION = 2

/** The part that began a walk, as rmap_one() of struct rmap_walk_control. A result of false ends the walk. */
export interface RmapVisitor {
  /** Every PMD entry of the range, before the walk looks at it; no page-table lock held. */
  beforePmd(pvmw: PageVmaMappedWalk): Step<void>
  /** A PMD that maps the folio as a whole, or is its migration entry; PMD lock held. */
  visitPmd(pvmw: PageVmaMappedWalk, pmd: PteWord): Step<boolean>
  /** A PTE that maps page `index` of the folio, or is its migration entry; PTE lock held. */
  visitPte(pvmw: PageVmaMappedWalk, pte: PteWord): Step<boolean>
  /** After each VMA. */
  visitedVma(pvmw: PageVmaMappedWalk): Step<boolean>
}

/**
 * struct page_vma_mapped_walk: the subject of a walk, and the place that it has come to. A visitor has one, since no
 * visit begins another walk of its part.
 */
export class PageVmaMappedWalk {
  readonly visitor: RmapVisitor
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

  constructor(visitor: RmapVisitor) {
    this.visitor = visitor
  }

  /** The subject of the next walk: places where `old` is mapped (PVMW_MIGRATION: waited for); `folio` has them. */
  of(folio: PhysAddr, old: PhysAddr, flags: number): this {
    this.folio = folio
    this.old = old
    this.flags = flags
    return this
  }
}

export class PageVmaMapped extends Part {
  /** rmap_walk_anon(): visits all VMAs of `anonVma`. Caller: the lock of both folios, the anon_vma lock. */
  *rmapWalkAnon(pvmw: PageVmaMappedWalk, anonVma: PhysAddr): Step<void> {
    this.k.anonVmas.anonVmaAssertLocked(anonVma)
    for (let vma = peek32(anonVma + ANON_VMA.at.firstVma); vma !== 0; vma = peek32(vma + VMA.at.anonNext)) {
      if (!(yield* this.walkVma(pvmw, phys(vma)))) return
      if (!(yield* pvmw.visitor.visitedVma(pvmw))) return
    }
  }

  /** rmap_walk_file(): visits all VMAs of `file`, under its i_mmap lock. Caller: the lock of the folio. */
  *rmapWalkFile(pvmw: PageVmaMappedWalk, file: PhysAddr): Step<void> {
    const lock = phys(file + FILE.at.rwsem)
    yield* downRead(this.cpu, this.k.rcu, lock)
    for (let vma = peek32(file + FILE.at.firstVma); vma !== 0; vma = peek32(vma + VMA.at.fileNext)) {
      if (!(yield* this.walkVma(pvmw, phys(vma)))) break
      if (!(yield* pvmw.visitor.visitedVma(pvmw))) break
    }
    yield* upRead(this.cpu, lock)
  }

  /** Part of page_vma_mapped_walk(): the part of the folio's range that lies in `vma`, table by table. */
  protected *walkVma(pvmw: PageVmaMappedWalk, vma: PhysAddr): Step<boolean> {
    const { folio } = pvmw
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
    yield* pvmw.visitor.beforePmd(pvmw)
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
      goOn = yield* pvmw.visitor.visitPmd(pvmw, pmd)
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
      if (pvmw.index >= 0) goOn = yield* pvmw.visitor.visitPte(pvmw, pte)
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
