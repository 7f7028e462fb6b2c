/**
 * The kernel of one CPU: its parts, composed at boot. A part is a class per subsystem; a bug of bug/ or a user's patch
 * replaces parts by subclasses. Parts keep no state of their own: everything that outlives a call is in the image, so
 * that all CPUs see it and restoring the image restores the kernel.
 *
 * Mainline follows Linux v6.12.
 */
import { fail } from '../base/assert.js'
import type { Geometry } from '../arch/geometry.js'
import type { ArchHost, FlushStyle, TableFree } from '../arch/host.js'
import type { Mmu } from '../arch/generic/mmu.js'
import type { PtOps } from '../arch/generic/ops.js'
import type { TlbFlush } from '../arch/generic/tlbFlush.js'
import { phys, type PhysAddr } from '../base/units.js'
import { peek32 } from '../machine/image/guarded.js'
import { load32 } from '../machine/image/image.js'
import { MM, VMA } from './mmStruct.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import type { Tlb } from '../machine/cpu/tlb.js'
import type { Observer } from '../arch/observer.js'
import type { RcuExpedited } from '../sync/expedited.js'
import type { Rcu } from '../sync/rcu.js'
import type { AnonVmas } from './anonVma.js'
import type { Brk } from './brk.js'
import type { Exit } from './exit.js'
import type { FaultHandler } from './fault.js'
import type { Files } from './file.js'
import type { Folios } from './folio.js'
import type { Fork } from './fork.js'
import type { Gup } from './gup.js'
import type { GupFast } from './gupFast.js'
import type { CollapseScan } from './collapseScan.js'
import type { HugeFault } from './hugeFault.js'
import type { HugeMemory } from './hugeMemory.js'
import type { Khugepaged } from './khugepaged.js'
import type { Lru } from './lru.js'
import type { MapleTree } from './maple/mapleTree.js'
import type { Madvise } from './madvise.js'
import type { Migrate } from './migrate.js'
import type { MigrationEntries } from './migrationEntries.js'
import type { Mmap } from './mmap.js'
import type { MmuGather } from './mmuGather.js'
import type { Mms } from './mms.js'
import type { Mprotect } from './mprotect.js'
import type { Mremap } from './mremap.js'
import type { Mseal } from './mseal.js'
import type { Memmap } from './page.js'
import type { PageAllocator } from './pageAllocator.js'
import type { PageTables } from './pageTables.js'
import type { PageVmaMapped } from './pageVmaMapped.js'
import type { UpperTables } from './upperTables.js'
import type { Pgalloc } from './pgalloc/pgalloc.js'
import type { Readahead } from './readahead.js'
import type { Reclaim } from './reclaim.js'
import type { Truncate } from './truncate.js'
import type { RemapFilePages } from './remapFilePages.js'
import type { Retract } from './retract.js'
import type { Rmap } from './rmap.js'
import type { Shm } from './shm.js'
import type { SplitHugePmd } from './splitHugePmd.js'
import type { SplitFolio } from './splitFolio.js'
import type { StackGrowth } from './stackGrowth.js'
import type { TlbBatch } from './tlbBatch.js'
import type { Userfault } from './userfault.js'
import type { VmaLock } from './vmaLock.js'
import type { Vmas } from './vma.js'
import type { Zap } from './zap.js'

export type { FlushStyle, TableFree }

/** When a fault may use a huge page: always, in VM_HUGEPAGE areas only, never. */
export type ThpEnabled = 'always' | 'madvise' | 'never'

export interface KernelConfig {
  readonly flushStyle: FlushStyle
  readonly tableFree: TableFree
  readonly thp: ThpEnabled
  /** Where PTE tables come from and go to; the machine's `fragments` are the design's. */
  readonly pgalloc: string
  /** Percentage of GFP_NOWAIT allocations (table batches) that fail; a choice of the engine in each case. */
  readonly failNowait: number
  /** Pages that a device reads ahead of faults that miss (its read_ahead_kb); 0: only the page itself. */
  readonly readAhead: number
  /**
   * CONFIG_PT_RECLAIM (v6.14): MADV_DONTNEED frees the tables it empties, which others may be walking under mmap_lock.
   */
  readonly ptReclaim: boolean
  /** CONFIG_PER_VMA_LOCK: faults of programs look for their VMA under RCU and lock it alone, without mmap_lock. */
  readonly perVmaLock: boolean
  /** The sysctl vm.max_map_count: mappings of an address space. */
  readonly maxMapCount: number
  /**
   * Percentage of the times that a CPU puts quiescent states and RCU callbacks off; a choice of the engine in each
   * case.
   */
  readonly gpDelay: number
  /** The optional instructions that the machine has: all that its architecture knows, unless given. */
  readonly facilities?: readonly string[]
  /** Slots of the tables of mms, VMAs, anon_vmas, files and cached file pages. */
  readonly mms: number
  readonly vmas: number
  readonly anonVmas: number
  readonly files: number
  readonly filePages: number
}

