/**
 * mm_struct, vm_area_struct and anon_vma in the image, with the lock that guards each field.
 *
 * Source: include/linux/mm_types.h, rmap.h (v6.12). Departures: a VMA belongs to one anon_vma shared by its whole fork
 * family instead of a chain of them (an rmap walk then visits more VMAs than upstream, never fewer); without perVmaLock
 * faults take mmap_lock for read, as up to v6.3 and as upstream's fallback still does.
 */
import { MM_CONTEXT } from '../arch/context.js'
import { assert } from '../base/assert.js'
import {
  always,
  atomic,
  constant,
  guard,
  lockedBy,
  lockWord,
  never,
  ownLock,
  wordAt,
  type Guard,
  type Holder,
} from '../machine/image/guard.js'
import { struct } from '../machine/image/struct.js'
import { FILE_HUGE_LOCK } from './page.js'

/** Offsets in TABLES (mms.ts), which is made of these structures and holds them to its own. */
export const VMA_LOCK = 64
export const ANON_VMA_LOCK = 128
export const FILE_LOCK = 192
export const MAPLE_LOCK = 216

/** SLUB's, for objects that were freed. */
export const POISON_FREE = 0x6b

// ---- guards of mm_struct ------------------------------------------------------------------------------------------

const mmapLocked: Guard = lockedBy('mmap_lock of the mm', (mm) => mm + MM.at.mmapLock)
const pageTableLocked: Guard = lockedBy('page_table_lock of the mm', (mm) => mm + MM.at.pageTableLock)
const pgtableListLocked: Guard = lockedBy('the context lock of the mm', (mm) => mm + MM.at.contextLock)
/** With per-VMA locks it is written, and read under RCU, by accessors. */
const mtRoot: Guard = lockedBy('mmap_lock of the mm; read by accessors under RCU', (mm) => mm + MM.at.mmapLock)
const mmSlot: Guard = guard(
  'changed under the lock of the mm table; users of the mm find it set',
  always,
  (holder) => holder.holdsToWrite(holder.places.base('tables')),
  (_mm, places) => places.base('tables'),
)

/** x86-64 and powerpc: of a new mm and constant. s390: levels are added under both locks (crst_table_upgrade()). */
const topTable: Guard = guard(
  'written under mmap_lock and page_table_lock, by accessors once the mm is known',
  () => true,
  (holder, mm) => holder.holdsToWrite(mm + MM.at.mmapLock) && holder.holds(mm + MM.at.pageTableLock),
  (mm) => mm + MM.at.mmapLock,
)

