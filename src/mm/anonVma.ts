/**
 * anon_vma: for anonymous memory, who may have mapped a folio. An rmap walk takes its lock and visits its VMAs.
 *
 * Source: mm/rmap.c (v6.12). Departure: a VMA belongs to one anon_vma, which its whole fork family shares, instead of a
 * chain of them; a walk visits more VMAs than upstream, never fewer, and the lock (upstream: the root's) is the same
 * one. VMA.anonForked keeps what only upstream's chain can tell, whether a child inherited its pages: merging looks at
 * it.
 *
 * The VMAs are listed in order of their pgoff, equal ones in order of arrival, as upstream's interval tree yields them:
 * mremap relies on a walk that meets the old place of a page before the new one.
 *
 * Slots stay anon_vmas for ever and are reused at once, like a SLAB_TYPESAFE_BY_RCU cache. So their lock is never
 * initialised again: a walker that comes late may hold it, and finds out afterwards that it has the wrong one.
 */
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { peek32, peekF64, poke32 } from '../machine/image/guarded.js'
import {
  downRead,
  downReadTrylock,
  downWrite,
  isReadLocked,
  isWriteLocked,
  rwsemAssertHeld,
  rwsemAssertHeldWrite,
  upRead,
  upWrite,
} from '../sync/rwsem.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part } from './part.js'
import { TABLES } from './mms.js'
import { ANON_VMA, ENOMEM, VM_EXEC, VM_READ, VM_WRITE, VMA } from './mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON } from './page.js'

const NONE = phys(0)

export class AnonVmas extends Part {
  // ---- a VMA gets one -----------------------------------------------------------------------------------------------

  /**
   * anon_vma_prepare(): before the first anonymous page of `vma`. 0, or -ENOMEM. Caller: mmap_lock, for read is enough;
   * two faults may be here at once, and page_table_lock decides whose anon_vma it is.
   */
  *anonVmaPrepare(vma: PhysAddr): Step<number> {
    if ((yield* this.cpu.readOnce32(phys(vma + VMA.at.anonVma))) !== 0) return 0
    this.k.mms.mmapAssertLocked(this.k.mmOf(vma))
    const found = yield* this.findMergeableAnonVma(vma)
    const anonVma = found !== 0 ? found : yield* this.takeSlot()
    if (anonVma === 0) return -ENOMEM
    const taken = yield* this.publish(vma, anonVma)
    if (!taken && found === 0) yield* this.freeSlot(anonVma)
    return 0
  }

  /** Part of __anon_vma_prepare(): false when another fault was first. */
  protected *publish(vma: PhysAddr, anonVma: PhysAddr): Step<boolean> {
    const mm = this.k.mmOf(vma)
    yield* this.anonVmaLockWrite(anonVma)
    yield* this.k.tables.pageTableLock(mm)
    const first = (yield* this.cpu.readOnce32(phys(vma + VMA.at.anonVma))) === 0
    if (first) {
      yield* this.cpu.writeOnce32(phys(vma + VMA.at.anonVma), anonVma)
      this.insertVma(anonVma, vma)
      yield* this.cpu.atomicAdd32(phys(anonVma + ANON_VMA.at.refcount), 1)
    }
    yield* this.k.tables.pageTableUnlock(mm)
    yield* this.anonVmaUnlockWrite(anonVma)
    return first
  }

  /** find_mergeable_anon_vma(): a neighbour's, so that the two can be merged later. */
  protected *findMergeableAnonVma(vma: PhysAddr): Step<PhysAddr> {
    const next = this.k.vmas.next(vma)
    const fromNext = next === 0 ? NONE : yield* this.reusableAnonVma(next, vma, next)
    if (fromNext !== 0) return fromNext
    const prev = this.k.vmas.prev(vma)
    return prev === 0 ? NONE : yield* this.reusableAnonVma(prev, prev, vma)
  }

  /** reusable_anon_vma(): that of `old`, if `a` and `b` differ in access rights only. Another fault may just set it. */
  protected *reusableAnonVma(old: PhysAddr, a: PhysAddr, b: PhysAddr): Step<PhysAddr> {
    if (!this.anonVmaCompatible(a, b) || peek32(old + VMA.at.anonForked) !== 0) return NONE
    return phys(yield* this.cpu.readOnce32(phys(old + VMA.at.anonVma)))
  }

  /** anon_vma_compatible(). */
  protected anonVmaCompatible(a: PhysAddr, b: PhysAddr): boolean {
    const [start, end] = [peekF64(a + VMA.at.start), peekF64(a + VMA.at.end)]
    const differing = peek32(a + VMA.at.flags) ^ peek32(b + VMA.at.flags)
    if (end !== peekF64(b + VMA.at.start) || (differing & ~(VM_READ | VM_WRITE | VM_EXEC)) !== 0) return false
    if (peek32(a + VMA.at.file) !== peek32(b + VMA.at.file)) return false
    if (peek32(a + VMA.at.label) !== peek32(b + VMA.at.label)) return false
    return peekF64(b + VMA.at.pgoff) === peekF64(a + VMA.at.pgoff) + (end - start) / this.k.geo.pageSize
  }

