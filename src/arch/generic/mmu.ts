/**
 * The memory management unit: a user's load or store, through the TLB and the hardware walker.
 *
 * Source: Intel SDM vol. 3A, chapter "Paging", sections on 4-level paging, accessed and dirty flags, and TLBs.
 *
 * One access is one instruction: interrupts come before or after it, and a broadcast flush waits for it. The walk inside
 * is not atomic: each level is read with a point before it, so that entries change under the walker.
 *
 * A walk fills the caches for the access at hand; what the hardware walks to beside, because it speculates, is an
 * operation of its own (speculate()). Left out: accessed bits of table entries, execution, protection keys. A store sets
 * accessed and dirty in the live leaf by compare-exchange, and starts again when the leaf changed.
 */
import { phys, type PhysAddr, type VirtAddr } from '../../base/units.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import type { Cpu } from '../../machine/cpu/cpu.js'
import { TLB_DIRTY, TLB_ENTRY, TLB_WRITE } from '../../machine/cpu/tlb.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import { Level } from '../level.js'
import { MM_CONTEXT } from '../context.js'
import type { ArchHost } from '../host.js'
import {
  entryTable,
  PAGE_ACCESSED,
  PAGE_DIRTY,
  PAGE_PRESENT,
  PAGE_PSE,
  PAGE_RW,
  PAGE_USER,
  pmdPfn,
  ptePfn,
} from '../../isa/x86_64/pte.js'
import { lockTlb, unlockTlb } from './tlbFlush.js'
import type { PteWord } from '../../base/units.js'

/** The access raised a page fault. */
export const FAULT = -1

export class Mmu {
  protected readonly k: ArchHost
  protected readonly cpu: Cpu

  constructor(k: ArchHost) {
    this.k = k
    this.cpu = k.cpu
  }

  /** Loads the 32-bit word at `addr` (multiple of 4) of the current mm: 0 … 2^31 - 1, or FAULT. */
  *load(addr: VirtAddr): Step<number> {
    return yield* this.access(addr, false, 0)
  }

  /** Stores `value` (0 … 2^31 - 1) at `addr`: 0, or FAULT. */
  *store(addr: VirtAddr, value: number): Step<number> {
    return yield* this.access(addr, true, value)
  }

  /** user_access_begin(): the kernel is about to load or store for its user, as load() and store() do. */
  *userAccessBegin(): Step<void> {}

  /** user_access_end(). */
  *userAccessEnd(): Step<void> {}

  /**
   * The hardware caches a translation that nobody asked for, as it may at any time by the tables that are loaded, whoever
   * runs (SDM vol. 3A, "Caching Translation Information"): accessed is set, dirty is not. 1: a translation is in the TLB now,
   * 0: there is none. An invalidation waits for the walk as for one of an access.
   */
  *speculate(addr: VirtAddr): Step<number> {
    yield* this.begin()
    // An interrupt that came before may have loaded none.
    const mm = peek32(this.cpu.area + CPU_AREA.at.currentMm)
    const vpn = Math.floor(addr / this.k.geo.pageSize)
    const entry = mm === 0 ? 0 : yield* this.translate(mm, addr, vpn, false)
    yield* this.end()
    return entry === 0 ? 0 : 1
  }

  protected *access(addr: VirtAddr, write: boolean, value: number): Step<number> {
    yield* this.begin()
    const result = yield* this.instruction(addr, write, value)
    yield* this.end()
    return result
  }

  protected *begin(): Step<void> {
    const { cpu } = this
    cpu.localIrqSave()
    if (this.k.config.flushStyle === 'broadcast') yield* lockTlb(cpu, phys(cpu.area + CPU_AREA.at.tlbBusy))
  }

  protected *end(): Step<void> {
    const { cpu } = this
    if (this.k.config.flushStyle === 'broadcast') yield* unlockTlb(cpu, phys(cpu.area + CPU_AREA.at.tlbBusy))
    yield* cpu.localIrqRestore()
  }

  protected *instruction(addr: VirtAddr, write: boolean, value: number): Step<number> {
    const { geo, memmap, observer } = this.k
    const mm = peek32(this.cpu.area + CPU_AREA.at.currentMm)
    const vpn = Math.floor(addr / geo.pageSize)
    const entry = yield* this.translate(mm, addr, vpn, write)
    if (entry === 0) return FAULT
    const pfn = peek32(entry + TLB_ENTRY.at.pfn) + (vpn - peekF64(entry + TLB_ENTRY.at.vpn))
    const stamp = peek32(entry + TLB_ENTRY.at.stamp)
    // A small frame has the first bytes of its page; the others fall on them.
    const offset = (addr - vpn * geo.pageSize) & (memmap.frameBytes - 1)
    const at = phys(memmap.frame(pfn) + offset)
    let result = 0
    if (write) yield* this.cpu.writeOnce32(at, value)
    else result = (yield* this.cpu.readOnce32(at)) & 0x7fff_ffff
    observer.userAccessed(this.cpu, mm, addr, pfn, stamp, write)
    return result
  }

