/**
 * mm_struct, vm_area_struct and anon_vma in the image, with the lock that guards each field.
 *
 * Source: include/linux/mm_types.h, rmap.h (v6.12). Departures: VMAs are a sorted list instead of a maple tree; a VMA belongs
 * to one anon_vma shared by its whole fork family instead of a chain of them (an rmap walk then visits more VMAs than
 * upstream, never fewer); there are no per-VMA locks: faults take mmap_lock for read, as up to v6.3 and as upstream's
 * fallback still does.
 */
import { struct } from '../machine/image/struct.js'
import { MM_CONTEXT } from '../arch/context.js'
import { assert } from '../base/assert.js'

export const MM = struct('mm', 320, {
  cpumask: [0, 8], //  MM_CONTEXT, same offsets
  pgd: [8, 4],
  ctxId: [12, 4],
  topLevel: [20, 4],
  asceLimit: [24, 8],
  contextLock: [48, 8],
  tlbGen: [56, 4],
  inUse: [16, 4], //   slot of the mm table is taken (mm table lock)
  mmapLock: [64, 16], // rwsem
  mmUsers: [128, 4], // CPUs and others that use the address space (atomic)
  mmCount: [184, 4], // references to the structure and the top table: one for all users together, and those of mmgrab() (atomic)
  hasPinned: [132, 4], // MMF_HAS_PINNED: a page of this mm was ever pinned (set before the walk)
  //  mmap_lock:
  firstVma: [136, 4],
  mapCount: [140, 4],
  brkStart: [144, 8], // doubles
  brk: [152, 8],
  mmapBase: [160, 8], // top-down search for unmapped areas starts below
  stackVma: [168, 4],
  //  atomic counters:
  rssAnon: [172, 4], // pages
  rssFile: [176, 4],
  nrPtes: [180, 4], //  PTE tables, linked or deposited
  tlbFlushPending: [192, 4], // gathers and protection changes in flight
  tlbFlushBatched: [200, 4], // batched unmaps not known to be flushed (mm/tlbBatch.ts)
  writeProtectSeq: [196, 4], // seqcount: fork is write-protecting (mmap_lock held for write)
  //  PTE tables that share pages (pgalloc/):
  pgtableList: [208, 8], // s390: pages with a part to hand out (context lock)
  pteFrag: [224, 4], //  powerpc: the next part to hand out (page table lock); 0: none
  pmdFrag: [228, 4], //  the same of PMD tables
  pageTableLock: [256, 8], // spinlock: upper levels of the tables
})
for (const field of ['cpumask', 'pgd', 'ctxId', 'topLevel', 'asceLimit', 'contextLock', 'tlbGen'] as const)
  assert(MM.at[field] === MM_CONTEXT.at[field], 'MM begins with MM_CONTEXT')

export const VMA = struct('vma', 128, {
  //  mmap_lock of the mm:
  start: [0, 8], // doubles, bytes, page aligned
  end: [8, 8], //   exclusive
  pgoff: [16, 8], // page offset of start in the mapping; anonymous: the linear index it was created with
  flags: [24, 4], // VM_ bits
  mm: [28, 4],
  next: [32, 4],
  prev: [36, 4],
  file: [40, 4], // address of the file, 0: anonymous
  anonVma: [44, 4], // set once by anon_vma_prepare (mmap_lock, page_table_lock)
  //  anon_vma lock:
  anonNext: [48, 4],
  anonPrev: [52, 4],
  //  i_mmap_rwsem of the file:
  fileNext: [72, 4],
  filePrev: [76, 4],
  fileLinked: [80, 4], // 1: it is on the file's list
  //  vma table lock:
  inUse: [56, 4],
  nextFree: [60, 4],
  //  mmap_lock:
  anonForked: [64, 4], // inherited anonVma: which of the child's VMAs inherited it (upstream: its own anon_vma), else 0
})

export const VM_READ = 0x1
export const VM_WRITE = 0x2
export const VM_EXEC = 0x4
export const VM_SHARED = 0x8
export const VM_MAYREAD = 0x10
export const VM_MAYWRITE = 0x20
export const VM_MAYEXEC = 0x40
export const VM_MAYSHARE = 0x80
export const VM_GROWSDOWN = 0x100
export const VM_LOCKED = 0x2000
export const VM_DONTCOPY = 0x20000
export const VM_DONTEXPAND = 0x40000
export const VM_ACCOUNT = 0x100000
export const VM_NORESERVE = 0x200000
export const VM_WIPEONFORK = 0x2000000
export const VM_DONTDUMP = 0x4000000
export const VM_HUGEPAGE = 0x20000000
export const VM_NOHUGEPAGE = 0x40000000

export const ANON_VMA = struct('anonVma', 64, {
  rwsem: [0, 16], // the anon_vma lock
  refcount: [16, 4], // VMAs linked, and walkers that hold on to it (atomic)
  firstVma: [20, 4], // (lock)
  inUse: [24, 4],
  nextFree: [28, 4],
})

/** A file, as far as mappings need it: a page cache indexed by page offset. */
export const FILE = struct('file', 64, {
  rwsem: [0, 16], //    i_mmap_rwsem
  id: [16, 4],
  pages: [20, 4], //    length in pages: an access beyond it is SIGBUS
  cache: [24, 4], //    address of its first slot in the page-cache table (i32 struct page addresses), 0: none
  refcount: [28, 4], // VMAs that map it, and whoever opened it (atomic); 0: the slot is free
  lock: [32, 8], //     i_pages
  firstVma: [44, 4], // i_mmap: VMAs that map it (rwsem)
  hugeLock: [48, 16], // rwsem: the folio lock of the huge page that is made of this file
  zeroed: [40, 4], //   1: shared memory, whose pages start as zeroes; 0: as the file's contents
})

// Errors, negative as the kernel returns them.
export const ENOMEM = 12
export const EAGAIN = 11
export const EFAULT = 14
export const EBUSY = 16
export const EEXIST = 17
export const EINVAL = 22
export const EACCES = 13
export const EPERM = 1
