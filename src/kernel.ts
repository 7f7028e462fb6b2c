/**
 * `racewalk/kernel`: what patches and bugs are written with. The classes of the kernel, its structures and flags, the
 * entry format of the machine that is booted, locks, and units.
 *
 * A module that is loaded from a file (boot/module/) gets the very modules that the running kernel is made of, of the
 * form that its thread runs: a second copy would be attached to no memory.
 */

// ---- what a module exports
export { defineBug, defineMutant } from './bug/bug.js'
export type { Bug } from './bug/bug.js'
export { definePatch } from './bug/patch.js'
export type { Patch, PatchParts } from './bug/patch.js'
export { defineOp, field } from './program/defineOp.js'
export type { MakeOp } from './program/defineOp.js'
export type { Task } from './program/task.js'
export { MAINLINE } from './subsystem/index.js'

// ---- units, and the word that makes a function a kernel function
export * from './base/units.js'
export type { Step } from './machine/engine/engine.js'

// ---- memory: accesses of a CPU are schedule points; peek and poke are for fields whose guard is held
export { peek32, peek64, peekF64, poke32, poke64, pokeF64 } from './machine/image/guarded.js'
export { load32, load64 } from './machine/image/image.js'
export type { Cpu } from './machine/cpu/cpu.js'
export { CPU_AREA } from './machine/cpu/area.js'
export { Level } from './arch/level.js'

// ---- sync: locks, lists, RCU
export * from './sync/completion.js'
export { SYNC_CPU_STATE } from './sync/cpuState.js'
export * from './sync/expedited.js'
export * from './sync/list.js'
export * from './sync/mightSleep.js'
export * from './sync/rcu.js'
export * from './sync/rcuBarrier.js'
export * from './sync/rcuSegcblist.js'
export * from './sync/rcuLayout.js'
export * from './sync/rwsem.js'
export * from './sync/seqcount.js'
export * from './sync/spinlock.js'
export * from './sync/waitQueue.js'

// ---- entries of page tables, of the architecture that is booted
export * from './arch/context.js'
export { CPU_STATE } from './arch/cpuState.js'
export * from './arch/entry.js'
export type { Geometry } from './arch/geometry.js'
export { PtOps } from './arch/generic/ops.js'
export { FLUSH_INFO, TlbFlush } from './arch/generic/tlbFlush.js'
export { Mmu } from './arch/generic/mmu.js'

// ---- mm, one subsystem a file
export * from './mm/anonFault.js'
export * from './mm/anonVma.js'
export * from './mm/brk.js'
export * from './mm/collapseScan.js'
export * from './mm/exit.js'
export * from './mm/fault.js'
export * from './mm/faultFlags.js'
export * from './mm/file.js'
export * from './mm/fileFault.js'
export * from './mm/folio.js'
export * from './mm/fork.js'
export * from './mm/gup.js'
export * from './mm/gupFast.js'
export * from './mm/hugeFault.js'
export * from './mm/hugeMemory.js'
export * from './mm/kernel.js'
export * from './mm/khugepaged.js'
export * from './mm/lru.js'
export * from './mm/madvise.js'
export * from './mm/migrate.js'
export * from './mm/migrationEntries.js'
export * from './mm/mlock.js'
export * from './mm/mmStruct.js'
export * from './mm/mmap.js'
export * from './mm/mmapFlags.js'
export * from './mm/mms.js'
export * from './mm/mmuGather.js'
export * from './mm/moveTables.js'
export * from './mm/mprotect.js'
export * from './mm/mremap.js'
export * from './mm/mseal.js'
export * from './mm/page.js'
export * from './mm/pageAllocator.js'
export * from './mm/pageTables.js'
export * from './mm/pageVmaMapped.js'
export * from './mm/part.js'
export * from './mm/readahead.js'
export * from './mm/reclaim.js'
export * from './mm/remapFilePages.js'
export * from './mm/retract.js'
export * from './mm/rmap.js'
export * from './mm/shm.js'
export * from './mm/splitFolio.js'
export * from './mm/splitHugePmd.js'
export * from './mm/stackGrowth.js'
export * from './mm/tlbBatch.js'
export * from './mm/truncate.js'
export * from './mm/unmappedArea.js'
export * from './mm/upperTables.js'
export * from './mm/userfault.js'
export * from './mm/vma.js'
export * from './mm/vmaLock.js'
export * from './mm/vmaMerge.js'
export * from './mm/wpFault.js'
export * from './mm/zap.js'

// ---- the tree of VMAs
export * from './mm/maple/mapleNode.js'
export * from './mm/maple/mapleNodes.js'
export * from './mm/maple/mapleTree.js'
export * from './mm/maple/mapleWalk.js'

// ---- page tables that share a page
export * from './mm/pgalloc/fragments.js'
export * from './mm/pgalloc/onePage.js'
export * from './mm/pgalloc/pgalloc.js'

// ---- architectures: the list, and of each the parts and the designs of page tables that a change can replace
export * from './isa/architecture.js'
export * from './isa/designs.js'
export * from './isa/index.js'
