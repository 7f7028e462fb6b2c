/**
 * Address spaces: the table of mm_structs, their users, mmap_lock.
 *
 * Source: kernel/fork.c mm_init(), mmput() and __mmdrop(), kernel/exit.c exit_mm(), kernel/sched/core.c
 * context_switch(), include/linux/mmap_lock.h (v6.12). mm_users keeps the address space, mm_count the structure and the
 * top table, for kernel threads that have borrowed it and may run on a dead mm.
 */
import { CPU_STATE } from '../arch/cpuState.js'
import { assert } from '../base/assert.js'
import { phys, type PhysAddr } from '../base/units.js'
import type { Step } from '../machine/engine/engine.js'
import { fillBytes, peek32, peekF64, poke32, pokeF64 } from '../machine/image/guarded.js'
import type { Layout } from '../machine/image/layout.js'
import {
  atomic,
  guard,
  lockWord,
  ownLock,
  wordAt,
  type Guard,
  type Holder,
  type Places,
} from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'
import {
  downgradeWrite,
  downRead,
  downWrite,
  rwsemAssertHeld,
  rwsemAssertHeldWrite,
  upRead,
  upWrite,
} from '../sync/rwsem.js'
import { spinLock, spinUnlock } from '../sync/spinlock.js'
import type { KernelConfig } from './kernel.js'
import { Part } from './part.js'
import { MAPLE_CPU, MAPLE_NODE, mapleNodesOf } from './maple/mapleNode.js'
import { ANON_VMA, ANON_VMA_LOCK, FILE, FILE_LOCK, MAPLE_LOCK, MM, VMA, VMA_LOCK } from './mmStruct.js'
import { PGTABLE_LOCK } from './page.js'

/** Locks and free lists of the tables of kernel structures. Guards in mmStruct.ts and page.ts know where locks are. */
export const TABLES = struct('tables', 256, {
  mmLock: [0, 8, lockWord],
  nextCtxId: [8, 4, ownLock('the lock of the mm table', 0)], //   (mmLock) address spaces made so far
  vmaLock: [64, 8, lockWord],
  freeVma: [72, 4, ownLock('the lock of the VMA table', 64)], //    (vmaLock) first of the free slots that were used, linked by nextFree
  vmasUsed: [76, 4, ownLock('the lock of the VMA table', 64)], //   (vmaLock) slots that were ever used
  anonVmaLock: [128, 8, lockWord],
  freeAnonVma: [136, 4, ownLock('the lock of the anon_vma table', 128)], // (anonVmaLock) as freeVma
  anonVmasUsed: [140, 4, ownLock('the lock of the anon_vma table', 128)],
  fileLock: [192, 8, lockWord],
  nextFileId: [200, 4, ownLock('the lock of the file table', 192)], // (fileLock)
  mapleLock: [216, 8, lockWord], // the pool of nodes of maple trees
  freeMapleNode: [224, 4, ownLock('the lock of the pool of nodes', 216)], // (mapleLock) first of those that were used
  mapleNodesUsed: [228, 4, ownLock('the lock of the pool of nodes', 216)], // (mapleLock) nodes that were ever used
  pgtableLock: [208, 8, lockWord], // lists of pages of tables, in a design that has one lock for all (pgalloc/)
})

assert(TABLES.at.vmaLock === VMA_LOCK, 'guards of VMAs find their lock')
assert(TABLES.at.anonVmaLock === ANON_VMA_LOCK, 'guards of anon_vmas find their lock')
assert(TABLES.at.mapleLock === MAPLE_LOCK, 'guards of nodes find their lock')
assert(TABLES.at.fileLock === FILE_LOCK, 'guards of files find their lock')
assert(TABLES.at.pgtableLock === PGTABLE_LOCK, 'guards of listed pages find their lock')

/** The slot of the page cache at `slot` is one of `file`. */
function hasSlot(file: number, slot: number): boolean {
  const first = wordAt(file + FILE.at.cache)
  return slot >= first && slot < first + 4 * wordAt(file + FILE.at.pages)
}

/** A file at which `test` is true, 0: none. */
function fileWith(places: Places, test: (file: number) => boolean): number {
  const end = places.base('pageCache')
  for (let file = places.base('file'); file < end; file += FILE.size) if (test(file)) return file
  return 0
}

const cacheSlot: Guard = guard(
  'i_pages of the file; or its last user, who has found the count zero',
  (holder, slot) => mayUseSlot(holder, slot),
  (holder, slot) => mayUseSlot(holder, slot),
  (slot, places) => fileWith(places, (file) => wordAt(file + FILE.at.id) !== 0 && hasSlot(file, slot)) + FILE.at.lock,
)

