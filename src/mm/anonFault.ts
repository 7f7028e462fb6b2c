/**
 * Faults where nothing is mapped yet, in anonymous memory. The first part of FaultHandler.
 *
 * Source: mm/memory.c do_anonymous_page(), alloc_anon_folio() (v6.12). P2: a page's contents are visible before the
 * entry that maps it. Left out: multi-size folios, uffd, memory cgroups.
 */
import { phys, type Pfn, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pfnPte, pteMkdirty, pteMkspecial, pteMkwrite, pteMkyoung, pteNone, vmGetPageProt } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { FrameKind } from '../arch/observer.js'
import { lockdepAssertHeld } from '../sync/spinlock.js'
import { FAULT_FLAG_WRITE, VM_FAULT_OOM } from './faultFlags.js'
import { MM, VM_WRITE, VMA } from './mmStruct.js'
import { NO_PAGE, PG_UPTODATE } from './page.js'
import { Part } from './part.js'

export abstract class AnonFault extends Part {
  /** do_anonymous_page(). */
  protected *doAnonymousPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    return (flags & FAULT_FLAG_WRITE) !== 0
      ? yield* this.mapAnonPage(mm, vma, addr, pmdp)
      : yield* this.mapZeroPage(mm, vma, addr, pmdp)
  }

  /** Part of do_anonymous_page(), for a read: the zero page, read-only and special (no counts). */
  protected *mapZeroPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    const entry = pteMkspecial(pfnPte(this.k.pages.zeroPfn, this.pageProt(vma)))
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return 0
    if (pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)) yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** Part of do_anonymous_page(), for a write. */
  protected *mapAnonPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    if ((yield* this.k.anonVmas.anonVmaPrepare(vma)) !== 0) return VM_FAULT_OOM
    const pfn = yield* this.allocAnonFolio()
    if (pfn === NO_PAGE) return VM_FAULT_OOM
    const page = this.k.memmap.page(pfn)
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const free = ptep !== 0 && pteNone((yield* this.cpu.readOnce64(ptep)) as PteWord)
    if (free) yield* this.mapNewAnon(mm, vma, addr, ptep, page, true)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (!free) yield* this.k.folios.folioPut(page, 1)
    return 0
  }

  /** alloc_anon_folio(): a cleared page with one reference, uptodate; NO_PAGE without memory. */
  protected *allocAnonFolio(): Step<Pfn> {
    const pfn = yield* this.k.pages.allocPage(FrameKind.data)
    if (pfn === NO_PAGE) return NO_PAGE
    yield* this.k.pages.clearPage(pfn)
    yield* this.folioMarkUptodate(this.k.memmap.page(pfn))
    return pfn
  }

  /**
   * __folio_mark_uptodate(): write barrier: the contents before the flag, and so before the entry that is stored later
   * (P2). Without it another CPU could find the page and read what its last owner left. A reader reaches the data
   * through the entry (dependency).
   */
  protected *folioMarkUptodate(page: PhysAddr): Step<void> {
    yield* this.cpu.smpWmb()
    yield* this.k.folios.setFlag(page, PG_UPTODATE)
  }

  /**
   * Part of do_anonymous_page(), do_cow_fault() and wp_page_copy(): maps a new anonymous page, whose allocation
   * reference becomes the mapping's. Caller: the table's lock.
   */
  protected *mapNewAnon(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    ptep: PhysAddr,
    page: PhysAddr,
    write: boolean,
  ): Step<void> {
    lockdepAssertHeld(this.cpu, this.k.tables.pteLockptr(ptep))
    yield* this.k.rmap.folioAddNewAnonRmap(page, vma, addr)
    this.k.tables.addCounter(phys(mm + MM.at.rssAnon), 1)
    let entry = pteMkyoung(pfnPte(this.k.memmap.pfnOf(page), this.pageProt(vma)))
    if (write) entry = pteMkdirty(entry)
    if (write && (peek32(vma + VMA.at.flags) & VM_WRITE) !== 0) entry = pteMkwrite(entry)
    yield* this.k.ops.setPteAt(mm, addr, ptep, entry)
  }

  /** Part of do_cow_fault() and wp_page_copy(). */
  protected *allocCopy(pfn: Pfn): Step<Pfn> {
    const copy = yield* this.k.pages.allocPage(FrameKind.data)
    if (copy === NO_PAGE) return NO_PAGE
    if (this.k.pages.isZeroPfn(pfn)) yield* this.k.pages.clearPage(copy)
    else yield* this.k.pages.copyPage(copy, pfn)
    yield* this.folioMarkUptodate(this.k.memmap.page(copy))
    return copy
  }

  /**
   * Part of do_anonymous_page() and finish_fault(): protection bits of `vma` for a page that is not (or not yet)
   * writable: private mappings never start writable.
   */
  protected pageProt(vma: PhysAddr): bigint {
    return vmGetPageProt(peek32(vma + VMA.at.flags))
  }
}
