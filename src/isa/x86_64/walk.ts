/**
 * The memory management unit of x86-64: four levels, and caches of the paging structures.
 *
 * Source: Intel SDM vol. 3A, chapter "Paging", sections on 4-level paging, accessed and dirty flags, and TLBs.
 *
 * A store sets accessed and dirty in the live leaf by compare-exchange, and starts again when the leaf changed. Left
 * out: accessed bits of table entries, protection keys.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../base/units.js'
import { TLB_DIRTY, TLB_WRITE } from '../../machine/cpu/tlb.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32 } from '../../machine/image/guarded.js'
import { MM_CONTEXT } from '../../arch/context.js'
import { Mmu } from '../../arch/generic/mmu.js'
import { Level } from '../../arch/level.js'
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
  pteSame,
} from './pte.js'

// Unexported, and applied within asUintN(): so V8 keeps entries in machine words (pte.ts).
const asUintN = BigInt.asUintN
const LOADABLE = PAGE_PRESENT | PAGE_USER
const STORABLE = LOADABLE | PAGE_RW
const RW = PAGE_RW
const PSE = PAGE_PSE
const LOADED = PAGE_ACCESSED
const STORED = PAGE_ACCESSED | PAGE_DIRTY

export class X86Mmu extends Mmu {
  /**
   * The page walk, from the table that the paging-structure cache has, or from the top. Fills a TLB entry and returns
   * its address, 0 when the access faults. A table that does not allow the access is forgotten and the walk begins
   * anew, as the fault would have it.
   */
  protected override *walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
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
      const leaf = (yield* this.cpu.readOnce64(leafp)) as PteWord
      this.k.observer.tableWalked(this.cpu, Level.pte, leafp)
      if (!usable(leaf, write)) return phys(0)
      const used = (write ? asUintN(64, leaf | STORED) : asUintN(64, leaf | LOADED)) as PteWord
      if (!pteSame(used, leaf) && !pteSame((yield* this.cpu.cmpxchg64(leafp, leaf, used)) as PteWord, leaf)) continue
      const flags = (asUintN(64, leaf & RW) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
      return this.k.tlbs[this.cpu.id]?.fill(vpn, ptePfn(leaf), 1, flags, stamp, mm) ?? phys(0)
    }
  }

  protected *walkTree(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const { geo, memmap, observer } = this.k
    // The translation is as old as the walk's first read: an oracle that compares times needs the earlier end.
    const stamp = this.cpu.clock
    const pgdp = phys(peek32(mm + MM_CONTEXT.at.pgd) + geo.pgdIndex(addr) * 8)
    const pgd = (yield* this.cpu.readOnce64(pgdp)) as PteWord
    observer.tableWalked(this.cpu, Level.pgd, pgdp)
    if (!usable(pgd, write)) return phys(0)
    const pudp = phys(memmap.table(entryTable(pgd)) + geo.pudIndex(addr) * 8)
    const pud = (yield* this.cpu.readOnce64(pudp)) as PteWord
    observer.tableWalked(this.cpu, Level.pud, pudp)
    if (!usable(pud, write)) return phys(0)
    const pmdp = phys(memmap.table(entryTable(pud)) + geo.pmdIndex(addr) * 8)
    for (;;) {
      const pmd = (yield* this.cpu.readOnce64(pmdp)) as PteWord
      observer.tableWalked(this.cpu, Level.pmd, pmdp)
      if (!usable(pmd, write)) return phys(0)
      const huge = asUintN(64, pmd & PSE) !== 0n
      const leafp = huge ? pmdp : phys(memmap.table(entryTable(pmd)) + geo.pteIndex(addr) * 8)
      const leaf = huge ? pmd : ((yield* this.cpu.readOnce64(leafp)) as PteWord)
      if (!huge) observer.tableWalked(this.cpu, Level.pte, leafp)
      if (!usable(leaf, write)) return phys(0)
      const used = (write ? asUintN(64, leaf | STORED) : asUintN(64, leaf | LOADED)) as PteWord
      if (!pteSame(used, leaf) && !pteSame((yield* this.cpu.cmpxchg64(leafp, leaf, used)) as PteWord, leaf)) continue
      const flags = (asUintN(64, leaf & RW) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
      const pages = huge ? geo.hpagePmdNr : 1
      const pfn = huge ? pmdPfn(leaf, geo.hpagePmdNr) : ptePfn(leaf)
      const first = vpn - (vpn % pages)
      if (!huge) this.remember(addr, memmap.table(entryTable(pmd)), mm)
      return this.k.tlbs[this.cpu.id]?.fill(first, pfn, pages, flags, stamp, mm) ?? phys(0)
    }
  }

  protected remember(addr: VirtAddr, table: number, mm: number): void {
    this.k.tlbs[this.cpu.id]?.fillTable(Math.floor(addr / this.k.geo.pmdSize), table, mm)
  }
}

/** Present, for users, and writable if need be: what the walker asks of an entry at any level. */
function usable(entry: bigint, write: boolean): boolean {
  return write ? asUintN(64, entry & STORABLE) === STORABLE : asUintN(64, entry & LOADABLE) === LOADABLE
}