/** Files come and go, but one whose lock this CPU holds, or whose last user it was, keeps its slots. */
function mayUseSlot(holder: Holder, slot: number): boolean {
  const isMine = (file: number): boolean => holder.owns(file) || holder.holdsToWrite(file + FILE.at.lock)
  return fileWith(holder.places, (file) => isMine(file) && hasSlot(file, slot)) !== 0
}

/** One slot of the page cache: address of a struct page, 0 for none. */
const CACHE_SLOT = struct('pageCache', 4, { page: [0, 4, cacheSlot] })
/** By slot, 1: the page was cut off or punched out of an ordinary file, and reads as zeroes. */
const HOLE = struct('pageHole', 4, { hole: [0, 4, atomic] })

/** Places the tables of everything that address spaces are made of. */
export function placeAddressSpaces(
  layout: Layout,
  config: Pick<KernelConfig, 'mms' | 'vmas' | 'anonVmas' | 'files' | 'filePages'>,
  cpus: number,
): Record<
  'tables' | 'mms' | 'vmas' | 'mapleNodes' | 'mapleCpus' | 'anonVmas' | 'files' | 'pageCache' | 'pageHoles',
  PhysAddr
> {
  return {
    tables: layout.add('tables', TABLES, 1),
    mms: layout.add('mm', MM, config.mms),
    vmas: layout.add('vma', VMA, config.vmas),
    mapleNodes: layout.add('mapleNode', MAPLE_NODE, mapleNodesOf(config, cpus)),
    mapleCpus: layout.add('mapleCpu', MAPLE_CPU, cpus),
    anonVmas: layout.add('anonVma', ANON_VMA, config.anonVmas),
    files: layout.add('file', FILE, config.files),
    pageCache: layout.add('pageCache', CACHE_SLOT, config.filePages),
    pageHoles: layout.add('pageHole', HOLE, config.filePages),
  }
}

export class Mms extends Part {
  /** Boot, one CPU: every slot is free. */
  format(): void {
    fillBytes(this.k.regions.tables, 0, TABLES.size)
    fillBytes(this.k.regions.mms, 0, MM.size * this.k.config.mms)
  }

  // ---- life -------------------------------------------------------------------------------------------------------

  /** mm_alloc(): a new empty address space with one user; 0 without memory or a free slot. */
  *mmAlloc(): Step<PhysAddr> {
    const mm = yield* this.takeSlot()
    if (mm === 0) return mm
    if (!(yield* this.k.upper.pgdAlloc(mm))) {
      yield* this.freeSlot(mm)
      return phys(0)
    }
    poke32(mm + MM.at.mmUsers, 1)
    poke32(mm + MM.at.mmCount, 1)
    poke32(mm + MM.at.mmLockSeq, this.k.config.perVmaLock ? 1 : 0)
    this.k.pgalloc.initMm(mm)
    pokeF64(mm + MM.at.mmapBase, peekF64(mm + MM.at.asceLimit))
    this.k.observer.objectShared(this.cpu, mm)
    return mm
  }

