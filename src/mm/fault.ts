/**
 * Page faults.
 *
 * Source: mm/memory.c handle_mm_fault() and below, arch/x86/mm/fault.c (v6.12). P1: what was decided from is compared
 * with what is stored, under the lock, before anything changes. A file for each kind of fault, which add up to
 * FaultHandler:
 *
 *   anonFault.ts   nothing there yet, anonymous memory
 *   wpFault.ts     copy on write
 *   fileFault.ts   nothing there yet, files and shared memory
 *   fault.ts       which of them it is; NUMA hints
 *
 * Faults lock their VMA alone where the machine has per-VMA locks (vmaLock.ts), and mmap_lock for read otherwise, so
 * that more is excluded than upstream only where a VMA changes. Left out: swap-in, uffd, KSM, multi-size folios, and
 * write notification of shared files.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import {
  isMigrationEntry,
  isSwapPmd,
  pmdLeaf,
  pmdNone,
  pmdProtnone,
  pmdWrite,
  pteMkdirty,
  pteMkwrite,
  pteMkyoung,
  pteModify,
  pteNone,
  ptePresent,
  pteProtnone,
  pteSame,
  pteWrite,
} from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { FAULT_FLAG_WRITE, VM_FAULT_FALLBACK, VM_FAULT_OOM, VM_FAULT_SIGSEGV } from './faultFlags.js'
import { FileFault } from './fileFault.js'
import { vmaIsAccessible } from './mprotect.js'
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'

export class FaultHandler extends FileFault {
  /**
   * do_user_addr_fault(): a fault of this CPU's user code at `addr`: 0 to try the access again, or VM_FAULT_SIGSEGV,
   * SIGBUS, OOM. Takes and releases the lock of the VMA, or mmap_lock for read.
   */
  *doUserAddrFault(addr: VirtAddr, write: boolean): Step<number> {
    const mm = this.k.mms.currentMm()
    if (mm === 0) return VM_FAULT_SIGSEGV
    const locked = this.k.config.perVmaLock ? yield* this.k.vmaLock.lockVmaUnderRcu(mm, addr) : phys(0)
    if (locked !== 0) {
      const result = yield* this.faultIn(mm, locked, addr, write)
      yield* this.k.vmaLock.vmaEndRead(locked)
      return result
    }
    const vma = yield* this.k.stackGrowth.lockMmAndFindVma(mm, addr)
    const result = vma === 0 ? VM_FAULT_SIGSEGV : yield* this.faultIn(mm, vma, addr, write)
    yield* this.k.mms.mmapReadUnlock(mm)
    return result
  }

  /** Part of do_user_addr_fault(): access_error(), then handle_mm_fault(). */
  protected *faultIn(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, write: boolean): Step<number> {
    const needed = write ? VM_WRITE : VM_READ | VM_WRITE | VM_EXEC
    if ((peek32(vma + VMA.at.flags) & needed) === 0) return VM_FAULT_SIGSEGV
    return yield* this.handleMmFault(mm, vma, addr, write ? FAULT_FLAG_WRITE : 0)
  }

  /**
   * handle_mm_fault(): caller: mmap_lock held, in some mode; `addr` in `vma`; access rights checked. 0: handled, or to
   * be tried again.
   */
  *handleMmFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, flags: number): Step<number> {
    const page = this.k.geo.pageAlignDown(addr)
    const pmdp = yield* this.k.upper.mmAllocPmd(mm, page)
    if (pmdp === 0) return VM_FAULT_OOM
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (pmdNone(pmd)) {
      if (!this.k.hugeFault.thpVmaAllowableOrder(vma, this.k.geo.pmdAlignDown(page)))
        return yield* this.handlePteFault(mm, vma, page, pmdp, flags)
      const result = yield* this.k.hugeFault.doHugePmdAnonymousPage(vma, page, pmdp, (flags & FAULT_FLAG_WRITE) !== 0)
      return (result & VM_FAULT_FALLBACK) === 0 ? result : yield* this.handlePteFault(mm, vma, page, pmdp, flags)
    }
    if (pmdLeaf(pmd) || isSwapPmd(pmd)) {
      const result = yield* this.handleHugePmd(mm, vma, page, pmdp, pmd, flags)
      if ((result & VM_FAULT_FALLBACK) === 0) return result
    }
    return yield* this.handlePteFault(mm, vma, page, pmdp, flags)
  }

  /** Part of __handle_mm_fault(): the PMD is a huge page or a migration entry. */
  protected *handleHugePmd(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pmd: PteWord,
    flags: number,
  ): Step<number> {
    if (isSwapPmd(pmd)) {
      yield* this.k.migrationEntries.pmdMigrationEntryWait(mm, pmdp)
      return 0
    }
    if (pmdProtnone(pmd) && vmaIsAccessible(vma)) return yield* this.k.hugeFault.doHugePmdNumaPage(vma, addr, pmdp, pmd)
    const write = (flags & FAULT_FLAG_WRITE) !== 0
    if (flags !== 0 && !pmdWrite(pmd)) return yield* this.k.hugeFault.doHugePmdWpPage(vma, addr, pmdp, pmd, flags)
    yield* this.k.hugeFault.hugePmdSetAccessed(vma, addr, pmdp, pmd, write)
    return 0
  }

  /** handle_pte_fault(). */
  protected *handlePteFault(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    if (!(yield* this.k.tables.pteAlloc(mm, pmdp, addr))) return VM_FAULT_OOM
    const ptep = yield* this.k.tables.pteOffsetMap(pmdp, addr)
    if (ptep === 0) return 0
    const pte = (yield* this.cpu.readOnce64(ptep)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pte, ptep)
    this.k.tables.pteUnmap()
    if (pteNone(pte)) return yield* this.doPteMissing(mm, vma, addr, pmdp, flags)
    if (!ptePresent(pte)) {
      if (isMigrationEntry(pte)) yield* this.k.migrationEntries.migrationEntryWait(mm, pmdp, addr)
      return 0
    }
    return yield* this.handlePresentPte(mm, vma, addr, pmdp, pte, flags)
  }

  /** Part of handle_pte_fault(). */
  protected *handlePresentPte(
    mm: PhysAddr,
    vma: PhysAddr,
    addr: VirtAddr,
    pmdp: PhysAddr,
    pte: PteWord,
    flags: number,
  ): Step<number> {
    const ptep = yield* this.k.tables.pteOffsetMapLock(mm, pmdp, addr)
    if (ptep === 0) return 0
    if (!pteSame((yield* this.cpu.readOnce64(ptep)) as PteWord, pte)) {
      yield* this.k.tables.pteUnmapUnlock(ptep)
      return 0
    }
    if (pteProtnone(pte) && vmaIsAccessible(vma)) return yield* this.doNumaPage(vma, addr, ptep)
    if (flags !== 0 && !pteWrite(pte)) return yield* this.doWpPage(mm, vma, addr, pmdp, ptep, pte, flags)
    const write = (flags & FAULT_FLAG_WRITE) !== 0
    const entry = write ? pteMkdirty(pteMkyoung(pte)) : pteMkyoung(pte)
    const changed = yield* this.k.ops.ptepSetAccessFlags(vma, addr, ptep, entry, write)
    // Another CPU was first: the entry allows the store, and this CPU's translation may not yet.
    if (!changed && write) yield* this.k.tlbFlush.flushTlbFixSpuriousFault(vma, addr, ptep)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /**
   * do_numa_page() without the migration: the entry gets its access rights back. Caller: the VMA is accessible. Without
   * access rights PROT_NONE is what the entry is meant to say, and there is nothing to give back: a forced access, the
   * only one that is possible then, would find the same entry again and again (38e0885465, v4.10).
   */
  protected *doNumaPage(vma: PhysAddr, addr: VirtAddr, ptep: PhysAddr): Step<number> {
    const old = yield* this.k.ops.ptepModifyProtStart(vma, addr, ptep)
    let entry = pteMkyoung(pteModify(old, this.pageProt(vma)))
    if (pteWrite(entry) || (yield* this.mayMakeWritable(vma, entry))) entry = pteMkwrite(entry)
    yield* this.k.ops.ptepModifyProtCommit(vma, addr, ptep, old, entry)
    yield* this.k.tables.pteUnmapUnlock(ptep)
    return 0
  }

  /** Part of do_numa_page(): spares the write fault that would find nothing to do but to set the bit. */
  protected *mayMakeWritable(vma: PhysAddr, pte: PteWord): Step<boolean> {
    const flags = peek32(vma + VMA.at.flags)
    if ((flags & VM_WRITE) === 0 || (flags & VM_SHARED) !== 0) return false
    return yield* this.k.mprotect.canChangePteWritable(vma, pte)
  }

  /** do_pte_missing(). */
  protected *doPteMissing(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr, flags: number): Step<number> {
    return peek32(vma + VMA.at.file) !== 0
      ? yield* this.doFault(mm, vma, addr, pmdp, flags)
      : yield* this.doAnonymousPage(mm, vma, addr, pmdp, flags)
  }
}
