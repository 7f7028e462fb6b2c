/** Numbers of system calls' arguments, as the kernel's headers for users have them. */

export const PROT = { none: 0, read: 1, write: 2, exec: 4, growsDown: 0x1000000 } as const
export const MAP = {
  shared: 1,
  private: 2,
  fixed: 0x10,
  anonymous: 0x20,
  growsDown: 0x100,
  locked: 0x2000,
  noreserve: 0x4000,
  populate: 0x8000,
  nonblock: 0x10000,
  stack: 0x20000,
  droppable: 8,
  fixedNoreplace: 0x100000,
} as const
export const MREMAP = { mayMove: 1, fixed: 2, dontUnmap: 4 } as const

/** madvise's numbers, asm-generic/mman-common.h. */
export const ADVICE = {
  normal: 0,
  random: 1,
  sequential: 2,
  willneed: 3,
  dontneed: 4,
  free: 8,
  remove: 9,
  dontfork: 10,
  dofork: 11,
  mergeable: 12,
  unmergeable: 13,
  hugepage: 14,
  nohugepage: 15,
  dontdump: 16,
  dodump: 17,
  wipeonfork: 18,
  keeponfork: 19,
  cold: 20,
  pageout: 21,
  populateRead: 22,
  populateWrite: 23,
  dontneedLocked: 24,
  collapse: 25,
  guardInstall: 102,
  guardRemove: 103,
} as const

export type Advice = keyof typeof ADVICE