  /** Address of a TLB entry that translates `addr` and allows the access; 0 when it faults. */
  protected *translate(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const hit: PhysAddr = phys(this.k.tlbs[this.cpu.id]?.lookup(vpn, this.k.geo.hpagePmdNr, mm) ?? 0)
    if (hit !== 0 && (!write || (peek32(hit + TLB_ENTRY.at.flags) & TLB_DIRTY) !== 0)) return hit
    return yield* this.walk(mm, addr, vpn, write)
  }

  /**
   * The page walk, from the table that the paging-structure cache has, or from the top. Fills a TLB entry and returns its
   * address, 0 when the access faults. A table that does not allow the access is forgotten and the walk begins anew, as
   * the fault would have it.
   */
  protected *walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const tlb = this.k.tlbs[this.cpu.id]
    const table = tlb?.lookupTable(Math.floor(addr / this.k.geo.pmdSize), mm) ?? 0
    if (table !== 0) {
      const found = yield* this.walkTable(table, mm, addr, vpn, write)
      if (found !== 0) return found
      tlb?.dropTables(mm)
    }
    return yield* this.walkTree(mm, addr, vpn, write)
  }

  protected *walkTable(table: number, mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const stamp = this.cpu.clock
    const leafp = phys(table + this.k.geo.pteIndex(addr) * 8)
    for (;;) {
      const leaf = yield* this.cpu.readOnce64(leafp)
      this.k.observer.tableWalked(this.cpu, Level.pte, leafp)
      if (!usable(leaf, write)) return phys(0)
      const marked = leaf | PAGE_ACCESSED | (write ? PAGE_DIRTY : 0n)
      if (marked !== leaf && (yield* this.cpu.cmpxchg64(leafp, leaf, marked)) !== leaf) continue
      const flags = ((marked & PAGE_RW) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
      return this.k.tlbs[this.cpu.id]?.fill(vpn, ptePfn(leaf as PteWord), 1, flags, stamp, mm) ?? phys(0)
    }
  }

  protected *walkTree(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const { geo, memmap, observer } = this.k
    // The translation is as old as the walk's first read: an oracle that compares times needs the earlier end.
    const stamp = this.cpu.clock
    const pgdp = phys(peek32(mm + MM_CONTEXT.at.pgd) + geo.pgdIndex(addr) * 8)
    const pgd = yield* this.cpu.readOnce64(pgdp)
    observer.tableWalked(this.cpu, Level.pgd, pgdp)
    if (!usable(pgd, write)) return phys(0)
    const pudp = phys(memmap.table(entryTable(pgd as PteWord)) + geo.pudIndex(addr) * 8)
    const pud = yield* this.cpu.readOnce64(pudp)
    observer.tableWalked(this.cpu, Level.pud, pudp)
    if (!usable(pud, write)) return phys(0)
    const pmdp = phys(memmap.table(entryTable(pud as PteWord)) + geo.pmdIndex(addr) * 8)
    for (;;) {
      const pmd = yield* this.cpu.readOnce64(pmdp)
      observer.tableWalked(this.cpu, Level.pmd, pmdp)
      if (!usable(pmd, write)) return phys(0)
      const huge = (pmd & PAGE_PSE) !== 0n
      const leafp = huge ? pmdp : phys(memmap.table(entryTable(pmd as PteWord)) + geo.pteIndex(addr) * 8)
      const leaf = huge ? pmd : yield* this.cpu.readOnce64(leafp)
      if (!huge) observer.tableWalked(this.cpu, Level.pte, leafp)
      if (!usable(leaf, write)) return phys(0)
      const marked = leaf | PAGE_ACCESSED | (write ? PAGE_DIRTY : 0n)
      if (marked !== leaf && (yield* this.cpu.cmpxchg64(leafp, leaf, marked)) !== leaf) continue
      const flags = ((marked & PAGE_RW) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
      const pages = huge ? geo.hpagePmdNr : 1
      const pfn = huge ? pmdPfn(leaf as PteWord, geo.hpagePmdNr) : ptePfn(leaf as PteWord)
      const first = vpn - (vpn % pages)
      if (!huge) this.remember(addr, memmap.table(entryTable(pmd as PteWord)), mm)
      return this.k.tlbs[this.cpu.id]?.fill(first, pfn, pages, flags, stamp, mm) ?? phys(0)
    }
  }

  protected remember(addr: VirtAddr, table: number, mm: number): void {
    this.k.tlbs[this.cpu.id]?.fillTable(Math.floor(addr / this.k.geo.pmdSize), table, mm)
  }
}

/** Present, for users, and writable if need be: what the walker asks of an entry at any level. */
function usable(entry: bigint, write: boolean): boolean {
  const needed = PAGE_PRESENT | PAGE_USER | (write ? PAGE_RW : 0n)
  return (entry & needed) === needed
}
