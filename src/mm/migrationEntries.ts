/**
 * Migration entries: mappings of a folio that stand still while it is moved or split, and the faults that wait for it.
 *
 * Source: mm/rmap.c try_to_migrate(), mm/huge_memory.c set_pmd_migration_entry() and remove_migration_pmd(),
 * mm/migrate.c remove_migration_ptes() and migration_entry_wait() (v6.12).
 *
 * Left out: batched TLB flushes (each entry is flushed before the next is touched, which is what the batch's barrier
 * guarantees as a whole), soft-dirty and uffd bits, mlock, device-private entries, mmu notifiers (no secondary MMU).
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isMigrationEntry,
  isMigrationEntryDirty,
  isMigrationEntryYoung,
  isReadableMigrationEntry,
  isWritableMigrationEntry,
  pfnPmd,
  pfnPte,
  pmdDirty,
  pmdMkdirty,
  pmdMkhuge,
  pmdMkold,
  pmdMkwrite,
  pmdWrite,
  pmdYoung,
  pteDirty,
  pteMkdirty,
  pteMkold,
  pteMkspecial,
  pteMkwrite,
  pteNone,
  pteWrite,
  pteYoung,
  swpOffsetPfn,
  swpToPmd,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { MM, VM_LOCKED, VMA } from './mmStruct.js'
import { PAGE, PG_ANON_EXCLUSIVE, PG_DIRTY } from './page.js'
import { PageVmaMappedWalk, PVMW_MIGRATION, PVMW_SYNC, type RmapVisitor } from './pageVmaMapped.js'
import { Part } from './part.js'
import { migrationEntry, pageProt } from './splitHugePmd.js'

/** Split huge PMDs on the way, into migration entries. */
export const TTU_SPLIT_HUGE_PMD = 0x4
/** PVMW_SYNC for the walk. */
export const TTU_SYNC = 0x10
/** The caller holds the anon_vma lock. */
export const TTU_RMAP_LOCKED = 0x80

/** remove_migration_ptes(): the caller holds the anon_vma lock. */
export const RMP_LOCKED = 0x100
/** Pages that hold nothing but zeroes give way to the zero page. */
export const RMP_USE_SHARED_ZEROPAGE = 0x200

export class MigrationEntries extends Part implements RmapVisitor {
  protected readonly pvmw = new PageVmaMappedWalk(this);

  /**
   * try_to_migrate(): replaces the mappings of an anonymous folio by migration entries, as far as its pages are not
   * pinned; the folio's mapcount tells how far. Caller: folio lock and a reference; something keeps the anon_vma.
   */
  *tryToMigrate(folio: PhysAddr, flags = 0): Step<void> {
    this.k.folios.folioAssertLocked(folio)
    const anonVma = this.k.folios.folioAnonVma(folio)
    const locked = (flags & TTU_RMAP_LOCKED) !== 0
    if (!locked) yield* this.k.anonVmas.anonVmaLockRead(anonVma)
    const walk = ((flags & TTU_SYNC) !== 0 ? PVMW_SYNC : 0) | (flags & TTU_SPLIT_HUGE_PMD)
    yield* this.k.pageVmaMapped.rmapWalkAnon(this.pvmw.of(folio, folio, walk), anonVma)
    if (!locked) yield* this.k.anonVmas.anonVmaUnlockRead(anonVma)
  }

  /**
   * remove_migration_ptes(): turns the migration entries of `src` back into mappings, of `dst`; both may be the same
   * folio. `flags`: RMP_. Caller: the lock of both.
   */
  *removeMigrationPtes(src: PhysAddr, dst: PhysAddr, flags = 0): Step<void> {
    const anonVma = this.k.folios.folioAnonVma(dst)
    const locked = (flags & RMP_LOCKED) !== 0
    const walk = PVMW_SYNC | PVMW_MIGRATION | (flags & RMP_USE_SHARED_ZEROPAGE)
    if (!locked) yield* this.k.anonVmas.anonVmaLockRead(anonVma)
    yield* this.k.pageVmaMapped.rmapWalkAnon(this.pvmw.of(dst, src, walk), anonVma)
    if (!locked) yield* this.k.anonVmas.anonVmaUnlockRead(anonVma)
  }

  // ---- the walk's visits ------------------------------------------------------------------------------------------