export const MM = struct('mm', 320, {
  cpumask: [0, 8, atomic], //  MM_CONTEXT, same offsets
  pgd: [8, 4, topTable],
  ctxId: [12, 4, constant],
  topLevel: [20, 4, topTable],
  asceLimit: [24, 8, topTable],
  archContext: [32, 16, atomic], // fields that an architecture has alone
  contextLock: [48, 8, lockWord],
  tlbGen: [56, 4, atomic],
  inUse: [16, 4, mmSlot], //   slot of the mm table is taken (mm table lock)
  mmapLock: [64, 16, lockWord], // rwsem
  mmUsers: [128, 4, atomic], // CPUs and others that use the address space (atomic)
  // references to the structure and the top table: one for all users together, and those of mmgrab()
  mmCount: [184, 4, atomic],
  hasPinned: [132, 4, atomic], // MMF_HAS_PINNED: a page of this mm was ever pinned (set before the walk)
  //  mmap_lock:
  mmMt: [136, 4, mtRoot], //      maple_enode of the root of the tree of VMAs (maple/), 0: empty
  mapCount: [140, 4, mmapLocked],
  brkStart: [144, 8, mmapLocked], // doubles
  brk: [152, 8, mmapLocked],
  mmapBase: [160, 8, mmapLocked], // top-down search for unmapped areas starts below
  stackVma: [168, 4, mmapLocked],
  //  atomic counters:
  rssAnon: [172, 4, atomic], // pages
  rssFile: [176, 4, atomic],
  nrPtes: [180, 4, atomic], //  PTE tables, linked or deposited
  tlbFlushPending: [192, 4, atomic], // gathers and protection changes in flight
  tlbFlushBatched: [200, 4, atomic], // batched unmaps not known to be flushed (mm/tlbBatch.ts)
  writeProtectSeq: [196, 4, atomic], // seqcount: fork is write-protecting (mmap_lock held for write)
  // versions of the locks of its VMAs, from 1; 0: a kernel without them (mmap_lock for write, by accessors)
  mmLockSeq: [236, 4, atomic],
  defFlags: [204, 4, mmapLocked], //   VM_ bits that new mappings get: mlockall(MCL_FUTURE)
  //  PTE tables that share pages (pgalloc/):
  pgtableList: [208, 8, pgtableListLocked], // s390: pages with a part to hand out (context lock)
  pteFrag: [224, 4, pageTableLocked], //  powerpc: the next part to hand out (page table lock); 0: none
  pmdFrag: [228, 4, pageTableLocked], //  the same of PMD tables
  pageTableLock: [256, 8, lockWord], // spinlock: upper levels of the tables
})
for (const field of ['cpumask', 'pgd', 'ctxId', 'topLevel', 'asceLimit', 'contextLock', 'tlbGen'] as const)
  assert(MM.at[field] === MM_CONTEXT.at[field], 'MM begins with MM_CONTEXT')

// ---- guards of vm_area_struct -------------------------------------------------------------------------------------

function mmapLockOf(vma: number): number {
  return wordAt(vma + VMA.at.mm) + MM.at.mmapLock
}

/** The VMA's own lock is held: faults of a kernel with per-VMA locks hold nothing else. */
function holdsVmaLock(holder: Holder, vma: number): boolean {
  return holder.holds(vma + VMA.at.vmLock)
}

/** Holds mmap_lock for write, and has called vma_start_write() where VMAs have locks. */
function holdsVmaToWrite(holder: Holder, vma: number): boolean {
  if (!holder.holdsToWrite(mmapLockOf(vma))) return false
  const seq = wordAt(wordAt(vma + VMA.at.mm) + MM.at.mmLockSeq)
  return seq === 0 || wordAt(vma + VMA.at.vmLockSeq) === seq
}

/** The lock of the anon_vma; 0 without one. */
function anonVmaLockOf(vma: number): number {
  return wordAt(vma + VMA.at.anonVma)
}

/** i_mmap_rwsem of the file; 0 without one. */
function iMmapRwsemOf(vma: number): number {
  return wordAt(vma + VMA.at.file)
}

const vmaLocked: Guard = guard(
  'written under mmap_lock after vma_start_write(); read under mmap_lock or the lock of the VMA',
  (holder, vma) => holder.holds(mmapLockOf(vma)) || holdsVmaLock(holder, vma),
  holdsVmaToWrite,
  mmapLockOf,
)
const anonVmaLocked: Guard = lockedBy('the lock of the anon_vma', anonVmaLockOf)
const iMmapLocked: Guard = lockedBy('i_mmap_rwsem of the file', iMmapRwsemOf)
const vmaSlot: Guard = lockedBy('the lock of the VMA table', (_vma, places) => places.base('tables') + VMA_LOCK)

/** One of the locks under which a walker finds the VMA: by its mm, by an anonymous folio, by its file, or its own. */
function holdsOneOfThree(holder: Holder, vma: number): boolean {
  if (holder.holds(mmapLockOf(vma)) || holdsVmaLock(holder, vma)) return true
  return holder.holds(anonVmaLockOf(vma)) || holder.holds(iMmapRwsemOf(vma))
}

