/**
 * The memory management unit of powerpc book3s64 with the radix tree.
 *
 * Source: Power ISA v3.1B book III, "Radix Tree Translation". R and C are set by the walker in the live entry. A store
 * that a TLB entry does not allow walks anew, so a permission that was added needs no flush.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../base/units.js'
import { TLB_DIRTY, TLB_WRITE } from '../../machine/cpu/tlb.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32 } from '../../machine/image/guarded.js'
import { Level } from '../../arch/level.js'
import { MM_CONTEXT } from '../../arch/context.js'
import { Mmu } from '../../arch/generic/mmu.js'
import {
  entryTable,
  PAGE_ACCESSED,
  PAGE_DIRTY,
  PAGE_PRESENT,
  PAGE_PTE,
  PAGE_READ,
  PAGE_WRITE,
  ptePfn,
  pteSame,
} from './pte.js'

const FAULT = phys(0)

// Unexported, and applied within asUintN(): so V8 keeps entries in machine words (isa/x86_64/pte.ts).
const asUintN = BigInt.asUintN
const PRESENT = PAGE_PRESENT
const LEAF = PAGE_PTE
const LOADABLE = PAGE_READ
const STORABLE = PAGE_READ | PAGE_WRITE
const WRITE = PAGE_WRITE
const LOADED = PAGE_ACCESSED
const STORED = PAGE_ACCESSED | PAGE_DIRTY

export class PowerpcMmu extends Mmu {
  protected override *walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const { geo, memmap, observer } = this.k
    const stamp = this.cpu.clock
    let table = peek32(mm + MM_CONTEXT.at.pgd)
    let level: number = Level.pgd
    for (;;) {
      const index = level === Level.pte ? geo.pteIndex(addr) : geo.upperIndex(level, addr)
      const at = phys(table + index * 8)
      const entry = (yield* this.cpu.readOnce64(at)) as PteWord
      observer.tableWalked(this.cpu, level, at)
      if (asUintN(64, entry & PRESENT) === 0n) return FAULT
      if (asUintN(64, entry & LEAF) === 0n) {
        table = memmap.table(entryTable(entry))
        level--
        continue
      }
      if (!permits(entry, write)) return FAULT
      const used = (write ? asUintN(64, entry | STORED) : asUintN(64, entry | LOADED)) as PteWord
      // Changed since it was read: look again.
      if (!pteSame(used, entry) && !pteSame((yield* this.cpu.cmpxchg64(at, entry, used)) as PteWord, entry)) continue
      return this.fill(mm, vpn, entry, level === Level.pmd ? geo.hpagePmdNr : 1, stamp, write)
    }
  }

  protected fill(mm: number, vpn: number, entry: PteWord, pages: number, stamp: number, write: boolean): PhysAddr {
    const flags = (asUintN(64, entry & WRITE) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
    return this.k.tlbs[this.cpu.id]?.fill(vpn - (vpn % pages), ptePfn(entry), pages, flags, stamp, mm) ?? FAULT
  }
}

/** What the walker asks of a leaf. */
function permits(entry: PteWord, write: boolean): boolean {
  return write ? asUintN(64, entry & STORABLE) === STORABLE : asUintN(64, entry & LOADABLE) === LOADABLE
}
