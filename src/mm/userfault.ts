/**
 * Filling one page of a shared file mapping for a userfaultfd monitor: UFFDIO_CONTINUE, which maps what the page cache
 * has. Here for one reason: it is a walker that expects the table it has just made to be there.
 *
 * Source: mm/userfaultfd.c mfill_atomic() and mfill_atomic_pte_continue() (v6.12). Left out: registration of ranges,
 * the messages, the other kinds of filling, and write protection; none of them holds a table in another way.
 */
import { type PhysAddr, type PteWord, type VirtAddr } from '../base/units.js'
import { pmdLeaf, pmdNone, pmdPresent } from '../arch/entry.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32 } from '../machine/image/guarded.js'
import { Level } from '../arch/level.js'
import { Part } from './part.js'
import { EAGAIN, EEXIST, EINVAL, ENOMEM, VM_SHARED, VM_WRITE, VMA } from './mmStruct.js'

export class Userfault extends Part {
  /** Maps the page of the file at `addr` of this CPU's mm: 0, -EEXIST when something is there, -EINVAL, -ENOMEM. */
  *mfillContinue(addr: VirtAddr): Step<number> {
    const mm = this.k.mms.currentMm()
    if (mm === 0) return -EINVAL
    const page = this.k.geo.pageAlignDown(addr)
    yield* this.k.mms.mmapReadLock(mm)
    const vma = this.k.vmas.vmaLookup(mm, page)
    let result = -EINVAL
    if (vma !== 0 && peek32(vma + VMA.at.file) !== 0 && (peek32(vma + VMA.at.flags) & VM_SHARED) !== 0)
      do result = yield* this.fillOnce(mm, vma, page)
      while (result === -EAGAIN)
    yield* this.k.mms.mmapReadUnlock(mm)
    return result
  }

  /** One round: -EAGAIN when khugepaged has taken the table away in the middle of it. */
  protected *fillOnce(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr): Step<number> {
    const pmdp = yield* this.k.upper.mmAllocPmd(mm, addr)
    if (pmdp === 0) return -ENOMEM
    if (!(yield* this.k.tables.pteAlloc(mm, pmdp, addr))) return -ENOMEM
    const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
    this.k.observer.tableRead(this.cpu, Level.pmd, pmdp)
    if (pmdNone(pmd)) return this.tableGone(pmdp)
    if (!pmdPresent(pmd) || pmdLeaf(pmd)) return -EEXIST
    return yield* this.mapPage(mm, vma, addr, pmdp)
  }

  /** The table was there a moment ago, and mmap_lock is held for read: that does not keep it. */
  protected tableGone(_pmdp: PhysAddr): number {
    return -EAGAIN
  }

  protected *mapPage(mm: PhysAddr, vma: PhysAddr, addr: VirtAddr, pmdp: PhysAddr): Step<number> {
    const page = yield* this.k.files.filemapFault(vma, this.k.rmap.linearPageIndex(vma, addr))
    if (page === 0) return -EINVAL
    const writable = (peek32(vma + VMA.at.flags) & VM_WRITE) !== 0
    const result = yield* this.k.fault.finishFault(mm, vma, addr, pmdp, page, writable)
    return result === 'mapped' ? 0 : result === 'taken' ? -EEXIST : -EAGAIN
  }
}