/** Addresses of the kernel's regions in the image. */
export interface KernelRegions {
  readonly zone: PhysAddr
  readonly memmap: PhysAddr
  readonly mms: PhysAddr
  readonly vmas: PhysAddr
  readonly mapleNodes: PhysAddr
  readonly mapleCpus: PhysAddr
  readonly anonVmas: PhysAddr
  readonly files: PhysAddr
  readonly pageCache: PhysAddr
  readonly pageHoles: PhysAddr
  readonly tables: PhysAddr
  readonly flushInfo: PhysAddr
  readonly lruLazyfree: PhysAddr
  readonly tlbs: PhysAddr
}

/** The classes that a kernel is made of, by the name of their subsystem. */
export interface PartClasses {
  readonly RcuExpedited: typeof RcuExpedited
  readonly PtOps: typeof PtOps
  readonly TlbFlush: typeof TlbFlush
  readonly Mmu: new (k: ArchHost) => Mmu
  readonly PageAllocator: typeof PageAllocator
  readonly Folios: typeof Folios
  readonly Rmap: typeof Rmap
  readonly Lru: typeof Lru
  readonly AnonVmas: typeof AnonVmas
  readonly PageTables: typeof PageTables
  readonly UpperTables: typeof UpperTables
  readonly Pgalloc: new (k: Kernel) => Pgalloc
  readonly MmuGather: typeof MmuGather
  readonly TlbBatch: typeof TlbBatch
  readonly Zap: typeof Zap
  readonly FaultHandler: typeof FaultHandler
  readonly GupFast: typeof GupFast
  readonly Gup: typeof Gup
  readonly SplitHugePmd: typeof SplitHugePmd
  readonly HugeFault: typeof HugeFault
  readonly HugeMemory: typeof HugeMemory
  readonly SplitFolio: typeof SplitFolio
  readonly PageVmaMapped: typeof PageVmaMapped
  readonly MigrationEntries: typeof MigrationEntries
  readonly Migrate: typeof Migrate
  readonly CollapseScan: typeof CollapseScan
  readonly Khugepaged: typeof Khugepaged
  readonly Readahead: typeof Readahead
  readonly Reclaim: typeof Reclaim
  readonly Truncate: typeof Truncate
  readonly Retract: typeof Retract
  readonly Userfault: typeof Userfault
  readonly Mms: typeof Mms
  readonly MapleTree: typeof MapleTree
  readonly VmaLock: typeof VmaLock
  readonly Vmas: typeof Vmas
  readonly Files: typeof Files
  readonly Mmap: typeof Mmap
  readonly Mprotect: typeof Mprotect
  readonly Mremap: typeof Mremap
  readonly Mseal: typeof Mseal
  readonly RemapFilePages: typeof RemapFilePages
  readonly Shm: typeof Shm
  readonly StackGrowth: typeof StackGrowth
  readonly Madvise: typeof Madvise
  readonly Brk: typeof Brk
  readonly Fork: typeof Fork
  readonly Exit: typeof Exit
}

/** What the machine gives to the kernel of one CPU. */
export interface Hardware {
  readonly cpu: Cpu
  readonly rcu: Rcu
  /** TLBs by CPU number; a broadcast flush reaches into those of others. */
  readonly tlbs: readonly Tlb[]
  readonly memmap: Memmap
  readonly geo: Geometry
  readonly observer: Observer
  readonly config: KernelConfig
  readonly regions: KernelRegions
}

export class Kernel {
  readonly cpu: Cpu
  readonly rcu: Rcu
  readonly tlbs: readonly Tlb[]
  readonly memmap: Memmap
  readonly geo: Geometry
  readonly observer: Observer
  readonly config: KernelConfig
  readonly regions: KernelRegions

  readonly expedited: RcuExpedited
  readonly ops: PtOps
  readonly tlbFlush: TlbFlush
  readonly mmu: Mmu
  readonly pages: PageAllocator
  readonly folios: Folios
  readonly rmap: Rmap
  readonly lru: Lru
  readonly anonVmas: AnonVmas
  readonly tables: PageTables
  readonly upper: UpperTables
  readonly pgalloc: Pgalloc
  readonly gather: MmuGather
  readonly tlbBatch: TlbBatch
  readonly zap: Zap
  readonly fault: FaultHandler
  readonly gupFast: GupFast
  readonly gup: Gup
  readonly splitHugePmd: SplitHugePmd
  readonly hugeFault: HugeFault
  readonly huge: HugeMemory
  readonly splitFolio: SplitFolio
  readonly pageVmaMapped: PageVmaMapped
  readonly migrationEntries: MigrationEntries
  readonly migrate: Migrate
  readonly collapseScan: CollapseScan
  readonly khugepaged: Khugepaged
  readonly readahead: Readahead
  readonly reclaim: Reclaim
  readonly truncate: Truncate
  readonly retract: Retract
  readonly userfault: Userfault
  readonly mms: Mms
  readonly maple: MapleTree
  readonly vmaLock: VmaLock
  readonly vmas: Vmas
  readonly files: Files
  readonly mmap: Mmap
  readonly mprotect: Mprotect
  readonly mremap: Mremap
  readonly mseal: Mseal
  readonly remapFilePages: RemapFilePages
  readonly shm: Shm
  readonly stackGrowth: StackGrowth
  readonly madvise: Madvise
  readonly brk: Brk
  readonly fork: Fork
  readonly exit: Exit