  /** One more user. Caller: is one, or holds something that one keeps up. */
  *mmget(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(mm + MM.at.mmUsers), 1)
  }

  /** Drops a user; the last one takes the address space apart. A CPU whose current mm this is leaves it first. */
  *mmput(mm: PhysAddr): Step<void> {
    // Full barrier: what this user did with the address space before another one finds itself the last.
    const users = yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.mmUsers), -1)
    assert(users >= 0, 'mmput() without mmget()')
    if (users > 0) return
    if (this.currentMm() === mm) yield* this.k.tlbFlush.switchMmIrqsOff(phys(0))
    yield* this.k.exit.exitMmap(mm)
    yield* this.k.pgalloc.destroyMm(mm)
    yield* this.mmdrop(mm)
  }

  /**
   * One more reference to the structure, which keeps nothing of the address space but its top. Caller: has one, or is a
   * user.
   */
  *mmgrab(mm: PhysAddr): Step<void> {
    yield* this.cpu.atomicAdd32(phys(mm + MM.at.mmCount), 1)
  }

  /** Drops one; the last one frees the top table and the slot. Callable in a callback, as mmdrop_async() is. */
  *mmdrop(mm: PhysAddr): Step<void> {
    // Full barrier: this holder's accesses to the structure before the slot is another's.
    if ((yield* this.cpu.atomicAddReturn32(phys(mm + MM.at.mmCount), -1)) !== 0) return
    this.k.observer.objectOwned(this.cpu, mm)
    assert(!this.k.tlbFlush.isLoaded(mm), 'an mm without references is loaded on no CPU')
    yield* this.k.upper.pgdFree(mm)
    yield* this.freeSlot(mm)
  }

  /** The mm of the process that runs on this CPU; 0: none does, or a kernel thread. */
  currentMm(): PhysAddr {
    const { area } = this.cpu
    return phys(peek32(area + CPU_STATE.at.activeMm) !== 0 ? 0 : peek32(area + CPU_STATE.at.currentMm))
  }

  /**
   * A kernel thread runs on this CPU from now on and borrows the address space of the process before it, if one ran.
   */
  *borrowMm(): Step<void> {
    const mm = this.currentMm()
    if (mm === 0) return
    yield* this.mmgrab(mm)
    poke32(this.cpu.area + CPU_STATE.at.activeMm, mm)
    yield* this.k.tlbFlush.enterLazyTlb()
  }

  /** The mm that the kernel thread on this CPU has borrowed; 0: none. */
  activeMm(): PhysAddr {
    return phys(peek32(this.cpu.area + CPU_STATE.at.activeMm))
  }

  /** context_switch() to a process with `mm`, or to none (0); what a kernel thread had borrowed goes back. */
  *contextSwitch(mm: PhysAddr): Step<void> {
    const borrowed = this.activeMm()
    yield* this.k.tlbFlush.switchMmIrqsOff(mm)
    if (borrowed === 0) return
    poke32(this.cpu.area + CPU_STATE.at.activeMm, 0)
    yield* this.mmdrop(borrowed)
  }

  protected *takeSlot(): Step<PhysAddr> {
    const lock = phys(this.k.regions.tables + TABLES.at.mmLock)
    yield* spinLock(this.cpu, lock)
    const mm = this.findFree()
    if (mm !== 0) this.clear(mm)
    yield* spinUnlock(this.cpu, lock)
    return mm
  }

  protected findFree(): PhysAddr {
    for (let i = 0; i < this.k.config.mms; i++) {
      const mm = this.k.regions.mms + i * MM.size
      if (peek32(mm + MM.at.inUse) === 0) return phys(mm)
    }
    return phys(0)
  }

  protected clear(mm: PhysAddr): void {
    const counter = this.k.regions.tables + TABLES.at.nextCtxId
    const ctxId = peek32(counter) + 1
    poke32(counter, ctxId)
    this.k.observer.objectOwned(this.cpu, mm)
    fillBytes(mm, 0, MM.size)
    poke32(mm + MM.at.inUse, 1)
    poke32(mm + MM.at.ctxId, ctxId)
  }

  protected *freeSlot(mm: PhysAddr): Step<void> {
    const lock = phys(this.k.regions.tables + TABLES.at.mmLock)
    yield* spinLock(this.cpu, lock)
    poke32(mm + MM.at.inUse, 0)
    this.k.observer.objectShared(this.cpu, mm)
    yield* spinUnlock(this.cpu, lock)
  }

  // ---- mmap_lock --------------------------------------------------------------------------------------------------

  *mmapReadLock(mm: PhysAddr): Step<void> {
    yield* downRead(this.cpu, this.k.rcu, phys(mm + MM.at.mmapLock))
  }

  *mmapReadUnlock(mm: PhysAddr): Step<void> {
    yield* upRead(this.cpu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteLock(mm: PhysAddr): Step<void> {
    yield* downWrite(this.cpu, this.k.rcu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteUnlock(mm: PhysAddr): Step<void> {
    yield* this.k.vmaLock.vmaEndWriteAll(mm)
    yield* upWrite(this.cpu, phys(mm + MM.at.mmapLock))
  }

  *mmapWriteDowngrade(mm: PhysAddr): Step<void> {
    yield* this.k.vmaLock.vmaEndWriteAll(mm)
    yield* downgradeWrite(this.cpu, phys(mm + MM.at.mmapLock))
  }

  /** mmap_assert_locked(): the caller holds mmap_lock, to read or to write. */
  mmapAssertLocked(mm: PhysAddr): void {
    rwsemAssertHeld(this.cpu, phys(mm + MM.at.mmapLock))
  }

  /** mmap_assert_write_locked(): the caller holds mmap_lock to write. */
  mmapAssertWriteLocked(mm: PhysAddr): void {
    rwsemAssertHeldWrite(this.cpu, phys(mm + MM.at.mmapLock))
  }
}
