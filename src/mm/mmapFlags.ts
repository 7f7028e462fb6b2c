/** Arguments of mmap(), as on x86-64. Source: include/uapi/asm-generic/mman-common.h, mman.h (v6.12). */

export const PROT_NONE = 0
export const PROT_READ = 1
export const PROT_WRITE = 2
export const PROT_EXEC = 4
export const PROT_GROWSDOWN = 0x1000000
export const PROT_GROWSUP = 0x2000000

export const MAP_SHARED = 0x1
export const MAP_PRIVATE = 0x2
export const MAP_SHARED_VALIDATE = 0x3
export const MAP_DROPPABLE = 0x8
export const MAP_TYPE = 0xf
export const MAP_FIXED = 0x10
export const MAP_ANONYMOUS = 0x20
export const MAP_GROWSDOWN = 0x100
export const MAP_LOCKED = 0x2000
export const MAP_NORESERVE = 0x4000
export const MAP_POPULATE = 0x8000
export const MAP_NONBLOCK = 0x10000
export const MAP_STACK = 0x20000
export const MAP_FIXED_NOREPLACE = 0x100000
