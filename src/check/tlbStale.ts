/**
 * tlb-stale: translations that should have been forgotten.
 *
 * - A frame is freed while a TLB translates to it. Counted by frame, huge translations at the first frame of the huge
 *   page, so that a fill costs the same for both.
 * - munmap, mremap, mprotect return while a TLB has a translation of the range from before the call (mprotect: that
 *   allows more than the VMA); MADV_DONTNEED while one leads to contents from before the call.
 * - The top table of an address space is freed while a TLB has a translation by it: the next one to get the table would
 *   use it.
 * - An entry is set to another frame than a TLB has for the page, and no flush is under way that would explain it.
 * - Two sizes for one address (I2, break before make): a table replaces a huge entry that a TLB still has, or a huge
 *   entry appears over pages that a TLB has one by one.
 * - A page table is freed while a paging-structure cache leads to it, whatever its CPU does: hardware may walk there.
 *
 * Translations of pages do not count where a kernel thread has borrowed the address space and the CPU is behind with
 * flushes: it makes no user accesses, and flushes before the process is back. If it does not, they count from then on.
 *
 * Sound in free runs, because a user access has IRQs off (or holds its TLB busy) from before it reads the stamp to
 * after it has told of the fill, and a flush waits for it:
 * - Freed: the mapping was cleared and flushed before its reference was dropped. Walks that found the mapping were
 *   waited for, fill counted and dropped again; later walks do not find it.
 * - After an unmap: a translation with a stamp from before the call's tick comes from a walk that began before.
 *   Everything it can have found was mapped before the call took mmap_lock, and nothing is mapped in the range until
 *   the lock goes (which is after the hook), so it found what the call has cleared, and the call's flush waited for it.
 *   mprotect: the same, for what allowed more; entries put back meanwhile by an rmap walk have the new rights already.
 * - After MADV_DONTNEED the stamp says too little: faults go on under mmap_lock for read, and a walk from before may
 *   find a new page. So the page itself is asked how old it is, and file pages, whose contents stay anyway, are not.
 * - Another frame: the setter holds the lock of the table. Everybody who clears an entry flushes before he drops that
 *   lock, or has raised tlbFlushPending before he took it and drops it after his flush, or has said that he has a batch
 *   to flush, and says so until it is. So with all of them seen at zero first, all earlier translations of the page are
 *   gone, and later walks find the new frame.
 * - Two sizes: the PMD lock is held. Huge entries leave through the invalidated state with a flush under the lock. A
 *   PMD gets from table to none under mmap_lock for write only, flushed before that lock goes. (From huge to none a zap
 *   under mmap_lock for read leaves the flush for later; so a table over none proves nothing, and is not judged.)
 */
