/**
 * The memory management unit of s390: dynamic address translation.
 *
 * Source: z/Architecture Principles of Operation, "Dynamic Address Translation".
 *
 * The walk begins where the CPU's address-space control element says, at the level that it says, and each entry must
 * say that it is in a table of that level. The kernel accesses user memory in secondary-space mode, as it did for all
 * but copies up to v5.9: user data is translated by control register 7 then, and instructions by register 1, which
 * holds the kernel's element for that time. Elsewhere the kernel's instructions come by register 13, which nobody
 * changes. Nothing is written back: no accessed and no dirty bits. A store through a protected translation faults
 * without a new walk, and the translation stays.
 */
import { phys, type PhysAddr, type PteWord, type VirtAddr } from '../../base/units.js'
import { TLB_DIRTY, TLB_ENTRY, TLB_WRITE } from '../../machine/cpu/tlb.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, poke32 } from '../../machine/image/guarded.js'
import { Level } from '../../arch/level.js'
import { Mmu } from '../../arch/generic/mmu.js'
import {
  entryTable,
  PAGE_INVALID,
  PAGE_LARGE,
  PAGE_PROTECT,
  pmdLeaf,
  pmdPfn,
  ptePfn,
  tableType,
  REGION_INVALID,
  SEGMENT_PROTECT,
} from './pte.js'
import { S390_CPU_STATE } from './cpuState.js'

const FAULT = phys(0)

// Unexported, and applied within asUintN(): so V8 keeps entries in machine words (isa/x86_64/pte.ts).
const asUintN = BigInt.asUintN
const UPPER_INVALID = REGION_INVALID
const UPPER_PROTECT = SEGMENT_PROTECT
const INVALID = PAGE_INVALID
const LARGE = PAGE_LARGE
const PROTECT = PAGE_PROTECT

export class S390Mmu extends Mmu {
  /** Of s390 enable_sacf_uaccess(). IRQs are off against an interrupt that changes the registers in between. */
  override *userAccessBegin(): Step<void> {
    this.cpu.localIrqSave()
    yield* this.cpu.writeOnce32(phys(this.cpu.area + S390_CPU_STATE.at.primaryTop), 0)
    poke32(this.cpu.area + S390_CPU_STATE.at.secondary, 1)
    yield* this.cpu.localIrqRestore()
  }

  /** Of s390 disable_sacf_uaccess(). */
  override *userAccessEnd(): Step<void> {
    this.fetch()
    this.cpu.localIrqSave()
    poke32(this.cpu.area + S390_CPU_STATE.at.secondary, 0)
    yield* this.cpu.writeOnce32(
      phys(this.cpu.area + S390_CPU_STATE.at.primaryTop),
      peek32(this.cpu.area + S390_CPU_STATE.at.asceTop),
    )
    yield* this.cpu.localIrqRestore()
  }

  /** The next instruction of the kernel, in secondary-space mode, comes by the kernel's own tables. */
  protected fetch(): void {
    const { area } = this.cpu
    if (peek32(area + S390_CPU_STATE.at.secondary) === 0 || peek32(area + S390_CPU_STATE.at.primaryTop) === 0) return
    const at = phys(area + S390_CPU_STATE.at.primaryTop)
    this.cpu.report('kernel-fetch', 'BUG: the kernel fetches its instructions by the tables of a user', at, [
      'Control register 1 was reloaded while the CPU was in secondary-space mode.',
    ])
  }

  protected override *translate(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    this.fetch()
    const hit: PhysAddr = phys(this.k.tlbs[this.cpu.id]?.lookup(vpn, this.k.geo.hpagePmdNr, mm) ?? 0)
    if (hit === 0) return yield* this.walk(mm, addr, vpn, write)
    return write && (peek32(hit + TLB_ENTRY.at.flags) & TLB_WRITE) === 0 ? FAULT : hit
  }

  protected override *walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const { geo, memmap, observer } = this.k
    const stamp = this.cpu.clock
    const { area } = this.cpu
    let table = peek32(area + S390_CPU_STATE.at.asceTop)
    let level = peek32(area + S390_CPU_STATE.at.asceLevel)
    if (mm === 0 || addr >= geo.upperSize(level) * geo.ptrsPerTable) return FAULT // ASCE-type exception
    let protectedAbove = false
    for (; ; level--) {
      const at = phys(table + geo.upperIndex(level, addr) * 8)
      const entry = (yield* this.cpu.readOnce64(at)) as PteWord
      observer.tableWalked(this.cpu, level, at)
      if (asUintN(64, entry & UPPER_INVALID) !== 0n) return FAULT
      if (tableType(entry) !== level) this.specification(addr, at, `the entry says level ${tableType(entry)}`)
      protectedAbove ||= asUintN(64, entry & UPPER_PROTECT) !== 0n
      if (level === Level.pmd && pmdLeaf(entry))
        return this.fill(mm, vpn, pmdPfn(entry, geo.hpagePmdNr), geo.hpagePmdNr, protectedAbove, stamp, write)
      table = memmap.table(entryTable(entry))
      if (level === Level.pmd) break
    }
    const at = phys(table + geo.pteIndex(addr) * 8)
    const pte = (yield* this.cpu.readOnce64(at)) as PteWord
    observer.tableWalked(this.cpu, Level.pte, at)
    if (asUintN(64, pte & INVALID) !== 0n) return FAULT
    if (asUintN(64, pte & LARGE) !== 0n) this.specification(addr, at, 'bit 52 of a valid PTE is set')
    return this.fill(mm, vpn, ptePfn(pte), 1, protectedAbove || asUintN(64, pte & PROTECT) !== 0n, stamp, write)
  }

  protected fill(
    mm: number,
    vpn: number,
    pfn: number,
    pages: number,
    isProtected: boolean,
    stamp: number,
    write: boolean,
  ): PhysAddr {
    const flags = isProtected ? 0 : TLB_WRITE | TLB_DIRTY
    const first = vpn - (vpn % pages)
    const at = this.k.tlbs[this.cpu.id]?.fill(first, pfn, pages, flags, stamp, mm) ?? FAULT
    return write && flags === 0 ? FAULT : at
  }

  protected specification(addr: number, at: PhysAddr, why: string): never {
    const what = `translation-specification exception at 0x${addr.toString(16)}`
    return this.cpu.report('entry-legal', what, at, [why, 'Two levels of tables disagree about which they are.'])
  }
}