  /** anon_vma_clone(): `dst`, which is linked nowhere yet, joins the anon_vma of `src`. Caller: mmap_lock for write. */
  *anonVmaClone(dst: PhysAddr, src: PhysAddr): Step<void> {
    this.k.mms.mmapAssertWriteLocked(this.k.mmOf(src))
    const anonVma = phys(peek32(src + VMA.at.anonVma))
    poke32(dst + VMA.at.anonForked, peek32(src + VMA.at.anonForked))
    if (anonVma === 0) return
    yield* this.anonVmaLockWrite(anonVma)
    poke32(dst + VMA.at.anonVma, anonVma)
    this.insertVma(anonVma, dst)
    yield* this.cpu.atomicAdd32(phys(anonVma + ANON_VMA.at.refcount), 1)
    yield* this.anonVmaUnlockWrite(anonVma)
  }

  /** anon_vma_fork(): as anonVmaClone(), for a VMA of a child, which inherits the pages. */
  *anonVmaFork(dst: PhysAddr, src: PhysAddr): Step<void> {
    yield* this.anonVmaClone(dst, src)
    if (peek32(dst + VMA.at.anonVma) !== 0) poke32(dst + VMA.at.anonForked, dst)
  }

  /** unlink_anon_vmas(): no rmap walk finds `vma` any more. Caller: mmap_lock for write, or the mm's last user. */
  *unlinkAnonVmas(vma: PhysAddr): Step<void> {
    const anonVma = phys(peek32(vma + VMA.at.anonVma))
    if (anonVma === 0) return
    yield* this.anonVmaLockWrite(anonVma)
    this.removeVma(anonVma, vma)
    yield* this.anonVmaUnlockWrite(anonVma)
    poke32(vma + VMA.at.anonVma, 0)
    poke32(vma + VMA.at.anonForked, 0)
    yield* this.putAnonVma(anonVma)
  }

  // ---- the list of VMAs, anon_vma lock held for write --------------------------------------------------------------

  /** Links `vma` behind those with the same or a smaller pgoff. */
  insertVma(anonVma: PhysAddr, vma: PhysAddr): void {
    rwsemAssertHeldWrite(this.cpu, anonVma)
    const pgoff = peekF64(vma + VMA.at.pgoff)
    let before = 0
    let after = peek32(anonVma + ANON_VMA.at.firstVma)
    while (after !== 0 && peekF64(after + VMA.at.pgoff) <= pgoff) {
      before = after
      after = peek32(after + VMA.at.anonNext)
    }
    poke32(vma + VMA.at.anonPrev, before)
    poke32(vma + VMA.at.anonNext, after)
    if (after !== 0) poke32(after + VMA.at.anonPrev, vma)
    if (before === 0) poke32(anonVma + ANON_VMA.at.firstVma, vma)
    else poke32(before + VMA.at.anonNext, vma)
  }

  removeVma(anonVma: PhysAddr, vma: PhysAddr): void {
    rwsemAssertHeldWrite(this.cpu, anonVma)
    const before = peek32(vma + VMA.at.anonPrev)
    const after = peek32(vma + VMA.at.anonNext)
    if (after !== 0) poke32(after + VMA.at.anonPrev, before)
    if (before === 0) poke32(anonVma + ANON_VMA.at.firstVma, after)
    else poke32(before + VMA.at.anonNext, after)
  }

  // ---- lock and references -----------------------------------------------------------------------------------------

  /** anon_vma_lock_read(). */
  *anonVmaLockRead(anonVma: PhysAddr): Step<void> {
    yield* downRead(this.cpu, this.k.rcu, anonVma)
  }

  /** anon_vma_unlock_read(). */
  *anonVmaUnlockRead(anonVma: PhysAddr): Step<void> {
    yield* upRead(this.cpu, anonVma)
  }

  /** anon_vma_lock_write(). */
  *anonVmaLockWrite(anonVma: PhysAddr): Step<void> {
    yield* downWrite(this.cpu, this.k.rcu, anonVma)
  }

  /** anon_vma_unlock_write(). */
  *anonVmaUnlockWrite(anonVma: PhysAddr): Step<void> {
    yield* upWrite(this.cpu, anonVma)
  }

  /** anon_vma_assert_locked(): the caller holds the lock of `anonVma`, to read or to write. */
  anonVmaAssertLocked(anonVma: PhysAddr): void {
    rwsemAssertHeld(this.cpu, anonVma)
  }

  /** put_anon_vma(): drops a reference; the slot is free with the last one. */
  *putAnonVma(anonVma: PhysAddr): Step<void> {
    if ((yield* this.cpu.atomicAddReturn32(phys(anonVma + ANON_VMA.at.refcount), -1)) !== 0) return
    // A walker may still be between its trylock and its look at the mapcount: wait for it, so that an anon_vma that is
    // locked by somebody who found it through a mapped folio is not freed. The full barrier above: count before lock.
    // Pairs with the trylock in folioLockAnonVmaRead().
    if (isReadLocked(anonVma) || isWriteLocked(anonVma)) {
      yield* this.anonVmaLockWrite(anonVma)
      yield* this.anonVmaUnlockWrite(anonVma)
    }
    yield* this.freeSlot(anonVma)
  }