  /** A huge mapping that is to be split on the way is split before the walk looks at it. */
  *beforePmd({ flags, vma, address, pmdp, folio }: PageVmaMappedWalk): Step<void> {
    if ((flags & TTU_SPLIT_HUGE_PMD) !== 0) yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, address, true, folio)
  }

  *visitPmd(pvmw: PageVmaMappedWalk, pmd: PteWord): Step<boolean> {
    if ((pvmw.flags & PVMW_MIGRATION) === 0) return yield* this.setPmdMigrationEntry(pvmw)
    yield* this.removeMigrationPmd(pvmw, pmd)
    return true
  }

  *visitPte(pvmw: PageVmaMappedWalk, pte: PteWord): Step<boolean> {
    if ((pvmw.flags & PVMW_MIGRATION) === 0) return yield* this.setPteMigrationEntry(pvmw)
    if (!(yield* this.tryToMapUnusedToZeropage(pvmw))) yield* this.removeMigrationPte(pvmw, pte)
    return true
  }

  /**
   * Ends try_to_migrate() when nothing maps the folio any more; only a complete walk knows that of migration entries.
   */
  *visitedVma({ flags, folio }: PageVmaMappedWalk): Step<boolean> {
    return (flags & PVMW_MIGRATION) !== 0 || (yield* this.k.folios.folioMapcount(folio)) > 0
  }

  // ---- mapping to migration entry ---------------------------------------------------------------------------------

  /** Part of try_to_migrate_one(), the body of its loop. False: the page may be pinned, its mapping is as it was. */
  protected *setPteMigrationEntry({ vma, address, ptep, folio, index }: PageVmaMappedWalk): Step<boolean> {
    const { folios, ops, rmap } = this.k
    const mm = this.k.mmOf(vma)
    const page = phys(folio + index * PAGE.size)
    // Cleared and flushed first: only then are the dirty bit final and the pin count decisive (G3).
    const old = yield* ops.ptepClearFlush(vma, address, ptep)
    if (pteDirty(old)) yield* folios.setFlag(folio, PG_DIRTY)
    const exclusive = yield* folios.testFlag(page, PG_ANON_EXCLUSIVE)
    if (exclusive && !(yield* rmap.folioTryShareAnonRmapPte(page))) {
      yield* ops.setPteAt(mm, address, ptep, old)
      return false
    }
    const from = { write: pteWrite(old), young: pteYoung(old), dirty: pteDirty(old), exclusive }
    yield* ops.setPteAt(mm, address, ptep, migrationEntry(this.k.memmap.pfnOf(page), from))
    // Mapcount before reference (R1). The entry holds neither: the folio lock is what faults wait for.
    yield* rmap.folioRemoveRmapPte(page)
    yield* folios.folioPut(folio, 1)
    return true
  }

  /** set_pmd_migration_entry(). */
  protected *setPmdMigrationEntry({ vma, address, pmdp, folio }: PageVmaMappedWalk): Step<boolean> {
    const { folios, ops, rmap } = this.k
    const mm = this.k.mmOf(vma)
    const old = yield* ops.pmdpInvalidate(vma, address, pmdp)
    const exclusive = yield* folios.testFlag(folio, PG_ANON_EXCLUSIVE)
    if (exclusive && !(yield* rmap.folioTryShareAnonRmapPmd(folio))) {
      yield* ops.setPmdAt(mm, address, pmdp, old)
      return false
    }
    if (pmdDirty(old)) yield* folios.setFlag(folio, PG_DIRTY)
    const from = { write: pmdWrite(old), young: pmdYoung(old), dirty: pmdDirty(old), exclusive }
    // The deposited table stays: the entry may be split while it waits.
    yield* ops.setPmdAt(mm, address, pmdp, swpToPmd(migrationEntry(this.k.memmap.pfnOf(folio), from)))
    yield* rmap.folioRemoveRmapPmd(folio)
    yield* folios.folioPut(folio, 1)
    return true
  }

  // ---- migration entry to mapping ---------------------------------------------------------------------------------

  /** remove_migration_pte(). No flush: no TLB holds a translation of an entry that was not present. */
  protected *removeMigrationPte({ vma, address, ptep, folio, index }: PageVmaMappedWalk, old: PteWord): Step<void> {
    const { folios, memmap, ops, rmap } = this.k
    const page = phys(folio + index * PAGE.size)
    // Reference before mapcount before entry (R1).
    yield* folios.folioGet(folio, 1)
    let entry = pfnPte(memmap.pfnOf(page), pageProt(vma))
    if (!isMigrationEntryYoung(old)) entry = pteMkold(entry)
    if (isMigrationEntryDirty(old) && (yield* folios.testFlag(folio, PG_DIRTY))) entry = pteMkdirty(entry)
    if (isWritableMigrationEntry(old)) entry = pteMkwrite(entry)
    yield* rmap.folioAddAnonRmapPte(page, vma, address, !isReadableMigrationEntry(old))
    yield* ops.setPteAt(this.k.mmOf(vma), address, ptep, entry)
  }

  /**
   * try_to_map_unused_to_zeropage(): a page of a folio that has just been split, which nobody can read or write: its
   * entries are migration entries, and its count was frozen. Memory that is locked keeps its pages.
   */
  protected *tryToMapUnusedToZeropage({ flags, vma, address, ptep, folio }: PageVmaMappedWalk): Step<boolean> {
    if ((flags & RMP_USE_SHARED_ZEROPAGE) === 0) return false
    // Beside an mlock(), which does not exclude a walk of the reverse map.
    if (((yield* this.cpu.readOnce32(phys(vma + VMA.at.flags))) & VM_LOCKED) !== 0) return false
    const { memmap, ops, pages, tables } = this.k
    if (!(yield* pages.isZeroFilled(memmap.pfnOf(folio)))) return false
    const mm = this.k.mmOf(vma)
    yield* ops.setPteAt(mm, address, ptep, pteMkspecial(pfnPte(pages.zeroPfn, pageProt(vma))))
    tables.addCounter(phys(mm + MM.at.rssAnon), -1)
    return true
  }

  /** remove_migration_pmd(). */
  protected *removeMigrationPmd({ vma, address, pmdp, folio }: PageVmaMappedWalk, old: PteWord): Step<void> {
    const { folios, memmap, ops, rmap } = this.k
    yield* folios.folioGet(folio, 1)
    let entry = pmdMkhuge(pfnPmd(memmap.pfnOf(folio), pageProt(vma), this.k.geo.hpagePmdNr))
    if (isWritableMigrationEntry(old)) entry = pmdMkwrite(entry)
    if (!isMigrationEntryYoung(old)) entry = pmdMkold(entry)
    if (isMigrationEntryDirty(old) && (yield* folios.testFlag(folio, PG_DIRTY))) entry = pmdMkdirty(entry)
    yield* rmap.folioAddAnonRmapPmd(folio, vma, address, !isReadableMigrationEntry(old))
    yield* ops.setPmdAt(this.k.mmOf(vma), address, pmdp, entry)
  }

  // ---- faults that wait -------------------------------------------------------------------------------------------

  /**
   * migration_entry_wait(): sleeps until the folio of the migration entry at `addr` was unlocked; returns at once when
   * the entry is something else by now. Caller: mmap_lock for read, no spinlock. The fault is tried again afterwards.
   */
  *migrationEntryWait(mm: PhysAddr, pmdp: PhysAddr, addr: VirtAddr): Step<void> {
    this.k.vmaLock.assertFaultLocked(mm)
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    yield* this.k.tables.pteUnmapUnlock(ptep)
    if (!pteNone(pte) && isMigrationEntry(pte)) yield* this.migrationEntryWaitOnLocked(pte)
  }

  /** pmd_migration_entry_wait(). */
  *pmdMigrationEntryWait(_mm: PhysAddr, pmdp: PhysAddr): Step<void> {
    yield* this.k.tables.pmdLock(pmdp)
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    yield* this.k.tables.pmdUnlock(pmdp)
    if (isMigrationEntry(pmd)) yield* this.migrationEntryWaitOnLocked(pmd)
  }

  /**
   * migration_entry_wait_on_locked(): waits without a reference, which would make the migration fail that is waited
   * for. The struct page may belong to another owner by the time it is looked at; then this waits for that owner's lock
   * once, or not at all, and the fault that is tried again finds out. Upstream queues itself before it drops the
   * page-table lock and so never waits for a later owner; no lock is held across both here, and none is needed for
   * progress, since whoever holds a folio lock never waits for a fault.
   */
  protected *migrationEntryWaitOnLocked(entry: PteWord): Step<void> {
    const page = this.k.memmap.page(swpOffsetPfn(entry))
    yield* this.k.folios.folioWaitLocked(yield* this.k.folios.compoundHead(page))
  }
}
