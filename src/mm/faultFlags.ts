/** Flags of a fault (FAULT_FLAG_) and its result (VM_FAULT_). Source: include/linux/mm_types.h (v6.12). */
export const FAULT_FLAG_WRITE = 1
/** From R/O pinning: end with a page that is exclusive, mapped read-only. */
export const FAULT_FLAG_UNSHARE = 2

export const VM_FAULT_OOM = 0x1
export const VM_FAULT_SIGBUS = 0x2
export const VM_FAULT_SIGSEGV = 0x40
export const VM_FAULT_RETRY = 0x400
/** The huge page path could not; try base pages. */
export const VM_FAULT_FALLBACK = 0x800
