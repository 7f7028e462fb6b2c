/**
 * Write faults on present entries, and R/O pins that need the page exclusive: copy on write. A part of FaultHandler.
 *
 * Source: mm/memory.c do_wp_page(), wp_page_reuse(), wp_page_copy() (v6.12). Left out: KSM, swap cache, uffd and write
 * notification of shared files.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pteMkdirty, pteMkwrite, pteMkyoung, ptePfn, pteSame, pteSpecial } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { AnonFault } from './anonFault.js'
import { FAULT_FLAG_UNSHARE, VM_FAULT_OOM } from './faultFlags.js'
import { MM, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'
import { NO_PAGE, PG_ANON_EXCLUSIVE } from './page.js'

export abstract class WpFault extends AnonFault {
  /** do_wp_page(). Enters with the table locked and the entry equal to `pte`; leaves it unlocked. */
  protected *doWpPage(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    ptep: PhysAddr,
    pte: PteWord,
    flags: number,
  ): Step<number> {
    const unshare = (flags & FAULT_FLAG_UNSHARE) !== 0
    const page = this.k.memmap.page(ptePfn(pte))
    if (!pteSpecial(pte) && (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0)
      return yield* this.wpPageReuse(vma, addr, ptep, pte)
    if (!pteSpecial(pte) && this.k.folios.isAnonPage(page)) {
      if (yield* this.anonReusable(page)) {
        if (!unshare) return yield* this.wpPageReuse(vma, addr, ptep, pte)
        yield* this.k.tables.pteUnmapUnlock(ptep)
        return 0
      }
    }
    if (!pteSpecial(pte)) yield* this.k.folios.folioGet(yield* this.k.folios.compoundHead(page), 1)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return yield* this.wpPageCopy(mm, vma, addr, pmdp, pte, unshare)
  }

  /**
   * Part of do_wp_page(): A4: an exclusive page is never copied; another one is reused only if this mapping is its only
   * reference.
   */
  protected *anonReusable(page: PhysAddr): Step<boolean> {
    const { folios } = this.k
    if (yield* folios.testFlag(page, PG_ANON_EXCLUSIVE)) return true
    const folio = yield* folios.compoundHead(page)
    if ((yield* folios.folioRefCount(folio)) !== 1 || !(yield* folios.folioTrylock(folio))) return false
    const alone = (yield* folios.folioRefCount(folio)) === 1
    if (alone) yield* folios.setFlag(page, PG_ANON_EXCLUSIVE)
    yield* folios.folioUnlock(folio)
    return alone
  }

  /** wp_page_reuse(): the page stays, the entry becomes writable. Unlocks the table. */
  protected *wpPageReuse(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr, pte: PteWord): Step<number> {
    let entry = pteMkdirty(pteMkyoung(pte))
    if ((peek32(vma + VMA.at.flags) & VM_WRITE) !== 0) entry = pteMkwrite(entry)
    yield* this.k.ops.ptepSetAccessFlags(vma, addr, ptep, entry, true)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** wp_page_copy(). A non-special old page comes with a reference, which keeps it for the copy. */
  protected *wpPageCopy(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pte: PteWord,
    unshare: boolean,
  ): Step<number> {
    const old = pteSpecial(pte) ? phys(0) : this.k.memmap.page(ptePfn(pte))
    const prepared = yield* this.k.anonVmas.anonVmaPrepare(vma)
    const copy = prepared === 0 ? yield* this.allocCopy(ptePfn(pte)) : NO_PAGE
    const ptep = copy === NO_PAGE ? phys(0) : yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    const same = ptep !== 0 && pteSame((yield* this.cpu.readOnce64(ptep)) as PteWord, pte)
    if (same) yield* this.replace(mm, vma, addr, ptep, old, this.k.memmap.page(copy), unshare)
    if (ptep !== 0) yield* this.k.tables.pteUnmapUnlock(ptep)
    if (copy !== NO_PAGE && !same) yield* this.k.folios.folioPut(this.k.memmap.page(copy), 1)
    // The copy's reference, and with the mapping replaced the mapping's own.
    if (old !== 0) yield* this.k.folios.folioPut(yield* this.k.folios.compoundHead(old), same ? 2 : 1)
    return copy === NO_PAGE ? VM_FAULT_OOM : 0
  }

  /** Part of wp_page_copy(). */
  protected *replace(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    ptep: PhysAddr,
    old: PhysAddr,
    page: PhysAddr,
    unshare: boolean,
  ): Step<void> {
    // Cleared and flushed before the new entry is stored: otherwise another CPU could go on reading the old page while
    // this one already writes the new.
    yield* this.k.ops.ptepClearFlush(vma, addr, ptep)
    if (old !== 0) {
      const counter = this.k.folios.isAnonPage(old) ? MM.at.rssAnon : MM.at.rssFile
      this.k.tables.addCounter(phys(mm + counter), -1)
    }
    yield* this.mapNewAnon(mm, vma, addr, ptep, page, !unshare)
    // After the new entry: whoever finds the old page's mapcount at zero may free or reuse it, and no TLB has it now.
    if (old !== 0) yield* this.k.rmap.folioRemoveRmapPte(old)
  }
}
