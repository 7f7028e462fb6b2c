/**
 * gup-identity: a page that gup returns was mapped at some moment after its reference was taken, and at the address
 * that was asked for.
 *
 * A finding is only what is certain: nothing maps the page when gup returns it, and nothing has since before the first
 * reference of the walk was taken; or it had one mapping all that time, in another place. Shared pages (several
 * mappings) are judged by the first rule alone, and zero pages not at all: they carry no counts.
 *
 * The VMA at the address is not asked: a lockless walker may see VMAs come and go, so its page need not belong to the
 * VMA that is there now.
 *
 * Sound in free runs: gupTaking() ticks before the reference, so a mapping that went before that tick went before the
 * reference; what the walker saw in an entry is counted from before the entry was stored until after it has gone
 * (mappings.ts). A mapping whose end is not noted yet, or was noted after the tick, keeps the oracle silent.
 *
 * Times of a frame's earlier owners are forgotten when it is allocated. A walker that looks again after its reference
 * has seen a mapping of the owner whose page the reference keeps, so a page that this owner never mapped is a finding.
 */
import type { Cpu } from '../machine/cpu/cpu.js'
import { load32, peek32 } from '../machine/image/image.js'
import type { CheckedMachine } from './checkedMachine.js'
import type { Mappings } from './mappings.js'
import { SHADOW, type Shadow } from './shadow.js'
import type { Sites } from './sites.js'
import { hex, violation } from './violation.js'

const ORACLE = 'gup-identity'

export class GupIdentity {
  readonly #machine: CheckedMachine
  readonly #shadow: Shadow
  readonly #sites: Sites
  readonly #mappings: Mappings
  /** Of the walk under way on this CPU; forgotten when the next begins. */
  #taken = false
  #stamp = 0

  constructor(machine: CheckedMachine, shadow: Shadow, sites: Sites, mappings: Mappings) {
    this.#machine = machine
    this.#shadow = shadow
    this.#sites = sites
    this.#mappings = mappings
  }

  gupBegins(): void {
    this.#taken = false
  }

  gupTaking(cpu: Cpu): void {
    if (this.#taken) return
    this.#taken = true
    this.#stamp = cpu.tick()
  }

  gupStamp(): number {
    return this.#stamp
  }

  gupDone(cpu: Cpu, mm: number, addr: number, pfn: number, stamp: number): void {
    if (this.#shadow.isReserved(pfn)) return
    const vpn = Math.floor(addr / this.#machine.geo.pageSize)
    if (!this.#shadow.isData(pfn))
      this.#report(cpu, 'KASAN: use-after-free: gup returned a page that is not in use', mm, addr, pfn)
    if (this.#mappings.unmappedSince(pfn, stamp))
      this.#report(
        cpu,
        'gup returned a page that was no longer mapped when its reference was taken',
        mm,
        addr,
        pfn,
        stamp,
      )
    if (this.#mappings.mappedElsewhereSince(pfn, mm, vpn, stamp))
      this.#report(cpu, 'gup returned a page that belongs to another address', mm, addr, pfn, stamp)
  }

  #report(cpu: Cpu, what: string, mm: number, addr: number, pfn: number, stamp = 0): never {
    const asked = `asked for ${hex(addr)} of mm ${hex(mm)}`
    if (!this.#shadow.exists(pfn)) violation(cpu, ORACLE, what, 0, [asked, ...this.#sites.describe(pfn)])
    const at = this.#shadow.of(pfn)
    const unmapped = peek32(at + SHADOW.at.unmapClock) - 1
    violation(cpu, ORACLE, what, this.#machine.memmap.page(pfn), [
      asked,
      `${load32(at + SHADOW.at.maps)} PTEs map it, the last one went at clock ${unmapped}; reference after clock ${stamp}`,
      ...this.#sites.describe(pfn),
    ])
  }
}
