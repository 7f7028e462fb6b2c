/**
 * The memory management that racewalk began with. Kernel names its parts one by one, its operations stand in program/,
 * its oracles in check/, where their order is explicit, and its panels in report/state/.
 */
import { TlbFlush, placeFlushInfo } from '../arch/generic/tlbFlush.js'
import { PtOps } from '../arch/generic/ops.js'
import { AnonVmas } from '../mm/anonVma.js'
import { Brk } from '../mm/brk.js'
import { Exit } from '../mm/exit.js'
import { FaultHandler } from '../mm/fault.js'
import { Files } from '../mm/file.js'
import { Folios } from '../mm/folio.js'
import { Fork } from '../mm/fork.js'
import { Gup } from '../mm/gup.js'
import { GupFast } from '../mm/gupFast.js'
import { CollapseScan } from '../mm/collapseScan.js'
import { HugeFault } from '../mm/hugeFault.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import { SplitHugePmd } from '../mm/splitHugePmd.js'
import { Khugepaged } from '../mm/khugepaged.js'
import { Lru, placeLru } from '../mm/lru.js'
import { MapleTree } from '../mm/maple/mapleTree.js'
import { Madvise } from '../mm/madvise.js'
import { Migrate } from '../mm/migrate.js'
import { MigrationEntries } from '../mm/migrationEntries.js'
import { Mmap } from '../mm/mmap.js'
import { MmuGather } from '../mm/mmuGather.js'
import { Mms, placeAddressSpaces } from '../mm/mms.js'
import { Mprotect } from '../mm/mprotect.js'
import { Mremap } from '../mm/mremap.js'
import { Mseal } from '../mm/mseal.js'
import { PageAllocator, placeZone } from '../mm/pageAllocator.js'
import { PageTables } from '../mm/pageTables.js'
import { PageVmaMapped } from '../mm/pageVmaMapped.js'
import { Readahead } from '../mm/readahead.js'
import { Reclaim } from '../mm/reclaim.js'
import { Truncate } from '../mm/truncate.js'
import { RemapFilePages } from '../mm/remapFilePages.js'
import { Retract } from '../mm/retract.js'
import { Rmap } from '../mm/rmap.js'
import { Shm } from '../mm/shm.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { StackGrowth } from '../mm/stackGrowth.js'
import { TlbBatch } from '../mm/tlbBatch.js'
import { UpperTables } from '../mm/upperTables.js'
import { Userfault } from '../mm/userfault.js'
import { VmaLock } from '../mm/vmaLock.js'
import { Vmas } from '../mm/vma.js'
import { Zap } from '../mm/zap.js'
import { RcuExpedited } from '../sync/expedited.js'
import { PAGE } from '../mm/page.js'
import { defineSubsystem } from './subsystem.js'

export const mm = defineSubsystem({
  id: 'mm',
  summary: 'page tables, faults, get_user_pages, huge pages, reverse map, files and address spaces',
  parts: {
    RcuExpedited,
    PtOps,
    TlbFlush,
    PageAllocator,
    Folios,
    Rmap,
    Lru,
    AnonVmas,
    PageTables,
    UpperTables,
    MmuGather,
    TlbBatch,
    Zap,
    FaultHandler,
    GupFast,
    Gup,
    SplitHugePmd,
    HugeFault,
    HugeMemory,
    SplitFolio,
    PageVmaMapped,
    MigrationEntries,
    Migrate,
    CollapseScan,
    Khugepaged,
    Readahead,
    Reclaim,
    Truncate,
    Retract,
    Userfault,
    Mms,
    MapleTree,
    VmaLock,
    Vmas,
    Files,
    Mmap,
    Mprotect,
    Mremap,
    Mseal,
    RemapFilePages,
    Shm,
    StackGrowth,
    Madvise,
    Brk,
    Fork,
    Exit,
  },
  place: (layout, { cpus, frames, kernel }) => ({
    flushInfo: placeFlushInfo(layout, cpus),
    zone: placeZone(layout),
    memmap: layout.add('page', PAGE, frames),
    ...placeAddressSpaces(layout, kernel, cpus),
    lruLazyfree: placeLru(layout, cpus),
  }),
  format: ({ pages, mms, maple, files }) => {
    pages.format()
    mms.format()
    maple.format()
    files.format()
  },
})
