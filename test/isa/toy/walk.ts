/** The hardware walker of the toy: four levels, accessed and dirty by compare-exchange. */
import { MM_CONTEXT } from '../../../dist/src/arch/context.js'
import { Mmu } from '../../../dist/src/arch/generic/mmu.js'
import { Level } from '../../../dist/src/arch/level.js'
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../../dist/src/base/units.js'
import { TLB_DIRTY, TLB_WRITE } from '../../../dist/src/machine/cpu/tlb.js'
import type { Step } from '../../../dist/src/machine/engine/engine.js'
import { peek32 } from '../../../dist/src/machine/image/image.js'
import { DIRTY, entryTable, pteAccessPermitted, ptePfn, TABLE, VALID, WRITE, YOUNG } from './pte.js'

const FAULT = phys(0)

export class ToyMmu extends Mmu {
  protected override *walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const { geo, memmap, observer } = this.k
    const stamp = this.cpu.clock
    let table = peek32(mm + MM_CONTEXT.at.pgd)
    let level: number = Level.pgd
    for (;;) {
      const at = phys(table + (level === Level.pte ? geo.pteIndex(addr) : geo.upperIndex(level, addr)) * 8)
      const entry = (yield* this.cpu.readOnce64(at)) as PteWord
      observer.tableWalked(this.cpu, level, at)
      if ((entry & VALID) === 0n) return FAULT
      if ((entry & TABLE) !== 0n) {
        table = memmap.table(entryTable(entry))
        level--
        continue
      }
      if (!pteAccessPermitted(entry, write)) return FAULT
      const marked = entry | YOUNG | (write ? DIRTY : 0n)
      if (marked !== entry && (yield* this.cpu.cmpxchg64(at, entry, marked)) !== entry) continue
      const pages = level === Level.pmd ? geo.hpagePmdNr : 1
      const flags = ((entry & WRITE) !== 0n ? TLB_WRITE : 0) | (write ? TLB_DIRTY : 0)
      const first = vpn - (vpn % pages)
      return this.k.tlbs[this.cpu.id]?.fill(first, ptePfn(entry), pages, flags, stamp, mm) ?? FAULT
    }
  }
}
