/**
 * Address spaces: the table of mm_structs, their users, mmap_lock.
 *
 * Source: kernel/fork.c mm_init() and mmput(), include/linux/mmap_lock.h (v6.12). Departure: mm_count keeps the structure and
 * not the top table, which upstream keeps for kernel threads that run on a dead mm lazily; there are none, so an mm
 * without users is loaded nowhere, and that is asserted.
 */
import { assert } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import { CPU_AREA } from '../machine/cpu/area.js'
import type { Step } from '../machine/engine/engine.js'
import { fillBytes, peek32, peekF64, poke32, pokeF64 } from '../machine/image/image.js'
import type { Layout } from '../machine/image/layout.js'
import { struct } from '../machine/image/struct.js'
import { downgradeWrite, downRead, downReadTrylock, downWrite, upRead, upWrite } from '../sync/rwsem.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import { Part, type KernelConfig } from './kernel.js'
import { ANON_VMA, FILE, MM, VMA } from './mmStruct.js'

/** Locks and free lists of the tables of kernel structures. */
export const TABLES = struct('tables', 256, {
  mmLock: [0, 8],
  nextCtxId: [8, 4], //   (mmLock) address spaces made so far
  vmaLock: [64, 8],
  freeVma: [72, 4], //    (vmaLock) first free slot, linked by nextFree
  anonVmaLock: [128, 8],
  freeAnonVma: [136, 4],
  fileLock: [192, 8],
  nextFileId: [200, 4], // (fileLock)
  pgtableLock: [208, 8], // lists of pages of tables, in a design that has one lock for all (pgalloc/)
})

/** One slot of the page cache: address of a struct page, 0 for none. */
const CACHE_SLOT = struct('pageCache', 4, { page: [0, 4] })

/** Places the tables of everything that address spaces are made of. */
export function placeAddressSpaces(
  layout: Layout,
  config: Pick<KernelConfig, 'mms' | 'vmas' | 'anonVmas' | 'files' | 'filePages'>,
): Record<'tables' | 'mms' | 'vmas' | 'anonVmas' | 'files' | 'pageCache', PhysAddr> {
  return {
    tables: layout.add('tables', TABLES, 1),
    mms: layout.add('mm', MM, config.mms),
    vmas: layout.add('vma', VMA, config.vmas),
    anonVmas: layout.add('anonVma', ANON_VMA, config.anonVmas),
    files: layout.add('file', FILE, config.files),
    pageCache: layout.add('pageCache', CACHE_SLOT, config.filePages),
  }
}

export class Mms extends Part {
  /** Boot, one CPU: every slot is free. */
  format(): void {
    fillBytes(this.k.regions.tables, 0, TABLES.size)
    fillBytes(this.k.regions.mms, 0, MM.size * this.k.config.mms)
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  /** A new empty address space with one user; 0 without memory or a free slot. */
  *mmAlloc(): Step<PhysAddr> {
    const mm = yield* this.#takeSlot()
    if (mm === 0) return mm
    if (!(yield* this.k.upper.newTop(mm))) {
      yield* this.#freeSlot(mm)
      return phys(0)
    }
    poke32(mm + MM.at.mmUsers, 1)
    poke32(mm + MM.at.mmCount, 1)
    this.k.pgalloc.initMm(mm)
    pokeF64(mm + MM.at.mmapBase, peekF64(mm + MM.at.asceLimit))
    return mm
  }

  /** One more user. Caller: is one, or holds something that one keeps up. */
  *mmget(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(mm + MM.at.mmUsers), 1)
  }

  /** mmget_not_zero(): one more user, unless the last one has gone. */
  *mmgetNotZero(mm: PhysAddr): Step<boolean> {
    return yield* this.cpu.atomicAddUnless32(phys(mm + MM.at.mmUsers), 1, 0)
  }

  /** Drops a user; the last one takes the address space apart. A CPU whose current mm this is leaves it first. */
  *mmput(mm: PhysAddr): Step<void> {
    // Full barrier: what this user did with the address space before another one finds itself the last.
    const users = yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.mmUsers), -1)
    assert(users >= 0, 'mmput() without mmget()')
    if (users > 0) return
    if (this.currentMm() === mm) yield* this.k.tlbFlush.switchMm(phys(0))
    yield* this.k.exit.exitMmap(mm)
    assert(!this.k.tlbFlush.isLoaded(mm), 'an mm without users is loaded on no CPU')
    yield* this.k.pgalloc.destroyMm(mm)
    yield* this.k.upper.freeTop(mm)
    yield* this.mmdrop(mm)
  }

  /** One more reference to the structure, which keeps nothing of the address space. Caller: has one, or is a user. */
  *mmgrab(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(mm + MM.at.mmCount), 1)
  }

  /** Drops one; the last one frees the slot. Callable in a callback, as mmdrop_async() is. */
  *mmdrop(mm: PhysAddr): Step<void> {
    // Full barrier: this holder's accesses to the structure before the slot is another's.
    if ((yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.mmCount), -1)) === 0) yield* this.#freeSlot(mm)
  }

  /** The mm that this CPU's user accesses go to; 0: none. */
  currentMm(): PhysAddr {
    return phys(peek32(this.cpu.area + CPU_AREA.at.currentMm))
  }

  *#takeSlot(): Step<PhysAddr> {
    const lock = phys(this.k.regions.tables + TABLES.at.mmLock)
    yield* spinLock(this.cpu, lock)
    const mm = this.#findFree()
    if (mm !== 0) this.#clear(mm)
    yield* spinUnlock(this.cpu, lock)
    return mm
  }

  #findFree(): PhysAddr {
    for (let i = 0; i < this.k.config.mms; i++) {
      const mm = this.k.regions.mms + i * MM.size
      if (peek32(mm + MM.at.inUse) === 0) return phys(mm)
    }
    return phys(0)
  }

  #clear(mm: PhysAddr): void {
    const counter = this.k.regions.tables + TABLES.at.nextCtxId
    const ctxId = peek32(counter) + 1
    poke32(counter, ctxId)
    fillBytes(mm, 0, MM.size)
    poke32(mm + MM.at.inUse, 1)
    poke32(mm + MM.at.ctxId, ctxId)
  }

  *#freeSlot(mm: PhysAddr): Step<void> {
    const lock = phys(this.k.regions.tables + TABLES.at.mmLock)
    yield* spinLock(this.cpu, lock)
    poke32(mm + MM.at.inUse, 0)
    yield* spinUnlock(this.cpu, lock)
  }

  // ---- mmap_lock --------------------------------------------------------------------------------------------------

  *mmapReadLock(mm: PhysAddr): Step<void> {
    yield* downRead(this.cpu, this.k.rcu, phys(mm + MM.at.mmapLock))
  }

  *mmapReadTrylock(mm: PhysAddr): Step<boolean> {
    return yield* downReadTrylock(this.cpu, phys(mm + MM.at.mmapLock))
  }

  *mmapReadUnlock(mm: PhysAddr): Step<void> {
    yield* upRead(this.cpu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteLock(mm: PhysAddr): Step<void> {
    yield* downWrite(this.cpu, this.k.rcu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteUnlock(mm: PhysAddr): Step<void> {
    yield* upWrite(this.cpu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteDowngrade(mm: PhysAddr): Step<void> {
    yield* downgradeWrite(this.cpu, phys(mm + MM.at.mmapLock))
  }
}