import { phys } from '../base/units.js'
import type { Cpu } from '../machine/cpu/cpu.js'
import { PSC_ENTRY, TLB_WRITE, type Tlb } from '../machine/cpu/tlb.js'
import { load32, peek32, peekF64 } from '../machine/image/image.js'
import { Level } from '../arch/level.js'
import type { CallKind } from '../arch/observer.js'
import { MM_CONTEXT } from '../arch/context.js'
import { FLUSH_INFO } from '../arch/generic/tlbFlush.js'
import { vmaOf } from '../mm/maple/mapleLook.js'
import { MM, VM_EXEC, VM_READ, VM_WRITE, VMA } from '../mm/mmStruct.js'
import type { CheckedKernel, CheckedMachine } from './checkedMachine.js'
import type { Contents } from './discardKept.js'
import { brief, hugeFrame, isHuge, isUsable, pteFrame, tableFrame } from '../arch/entry.js'
import { SHADOW, TABLE_SHADOW, count, happenedBefore, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { TlbView } from './tlbView.js'
import { hex, violation } from './violation.js'
import { CPU_STATE } from '../arch/cpuState.js'

const ORACLE = 'tlb-stale'
const AT = SHADOW.at

export class TlbStale {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #contents: Contents
  readonly #view: TlbView
  #tlbs: readonly Tlb[] = []
  #cpu: Cpu | null = null

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, contents: Contents) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#contents = contents
    this.#view = new TlbView(shadow)
  }

  bind(kernel: CheckedKernel): void {
    this.#tlbs = kernel.tlbs
    this.#cpu = kernel.cpu
  }

  /**
   * A kernel thread runs on CPU `owner` with the tables of a process, and flushes have passed it over. Asked before its
   * TLB is looked at: a CPU that is not behind has made all flushes that are over by now, and what they were for is
   * gone.
   */
  #isBehind(owner: number): boolean {
    if (this.#cpu === null) return false
    const area = this.#cpu.areaOf(owner)
    if (load32(area + CPU_STATE.at.activeMm) === 0) return false
    const mm = load32(area + CPU_STATE.at.currentMm)
    return mm !== 0 && load32(area + CPU_STATE.at.tlbGen) !== load32(mm + MM_CONTEXT.at.tlbGen)
  }

  // ---- counts -----------------------------------------------------------------------------------------------------

  tlbFilled(pfn: number, pages: number): void {
    this.#count(pfn, pages, 1)
  }

  tlbDropped(cpu: number, pfn: number, pages: number): void {
    count(this.#shadow.tlbDrops(cpu), 1)
    this.#count(pfn, pages, -1)
  }

  #count(pfn: number, pages: number, delta: number): void {
    if (this.#shadow.exists(pfn)) count(this.#shadow.of(pfn) + (pages === 1 ? AT.tlbBase : AT.tlbHuge), delta)
  }

  pagesFreed(cpu: Cpu, pfn: number, order: number): void {
    for (let i = pfn; i < pfn + (1 << order); i++) {
      const translated = load32(this.#shadow.of(i) + AT.tlbBase) + load32(this.#shadow.ofHuge(i) + AT.tlbHuge)
      if (translated > 0) this.#freedInTlb(cpu, i)
    }
  }

  /** A table is about to be given back: no paging-structure cache may lead to it, and to a top table no TLB. */
  tableFreed(cpu: Cpu, table: number): void {
    const at = this.#machine.memmap.table(table)
    if ((peek32(this.#shadow.table(table) + TABLE_SHADOW.at.state) & 0xf) > Level.pmd) this.#checkTop(cpu, at)
    for (let owner = 0; owner < this.#tlbs.length; owner++) {
      const tlb = this.#tlbs[owner] as Tlb
      for (let slot = 0; slot < tlb.pscCount; slot++)
        if (peek32(tlb.psc(slot) + PSC_ENTRY.at.table) === at) this.#freedInPsc(cpu, table, owner, tlb.psc(slot))
    }
  }

  /**
   * Translations bear the mark of the address space, which is where its top table is. Nobody changes the pointer now.
   */
  #checkTop(cpu: Cpu, top: number): void {
    for (let owner = 0; owner < this.#tlbs.length; owner++) {
      const tlb = this.#tlbs[owner] as Tlb
      for (let slot = 0; slot < tlb.entryCount; slot++)
        if (this.#view.read(owner, tlb.entry(slot)) && peek32(this.#view.mm + MM.at.pgd) === top)
          violation(cpu, ORACLE, 'address space freed while a TLB has a translation of it', top, [
            this.#describe(owner),
          ])
    }
  }

  #freedInPsc(cpu: Cpu, table: number, owner: number, entry: number): never {
    const addr = peekF64(entry + PSC_ENTRY.at.prefix) * this.#machine.geo.pmdSize
    violation(cpu, ORACLE, 'page table freed while a paging-structure cache leads to it', entry, [
      `CPU ${owner} reaches it for ${hex(addr)} of mm ${hex(peek32(entry + PSC_ENTRY.at.mm))}, whatever the PMD says`,
      ...this.#sites.describe(this.#machine.memmap.pfnOfTable(table)),
    ])
  }

  #freedInTlb(cpu: Cpu, pfn: number): void {
    const holders: string[] = []
    this.#tlbs.forEach((tlb, owner) => {
      if (this.#isBehind(owner)) return
      for (let slot = 0; slot < tlb.entryCount; slot++)
        if (this.#view.read(owner, tlb.entry(slot)) && this.#covers(pfn) && !this.#isOwed())
          holders.push(this.#describe(owner))
    })
    if (holders.length === 0) return
    const details = [...holders, ...this.#sites.describe(pfn)]
    violation(cpu, ORACLE, 'page freed while a TLB translates to it', this.#machine.memmap.page(pfn), details)
  }

  /** The architecture has put the purge off until somebody uses the address space again. */
  #isOwed(): boolean {
    return this.#machine.arch.debts?.(phys(this.#view.mm)) ?? false
  }

  #covers(pfn: number): boolean {
    return pfn >= this.#view.pfn && pfn < this.#view.pfn + this.#view.pages
  }

  // ---- after system calls -----------------------------------------------------------------------------------------

  callReturns(cpu: Cpu, kind: CallKind, mm: number, start: number, end: number, stamp: number): void {
    const { pageSize } = this.#machine.geo
    const [vpn, endVpn] = [Math.floor(start / pageSize), Math.ceil(end / pageSize)]
    for (let owner = 0; owner < this.#tlbs.length; owner++) {
      if (this.#isBehind(owner)) continue
      const tlb = this.#tlbs[owner] as Tlb
      for (let slot = 0; slot < tlb.entryCount; slot++) {
        const entry = tlb.entry(slot)
        if (!this.#view.read(owner, entry) || !this.#view.overlaps(mm, vpn, endVpn)) continue
        if (!happenedBefore(this.#view.stamp + 1, stamp) || !this.#forbidden(kind, vpn, endVpn, stamp)) continue
        violation(cpu, ORACLE, `stale TLB entry after ${CALLS[kind]}`, entry, [
          `${hex(start)} … ${hex(end)} of mm ${hex(mm)}, call began at clock ${stamp}`,
          this.#describe(owner),
          ...this.#sites.describe(this.#view.pfn),
        ])
      }
    }
  }

  #forbidden(kind: CallKind, vpn: number, end: number, stamp: number): boolean {
    if (kind === 'unmap') return true
    for (let page = Math.max(vpn, this.#view.vpn); page < Math.min(end, this.#view.vpn + this.#view.pages); page++) {
      const pfn = this.#view.pfn + (page - this.#view.vpn)
      if (kind === 'discard' ? this.#contents.isOlder(pfn, stamp) : this.#exceeds(page)) return true
    }
    return false
  }

  /** The entry allows more than the VMA around page `vpn`. mmap_lock is held for write. */
  #exceeds(vpn: number): boolean {
    const addr = vpn * this.#machine.geo.pageSize
    const vma = vmaOf(this.#view.mm, addr)
    if (vma === 0) return false
    const rights = peek32(vma + VMA.at.flags) & (VM_READ | VM_WRITE | VM_EXEC)
    return rights === 0 || ((this.#view.flags & TLB_WRITE) !== 0 && (rights & VM_WRITE) === 0)
  }

  // ---- changes of entries -----------------------------------------------------------------------------------------

  entryChanged(cpu: Cpu, level: number, mm: number, addr: number, entry: number, before: bigint, after: bigint): void {
    const [old, next] = [brief(before), brief(after)]
    if (level === Level.pte) {
      if (isUsable(level, next) && pteFrame(next) !== pteFrame(old))
        this.#checkRemapped(cpu, mm, addr, entry, pteFrame(next))
    } else if (level === Level.pmd) this.#pmdChanged(cpu, mm, addr, entry, old, next)
  }

  #pmdChanged(cpu: Cpu, mm: number, addr: number, entry: number, old: number, next: number): void {
    const { hugePages } = this.#shadow
    if (isHuge(old) && tableFrame(next) >= 0) this.#checkMultiHit(cpu, mm, addr, entry, true)
    if (!isHuge(next) || !isUsable(Level.pmd, next)) return
    if (!isHuge(old)) this.#checkMultiHit(cpu, mm, addr, entry, false)
    const frame = hugeFrame(next, hugePages)
    if (frame === hugeFrame(old, hugePages)) return
    this.#checkRemapped(cpu, mm, Math.floor(addr / this.#machine.geo.pmdSize) * this.#machine.geo.pmdSize, entry, frame)
  }

  /** The page at `addr` is frame `frame` from now on: no TLB may say otherwise. */
  #checkRemapped(cpu: Cpu, mm: number, addr: number, entry: number, frame: number): void {
    if (load32(mm + MM.at.tlbFlushPending) !== 0 || this.#hasBatch()) return
    const vpn = Math.floor(addr / this.#machine.geo.pageSize)
    for (let owner = 0; owner < this.#tlbs.length; owner++) {
      if (this.#isBehind(owner)) continue
      const found = (this.#tlbs[owner] as Tlb).lookup(vpn, this.#shadow.hugePages, mm)
      if (found === 0 || !this.#view.read(owner, found) || !this.#view.overlaps(mm, vpn, vpn + 1)) continue
      if (this.#view.pfn + (vpn - this.#view.vpn) === frame) continue
      violation(cpu, ORACLE, 'page replaced while a TLB has the old one', entry, [
        `${hex(addr)} of mm ${hex(mm)} is frame ${hex(frame)} now`,
        this.#describe(owner),
      ])
    }
  }

  /** Some CPU has unmapped pages for reclaim and not flushed them yet. */
  #hasBatch(): boolean {
    const { flushInfo } = this.#machine.regions.kernel
    for (let cpu = 0; cpu < this.#tlbs.length; cpu++)
      if (load32(flushInfo + cpu * FLUSH_INFO.size + FLUSH_INFO.at.flushRequired) !== 0) return true
    return false
  }

  /** No TLB may translate pages of the huge range around `addr` by huge (or, false, by small) entries. */
  #checkMultiHit(cpu: Cpu, mm: number, addr: number, entry: number, huge: boolean): void {
    const first = Math.floor(addr / this.#machine.geo.pmdSize) * this.#shadow.hugePages
    for (let owner = 0; owner < this.#tlbs.length; owner++) {
      const tlb = this.#tlbs[owner] as Tlb
      for (let slot = 0; slot < tlb.entryCount; slot++) {
        if (!this.#view.read(owner, tlb.entry(slot)) || this.#view.pages > 1 !== huge) continue
        if (!this.#view.overlaps(mm, first, first + this.#shadow.hugePages)) continue
        const what = huge ? 'huge PMD became a table' : 'huge PMD appeared'
        violation(cpu, ORACLE, `TLB multi-hit: ${what} while a TLB has the other size`, entry, [this.#describe(owner)])
      }
    }
  }

  #describe(owner: number): string {
    const { vpn, pfn, pages, mm, stamp } = this.#view
    const addr = hex(vpn * this.#machine.geo.pageSize)
    const size = pages === 1 ? '' : ` (${pages} pages)`
    return `TLB of CPU ${owner}: ${addr} of mm ${hex(mm)} → frame ${hex(pfn)}${size}, walked at clock ${stamp}`
  }
}

const CALLS: Record<CallKind, string> = { unmap: 'unmapping', discard: 'MADV_DONTNEED', protect: 'mprotect' }
