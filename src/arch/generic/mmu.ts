/**
 * The memory management unit: a user's load or store, through the TLB and the hardware walker of the architecture.
 *
 * One access is one instruction: interrupts come before or after it, and a broadcast flush waits for it. The walk
 * inside is not atomic: each level is read with a point before it, so that entries change under the walker.
 *
 * A walk fills the caches for the access at hand; a walk that the hardware makes beside it, because it speculates, is
 * an operation of its own (speculate()). Left out: execution.
 */
import { CPU_STATE } from '../cpuState.js'
import { phys, type PhysAddr, type VirtAddr } from '../../base/units.js'
import { CPU_AREA } from '../../machine/cpu/area.js'
import type { Cpu } from '../../machine/cpu/cpu.js'
import { TLB_DIRTY, TLB_ENTRY } from '../../machine/cpu/tlb.js'
import type { Step } from '../../machine/engine/engine.js'
import { peek32, peekF64 } from '../../machine/image/guarded.js'
import type { ArchHost } from '../host.js'
import { lockTlb, unlockTlb } from './tlbFlush.js'

/** The access raised a page fault. */
export const FAULT = -1

export abstract class Mmu {
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
   * The hardware caches a translation that nobody asked for, as it may at any time by the tables that are loaded,
   * whoever runs (SDM vol. 3A, "Caching Translation Information"): accessed is set, dirty is not. 1: a translation is
   * in the TLB now, 0: there is none. An invalidation waits for the walk as for one of an access.
   */
  *speculate(addr: VirtAddr): Step<number> {
    yield* this.begin()
    // An interrupt that came before may have loaded none.
    const mm = peek32(this.cpu.area + CPU_STATE.at.currentMm)
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
    const mm = peek32(this.cpu.area + CPU_STATE.at.currentMm)
    const vpn = Math.floor(addr / geo.pageSize)
    const entry = yield* this.translate(mm, addr, vpn, write)
    if (entry === 0) return FAULT
    const pfn = peek32(entry + TLB_ENTRY.at.pfn) + (vpn - peekF64(entry + TLB_ENTRY.at.vpn))
    const stamp = peek32(entry + TLB_ENTRY.at.stamp)
    // A small frame has the first bytes of its page; the others fall on them.
    const offset = (addr - vpn * geo.pageSize) & (memmap.frameBytes - 1)
    const at = phys(memmap.frame(pfn) + offset)
    let result = 0
    observer.userAccesses(this.cpu, mm, addr, pfn, write)
    if (write) yield* this.cpu.writeOnce32(at, value)
    else result = (yield* this.cpu.readOnce32(at)) & 0x7fff_ffff
    observer.userAccessed(this.cpu, mm, addr, pfn, stamp, write, write ? value : result)
    return result
  }

  /**
   * Address of a TLB entry that translates `addr` of `mm` (page `vpn`) and allows the access; 0 when it faults. A store
   * through a translation that does not allow it, or that has not set dirty, walks.
   */
  protected *translate(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr> {
    const hit: PhysAddr = phys(this.k.tlbs[this.cpu.id]?.lookup(vpn, this.k.geo.hpagePmdNr, mm) ?? 0)
    if (hit !== 0 && (!write || (peek32(hit + TLB_ENTRY.at.flags) & TLB_DIRTY) !== 0)) return hit
    return yield* this.walk(mm, addr, vpn, write)
  }

  /** The hardware walk of the tables: fills a TLB entry and returns its address, 0 when the access faults. */
  protected abstract walk(mm: number, addr: VirtAddr, vpn: number, write: boolean): Step<PhysAddr>
}