  /**
   * folio_get_anon_vma(): a reference on the anon_vma of a folio that nobody has locked; 0 when it is not mapped. The
   * folio may be unmapped and its anon_vma reused at any moment; a folio that is mapped after the reference was taken
   * has kept its anon_vma alive all along.
   */
  *folioGetAnonVma(folio: PhysAddr): Step<PhysAddr> {
    this.k.rcu.rcuReadLock()
    const anonVma = yield* this.anonVmaOfMapped(folio)
    const counted = anonVma !== 0 && (yield* this.tryGet(anonVma))
    const mapped = counted && (yield* this.k.folios.folioMapcount(folio)) > 0
    this.k.rcu.rcuReadUnlock()
    if (counted && !mapped) yield* this.putAnonVma(anonVma)
    return mapped ? anonVma : NONE
  }

  /** folio_lock_anon_vma_read(): the anon_vma of a folio, locked for read; 0 when the folio is not mapped. */
  *folioLockAnonVmaRead(folio: PhysAddr): Step<PhysAddr> {
    this.k.rcu.rcuReadLock()
    const anonVma = yield* this.anonVmaOfMapped(folio)
    if (anonVma === 0 || (yield* downReadTrylock(this.cpu, anonVma))) {
      // Still mapped: then this is still its anon_vma, and the lock keeps it from being freed.
      const mapped = anonVma !== 0 && (yield* this.k.folios.folioMapcount(folio)) > 0
      this.k.rcu.rcuReadUnlock()
      if (anonVma !== 0 && !mapped) yield* this.anonVmaUnlockRead(anonVma)
      return mapped ? anonVma : NONE
    }
    const counted = yield* this.tryGet(anonVma)
    const mapped = counted && (yield* this.k.folios.folioMapcount(folio)) > 0
    this.k.rcu.rcuReadUnlock()
    if (counted && !mapped) yield* this.putAnonVma(anonVma)
    return mapped ? yield* this.lockReferenced(anonVma) : NONE
  }

  /** Sleeps for the lock of an anon_vma that a reference keeps, and drops the reference: the lock is enough now. */
  protected *lockReferenced(anonVma: PhysAddr): Step<PhysAddr> {
    yield* this.anonVmaLockRead(anonVma)
    if ((yield* this.cpu.atomicAddReturn32(phys(anonVma + ANON_VMA.at.refcount), -1)) !== 0) return anonVma
    // It was the last one. putAnonVma() would wait for our own lock.
    yield* this.anonVmaUnlockRead(anonVma)
    yield* this.freeSlot(anonVma)
    return NONE
  }

  protected *anonVmaOfMapped(folio: PhysAddr): Step<PhysAddr> {
    const mapping = yield* this.cpu.readOnce32(phys(folio + PAGE.at.mapping))
    if ((mapping & PAGE_MAPPING_ANON) === 0) return NONE
    return (yield* this.k.folios.folioMapcount(folio)) > 0 ? phys(mapping - PAGE_MAPPING_ANON) : NONE
  }

  protected *tryGet(anonVma: PhysAddr): Step<boolean> {
    return yield* this.cpu.atomicAddUnless32(phys(anonVma + ANON_VMA.at.refcount), 1, 0)
  }

  // ---- slots -------------------------------------------------------------------------------------------------------

  protected *takeSlot(): Step<PhysAddr> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.anonVmaLock))
    const slot = this.findFree()
    if (slot !== 0) {
      this.k.observer.objectOwned(this.cpu, phys(slot))
      poke32(slot + ANON_VMA.at.inUse, 1)
      poke32(slot + ANON_VMA.at.firstVma, 0)
      this.k.observer.objectShared(this.cpu, phys(slot))
    }
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.anonVmaLock))
    return phys(slot)
  }

  /** A slot that was used before, or else one that nobody has had yet; 0: there is none. */
  protected findFree(): number {
    const { tables, anonVmas } = this.k.regions
    const free = peek32(tables + TABLES.at.freeAnonVma)
    if (free !== 0) {
      poke32(tables + TABLES.at.freeAnonVma, peek32(free + ANON_VMA.at.nextFree))
      return free
    }
    const used = peek32(tables + TABLES.at.anonVmasUsed)
    if (used === this.k.config.anonVmas) return 0
    poke32(tables + TABLES.at.anonVmasUsed, used + 1)
    return anonVmas + used * ANON_VMA.size
  }

  protected *freeSlot(slot: PhysAddr): Step<void> {
    const { tables } = this.k.regions
    yield* spinLock(this.cpu, phys(tables + TABLES.at.anonVmaLock))
    poke32(slot + ANON_VMA.at.inUse, 0)
    poke32(slot + ANON_VMA.at.nextFree, peek32(tables + TABLES.at.freeAnonVma))
    poke32(tables + TABLES.at.freeAnonVma, slot)
    yield* spinUnlock(this.cpu, phys(tables + TABLES.at.anonVmaLock))
  }
}