/** Who walks a reverse map holds the lock of its list and nothing else. */
const range: Guard = guard(
  'written under mmap_lock after vma_start_write() and, where the VMA is on their lists, the locks of the anon_vma ' +
    'and of the file; read under one of the three, or the lock of the VMA',
  holdsOneOfThree,
  (holder, vma) => {
    const [anonVma, file] = [anonVmaLockOf(vma), wordAt(vma + VMA.at.fileLinked) === 0 ? 0 : iMmapRwsemOf(vma)]
    if (!holdsVmaToWrite(holder, vma)) return false
    return (anonVma === 0 || holder.holdsToWrite(anonVma)) && (file === 0 || holder.holdsToWrite(file))
  },
  mmapLockOf,
)

/** It is in no tree any more, so it is its owner's. */
const detachedOnly: Guard = guard('of who has taken the VMA out of its tree', never, never)

/** Faults set it under mmap_lock for read and page_table_lock, by an accessor: none that was seen once is stable. */
const setOnce: Guard = guard(
  'set once, by a fault with page_table_lock; changed otherwise under mmap_lock for write; ' +
    'read under mmap_lock, for write while it is not set, or under its own lock',
  (holder, vma) =>
    anonVmaLockOf(vma) === 0
      ? holder.holdsToWrite(mmapLockOf(vma)) || holder.holds(wordAt(vma + VMA.at.mm) + MM.at.pageTableLock)
      : holdsOneOfThree(holder, vma),
  holdsVmaToWrite,
  mmapLockOf,
)

const fileLink: Guard = guard(
  'written under i_mmap_rwsem of the file by who holds mmap_lock; read under either',
  (holder, vma) => holder.holds(mmapLockOf(vma)) || holder.holds(iMmapRwsemOf(vma)),
  (holder, vma) => holder.holdsToWrite(iMmapRwsemOf(vma)),
  iMmapRwsemOf,
)

export const VMA = struct('vma', 128, {
  //  mmap_lock of the mm:
  start: [0, 8, range], // doubles, bytes, page aligned
  end: [8, 8, range], //   exclusive
  pgoff: [16, 8, range], // page offset of start in the mapping; anonymous: the linear index it was created with
  flags: [24, 4, vmaLocked], // VM_ bits
  mm: [28, 4, constant],
  nextDetached: [32, 4, detachedOnly], // of those that leave the tree together
  file: [40, 4, constant], // address of the file, 0: anonymous
  anonVma: [44, 4, setOnce], // set once by anon_vma_prepare (mmap_lock, page_table_lock)
  //  anon_vma lock:
  anonNext: [48, 4, anonVmaLocked],
  anonPrev: [52, 4, anonVmaLocked],
  //  i_mmap_rwsem of the file:
  fileNext: [72, 4, iMmapLocked],
  filePrev: [76, 4, iMmapLocked],
  fileLinked: [80, 4, fileLink], // 1: it is on the file's list
  //  vma table lock:
  inUse: [56, 4, vmaSlot],
  nextFree: [60, 4, vmaSlot],
  //  mmap_lock:
  // inherited anonVma: which of the child's VMAs inherited it (upstream: its own anon_vma), else 0
  anonForked: [64, 4, vmaLocked],
  // what else keeps it apart from neighbours (upstream: policy, name, protection key); 0: nothing
  label: [84, 4, vmaLocked],
  //  per-VMA locks, in kernels that have them:
  vmLock: [88, 16, lockWord], //     rwsem: read by faults, taken for write for a moment by vma_start_write()
  vmLockSeq: [104, 4, atomic], //    mm.mmLockSeq when it was last locked for write
  detached: [36, 4, vmaLocked], //   1: it has left its tree
  rcuNext: [112, 4, atomic], //      rcu_head
  rcuFunc: [116, 4, atomic],
})