  /**
   * `added`: names of the parts of subsystems in rooms of their own, in their order. All kernels of a process get the
   * same fields in one order, so that V8 sees one kind of object; most are written out, so that it keeps their classes,
   * too.
   */
  constructor(hardware: Hardware, parts: PartClasses, added: readonly string[] = []) {
    this.cpu = hardware.cpu
    this.rcu = hardware.rcu
    this.tlbs = hardware.tlbs
    this.memmap = hardware.memmap
    this.geo = hardware.geo
    this.observer = hardware.observer
    this.config = hardware.config
    this.regions = hardware.regions
    this.expedited = new parts.RcuExpedited(hardware.rcu)
    this.tlbFlush = new parts.TlbFlush(this)
    this.ops = new parts.PtOps(this)
    this.mmu = new parts.Mmu(this)
    this.pages = new parts.PageAllocator(this)
    this.folios = new parts.Folios(this)
    this.rmap = new parts.Rmap(this)
    this.lru = new parts.Lru(this)
    this.anonVmas = new parts.AnonVmas(this)
    this.tables = new parts.PageTables(this)
    this.upper = new parts.UpperTables(this)
    this.pgalloc = new parts.Pgalloc(this)
    this.gather = new parts.MmuGather(this)
    this.tlbBatch = new parts.TlbBatch(this)
    this.zap = new parts.Zap(this)
    this.fault = new parts.FaultHandler(this)
    this.gupFast = new parts.GupFast(this)
    this.gup = new parts.Gup(this)
    this.splitHugePmd = new parts.SplitHugePmd(this)
    this.hugeFault = new parts.HugeFault(this)
    this.huge = new parts.HugeMemory(this)
    this.splitFolio = new parts.SplitFolio(this)
    this.pageVmaMapped = new parts.PageVmaMapped(this)
    this.migrationEntries = new parts.MigrationEntries(this)
    this.migrate = new parts.Migrate(this)
    this.collapseScan = new parts.CollapseScan(this)
    this.khugepaged = new parts.Khugepaged(this)
    this.readahead = new parts.Readahead(this)
    this.reclaim = new parts.Reclaim(this)
    this.truncate = new parts.Truncate(this)
    this.retract = new parts.Retract(this)
    this.userfault = new parts.Userfault(this)
    this.mms = new parts.Mms(this)
    this.maple = new parts.MapleTree(this)
    this.vmaLock = new parts.VmaLock(this)
    this.vmas = new parts.Vmas(this)
    this.files = new parts.Files(this)
    this.mmap = new parts.Mmap(this)
    this.mprotect = new parts.Mprotect(this)
    this.mremap = new parts.Mremap(this)
    this.mseal = new parts.Mseal(this)
    this.remapFilePages = new parts.RemapFilePages(this)
    this.shm = new parts.Shm(this)
    this.stackGrowth = new parts.StackGrowth(this)
    this.madvise = new parts.Madvise(this)
    this.brk = new parts.Brk(this)
    this.fork = new parts.Fork(this)
    this.exit = new parts.Exit(this)
    for (const name of added) addPart(this, name, parts)
  }

  /** The mm that the VMA at `vma` belongs to. */
  mmOf(vma: PhysAddr): PhysAddr {
    return phys(peek32(vma + VMA.at.mm))
  }

  /**
   * mm_tlb_flush_pending(). Caller: the lock of the entry's table, which whoever raised the count took later, to change
   * the entry; so a change that the caller sees is counted.
   */
  mmTlbFlushPending(mm: PhysAddr): boolean {
    return load32(mm + MM.at.tlbFlushPending) > 0
  }
}

/** The part `Swap` is the field `swap`. */
function addPart(kernel: Kernel, name: string, parts: PartClasses): void {
  const Class = (parts as unknown as Readonly<Record<string, new (k: Kernel) => object>>)[name]
  if (Class === undefined) fail(`no class of the part ${name}`)
  const field = name.charAt(0).toLowerCase() + name.slice(1)
  Object.defineProperty(kernel, field, { value: new Class(kernel), enumerable: true })
}
