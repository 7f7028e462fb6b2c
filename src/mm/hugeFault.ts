/**
 * Faults on huge PMDs of anonymous memory.
 *
 * Source: mm/huge_memory.c do_huge_pmd_anonymous_page(), do_huge_pmd_wp_page(), huge_pmd_set_accessed(),
 * do_huge_pmd_numa_page() (v6.12).
 *
 * Left out:
 * - the life of the huge zero page: it is reserved at boot and never freed, so no use of it can come too late
 * - migration in a NUMA fault: one node; the entry only gets its access back
 * - uffd, memcg and the OOM reaper, which would add reasons to back out under the same lock
 * - folio_move_anon_rmap(): a fork family shares one anon_vma, a reused folio is in the right one already
 */
import { type Pfn, phys, type PhysAddr, type PteWord, type Table, type VirtAddr } from '../base/units.js'
import {
  pfnPmd,
  pmdMkdirty,
  pmdMkhuge,
  pmdMkwrite,
  pmdMkyoung,
  pmdModify,
  pmdNone,
  pmdPfn,
  pmdProtnone,
  pmdSame,
  pmdWrite,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { FAULT_FLAG_UNSHARE, VM_FAULT_FALLBACK, VM_FAULT_OOM } from './faultFlags.js'
import { MM, VM_HUGEPAGE, VM_NOHUGEPAGE, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'
import { NO_PAGE, NO_TABLE, PG_ANON_EXCLUSIVE, PG_UPTODATE } from './page.js'
import { lockdepAssertHeld } from '../sync/spinlock.js'
import { Part } from './part.js'
import { pageProt } from './splitHugePmd.js'

export class HugeFault extends Part {
  /** thp_vma_allowable_order() for a fault: may the huge range at `haddr` be mapped huge? Caller: mmap_lock. */
  thpVmaAllowableOrder(vma: PhysAddr, haddr: VirtAddr): boolean {
    this.k.vmaLock.assertFaultLocked(this.k.mmOf(vma))
    const { thp } = this.k.config
    if (thp === 'never') return false
    if (thp === 'madvise' && (peek32(vma + VMA.at.flags) & VM_HUGEPAGE) === 0) return false
    return this.thpSuitable(vma, haddr)
  }

  /** Part of thp_vma_allowable_order(): the rules that no setting overrides, which MADV_COLLAPSE asks. */
  thpSuitable(vma: PhysAddr, haddr: VirtAddr): boolean {
    if (peek32(vma + VMA.at.file) !== 0 || (peek32(vma + VMA.at.flags) & VM_NOHUGEPAGE) !== 0) return false
    return haddr >= peekF64(vma + VMA.at.start) && haddr + this.k.geo.pmdSize <= peekF64(vma + VMA.at.end)
  }

  // ---- nothing mapped yet -----------------------------------------------------------------------------------------

  /**
   * do_huge_pmd_anonymous_page(): 0 when somebody mapped something here, VM_FAULT_OOM, or VM_FAULT_FALLBACK for base
   * pages. Caller: mmap_lock; the PMD was none without a lock.
   */
  *doHugePmdAnonymousPage(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, write: boolean): Step<number> {
    const haddr = this.k.geo.pmdAlignDown(addr)
    if (!this.thpVmaAllowableOrder(vma, haddr)) return VM_FAULT_FALLBACK
    if ((yield* this.k.anonVmas.anonVmaPrepare(vma)) !== 0) return VM_FAULT_OOM
    return write ? yield* this.__doHugePmdAnonymousPage(vma, haddr, pmdp) : yield* this.mapHugeZero(vma, haddr, pmdp)
  }

  /** __do_huge_pmd_anonymous_page(). */
  protected *__doHugePmdAnonymousPage(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<number> {
    const { geo, pages, tables } = this.k
    const mm = this.k.mmOf(vma)
    const pfn = yield* pages.allocPages(geo.hpagePmdOrder, FrameKind.data)
    if (pfn === NO_PAGE) return VM_FAULT_FALLBACK
    const folio = this.k.memmap.page(pfn)
    const table = yield* this.k.pgalloc.pteAllocOne(mm)
    if (table === NO_TABLE) {
      yield* this.k.folios.folioPut(folio, 1)
      return VM_FAULT_OOM
    }
    yield* pages.folioZeroUser(pfn)
    yield* this.folioMarkUptodate(folio)
    yield* tables.pmdLock(pmdp)
    // Looked at without a lock before: another fault may have mapped a huge page or a table meanwhile (P1).
    const none = pmdNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)
    if (none) {
      yield* this.mapAnonFolioPmd(vma, haddr, pmdp, pfn, table)
      tables.addCounter(phys(mm + MM.at.rssAnon), geo.hpagePmdNr)
      tables.mmIncNrPtes(mm)
    }
    yield* tables.pmdUnlock(pmdp)
    if (none) return 0
    yield* this.k.pgalloc.pteFree(mm, table)
    yield* this.k.folios.folioPut(folio, 1)
    return 0
  }

  /** Part of do_huge_pmd_anonymous_page(), for a read: the huge zero page. */
  protected *mapHugeZero(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr): Step<number> {
    const { tables } = this.k
    const mm = this.k.mmOf(vma)
    const table = yield* this.k.pgalloc.pteAllocOne(mm)
    if (table === NO_TABLE) return VM_FAULT_OOM
    yield* tables.pmdLock(pmdp)
    const none = pmdNone((yield* this.cpu.readOnce64(pmdp)) as PteWord)
    if (none) {
      yield* this.k.pgalloc.pgtableTransHugeDeposit(mm, pmdp, table)
      yield* this.k.ops.setPmdAt(mm, haddr, pmdp, this.mkHugePmd(this.k.pages.hugeZeroPfn, vma))
      tables.mmIncNrPtes(mm)
    }
    yield* tables.pmdUnlock(pmdp)
    if (!none) yield* this.k.pgalloc.pteFree(mm, table)
    return 0
  }

  /**
   * map_anon_folio_pmd() with the deposit: maps a new folio, which nobody else knows, over an empty PMD. The
   * allocation's reference becomes the mapping's. Caller: PMD lock; contents and PG_uptodate are set. Also ends a
   * collapse.
   */
  *mapAnonFolioPmd(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, pfn: Pfn, table: Table): Step<void> {
    lockdepAssertHeld(this.cpu, this.k.tables.pmdLockptr(pmdp))
    const mm = this.k.mmOf(vma)
    const entry = maybePmdMkwrite(pmdMkdirty(this.mkHugePmd(pfn, vma)), vma)
    yield* this.k.rmap.folioAddNewAnonRmap(this.k.memmap.page(pfn), vma, haddr)
    // Deposited before the entry is stored: a split may come as soon as the lock is free, and takes the table for
    // granted.
    yield* this.k.pgalloc.pgtableTransHugeDeposit(mm, pmdp, table)
    yield* this.k.ops.setPmdAt(mm, haddr, pmdp, entry)
  }

  /**
   * __folio_mark_uptodate(): write barrier: the contents before the flag, and so before the entry that is stored later
   * (P2). Without it another CPU could find the folio and read what its last owner left. A reader gets to the data
   * through the entry (dependency).
   */
  *folioMarkUptodate(folio: PhysAddr): Step<void> {
    yield* this.cpu.smpWmb()
    yield* this.k.folios.setFlag(folio, PG_UPTODATE)
  }

  // ---- present, but not as the access needs it --------------------------------------------------------------------

  /** huge_pmd_set_accessed(): sets accessed and, for a write, dirty in a huge entry that already allows the access. */
  *hugePmdSetAccessed(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, orig: PteWord, write: boolean): Step<void> {
    yield* this.k.tables.pmdLock(pmdp)
    if (yield* this.pmdUnchanged(pmdp, orig)) {
      const entry = write ? pmdMkdirty(pmdMkyoung(orig)) : pmdMkyoung(orig)
      yield* this.k.ops.pmdpSetAccessFlags(vma, this.k.geo.pmdAlignDown(addr), pmdp, entry, write)
    }
    yield* this.k.tables.pmdUnlock(pmdp)
  }

  /**
   * do_huge_pmd_wp_page(): a folio that is this process's alone becomes writable; another one, and the huge zero page,
   * is not copied as a whole: its mapping is split, and VM_FAULT_FALLBACK sends the fault to the one page it hit.
   */
  *doHugePmdWpPage(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, orig: PteWord, flags: number): Step<number> {
    const haddr = this.k.geo.pmdAlignDown(addr)
    if (!this.k.pages.isHugeZeroPfn(pmdPfn(orig, this.k.geo.hpagePmdNr))) {
      yield* this.k.tables.pmdLock(pmdp)
      if (!(yield* this.pmdUnchanged(pmdp, orig))) {
        yield* this.k.tables.pmdUnlock(pmdp)
        return 0
      }
      const verdict = yield* this.wpReusable(pmdp, orig)
      if (verdict === Reuse.yes && (flags & FAULT_FLAG_UNSHARE) === 0) yield* this.reuseHuge(vma, haddr, pmdp, orig)
      yield* this.k.tables.pmdUnlock(pmdp)
      if (verdict !== Reuse.no) return 0
    }
    yield* this.k.splitHugePmd.splitHugePmd(vma, pmdp, addr, false, 0)
    return VM_FAULT_FALLBACK
  }

  /**
   * Part of do_huge_pmd_wp_page(): A4: an exclusive folio is never copied; another one is reused only if this mapping
   * is its only reference. Caller: PMD lock, which may be dropped and retaken to wait for the folio lock.
   */
  protected *wpReusable(pmdp: PhysAddr, orig: PteWord): Step<Reuse> {
    const { folios, tables } = this.k
    lockdepAssertHeld(this.cpu, tables.pmdLockptr(pmdp))
    const folio = this.k.splitHugePmd.folioOfPmd(orig)
    if (yield* folios.testFlag(folio, PG_ANON_EXCLUSIVE)) return Reuse.yes
    if (!(yield* folios.folioTrylock(folio))) {
      // The lock sleeps, so the spinlock goes meanwhile; the reference keeps the folio, and the entry is compared
      // again.
      yield* folios.folioGet(folio, 1)
      yield* tables.pmdUnlock(pmdp)
      yield* folios.folioLock(folio)
      yield* tables.pmdLock(pmdp)
      const same = yield* this.pmdUnchanged(pmdp, orig)
      if (!same) yield* folios.folioUnlock(folio)
      // Never the last reference if the entry is the same. If not, it may be, and freeing under a spinlock is allowed.
      yield* folios.folioPut(folio, 1)
      if (!same) return Reuse.retry
    }
    const alone = yield* this.ownedAlone(folio)
    if (alone) yield* folios.setFlag(folio, PG_ANON_EXCLUSIVE)
    yield* folios.folioUnlock(folio)
    return alone ? Reuse.yes : Reuse.no
  }

  /**
   * Part of do_huge_pmd_wp_page(): with the folio lock: nobody migrates or splits the folio, so one reference is the
   * mapping that is about to become writable. The exclusive flag may have been set while the PMD lock was dropped.
   */
  protected *ownedAlone(folio: PhysAddr): Step<boolean> {
    if (yield* this.k.folios.testFlag(folio, PG_ANON_EXCLUSIVE)) return true
    return (yield* this.k.folios.folioRefCount(folio)) === 1
  }

  /** Part of do_huge_pmd_wp_page(). */
  protected *reuseHuge(vma: PhysAddr, haddr: VirtAddr, pmdp: PhysAddr, orig: PteWord): Step<void> {
    const entry = maybePmdMkwrite(pmdMkdirty(pmdMkyoung(orig)), vma)
    yield* this.k.ops.pmdpSetAccessFlags(vma, haddr, pmdp, entry, true)
  }

  /** do_huge_pmd_numa_page() without the migration: the entry gets its access back. The entry was not in any TLB. */
  *doHugePmdNumaPage(vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, orig: PteWord): Step<number> {
    yield* this.k.tables.pmdLock(pmdp)
    if (yield* this.pmdUnchanged(pmdp, orig)) {
      let entry = pmdMkyoung(pmdModify(orig, pageProt(vma), this.k.geo.hpagePmdNr))
      if (pmdWrite(entry) || (yield* this.canChangePmdWritable(vma, entry))) entry = pmdMkwrite(entry)
      yield* this.k.ops.setPmdAt(this.k.mmOf(vma), this.k.geo.pmdAlignDown(addr), pmdp, entry)
    }
    yield* this.k.tables.pmdUnlock(pmdp)
    return 0
  }

  /**
   * can_change_pmd_writable(): a write fault on the entry would find nothing to do but to set the bit. PMD lock held.
   */
  *canChangePmdWritable(vma: PhysAddr, pmd: PteWord): Step<boolean> {
    const flags = peek32(vma + VMA.at.flags)
    if ((flags & VM_WRITE) === 0 || (flags & VM_SHARED) !== 0 || pmdProtnone(pmd)) return false
    if (this.k.pages.isHugeZeroPfn(pmdPfn(pmd, this.k.geo.hpagePmdNr))) return false
    return yield* this.k.folios.testFlag(this.k.splitHugePmd.folioOfPmd(pmd), PG_ANON_EXCLUSIVE)
  }

  // ---- parts ------------------------------------------------------------------------------------------------------

  /** The fault was decided from an entry that still stands: pmd_same() under the lock (P1). */
  protected *pmdUnchanged(pmdp: PhysAddr, orig: PteWord): Step<boolean> {
    return pmdSame((yield* this.cpu.readOnce64(pmdp)) as PteWord, orig)
  }

  /** mk_huge_pmd() with the protection of `vma`; not writable. */
  protected mkHugePmd(pfn: Pfn, vma: PhysAddr): PteWord {
    return pmdMkhuge(pfnPmd(pfn, pageProt(vma), this.k.geo.hpagePmdNr))
  }
}

/** Whether a write fault may keep the folio; `retry`: the entry changed while the lock was dropped. */
const Reuse = { no: 0, yes: 1, retry: 2 } as const
type Reuse = (typeof Reuse)[keyof typeof Reuse]

/** maybe_pmd_mkwrite(). */
function maybePmdMkwrite(pmd: PteWord, vma: PhysAddr): PteWord {
  return (peek32(vma + VMA.at.flags) & VM_WRITE) !== 0 ? pmdMkwrite(pmd) : pmd
}