export const VM_READ = 0x1
export const VM_WRITE = 0x2
export const VM_EXEC = 0x4
/** Any access at all: vma_is_accessible(). */
export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
export const VM_SHARED = 0x8
export const VM_MAYREAD = 0x10
export const VM_MAYWRITE = 0x20
export const VM_MAYEXEC = 0x40
export const VM_MAYSHARE = 0x80
export const VM_GROWSDOWN = 0x100
export const VM_LOCKED = 0x2000
export const VM_SEQ_READ = 0x8000
export const VM_RAND_READ = 0x10000
export const VM_DONTCOPY = 0x20000
export const VM_DONTEXPAND = 0x40000
export const VM_ACCOUNT = 0x100000
export const VM_NORESERVE = 0x200000
// VM_SEALED and VM_DROPPABLE are above bit 31 upstream; here they have places of flags that are not modelled.
export const VM_SEALED = 0x400000
export const VM_DROPPABLE = 0x1000000
export const VM_WIPEONFORK = 0x2000000
export const VM_DONTDUMP = 0x4000000
export const VM_HUGEPAGE = 0x20000000
export const VM_NOHUGEPAGE = 0x40000000
export const VM_MERGEABLE = 1 << 31

const anonVmaSlot: Guard = lockedBy(
  'the lock of the anon_vma table',
  (_anonVma, places) => places.base('tables') + ANON_VMA_LOCK,
)

export const ANON_VMA = struct('anonVma', 64, {
  rwsem: [0, 16, lockWord], // the anon_vma lock
  refcount: [16, 4, atomic], // VMAs linked, and walkers that hold on to it (atomic)
  firstVma: [20, 4, ownLock('the lock of the anon_vma', 0)], // (lock)
  inUse: [24, 4, anonVmaSlot],
  nextFree: [28, 4, anonVmaSlot],
})

/** Constant while somebody has a reference; a free slot is looked at and filled under the lock of the table. */
const fileLife: Guard = guard(
  'constant while the file has references, otherwise the lock of the file table',
  (holder, file) => wordAt(file + FILE.at.refcount) > 0 || holder.holds(holder.places.base('tables') + FILE_LOCK),
  (holder) => holder.holdsToWrite(holder.places.base('tables') + FILE_LOCK),
  (_file, places) => places.base('tables') + FILE_LOCK,
)

/** A file, as far as mappings need it: a page cache indexed by page offset. */
export const FILE = struct('file', 128, {
  rwsem: [0, 16, lockWord], //    i_mmap_rwsem
  id: [16, 4, fileLife],
  pages: [20, 4, fileLife], //    length in pages: an access beyond it is SIGBUS
  cache: [24, 4, fileLife], //    address of its first slot in the page-cache table (i32 struct page addresses), 0: none
  refcount: [28, 4, atomic], // VMAs that map it, and whoever opened it (atomic); 0: the slot is free
  lock: [32, 8, lockWord], //     i_pages
  firstVma: [44, 4, ownLock('i_mmap_rwsem of the file', 0)], // i_mmap: VMAs that map it (rwsem)
  hugeLock: [FILE_HUGE_LOCK, 16, lockWord], // rwsem: the folio lock of the huge page that is made of this file
  // 1: shared memory, whose pages start as zeroes; 2: a SysV segment, which is that too; 0: as the file's contents
  zeroed: [40, 4, fileLife],
  inodeRwsem: [64, 16, lockWord], //     i_rwsem
  invalidateLock: [80, 16, lockWord], // rwsem
  size: [96, 4, ownLock('i_pages of the file', 32)], // i_size in pages: an access beyond it is SIGBUS, too
})

/** FILE.zeroed of a segment of SysV shared memory. */
export const SYSV_SEGMENT = 2

// Errors, negative as the kernel returns them.
export const ENOMEM = 12
export const EAGAIN = 11
export const EFAULT = 14
export const EBUSY = 16
export const EFBIG = 27
export const EEXIST = 17
export const EINVAL = 22
export const EACCES = 13
export const EPERM = 1
