/**
 * A consistent look at an entry of any CPU's TLB while that CPU goes on.
 *
 * A TLB changes a slot only after it has dropped what was in it, and each drop is counted (tlbDropped) before the
 * slot's fields are written again; the word that says a slot is full is written last. So fields that are read between a
 * full slot and an unchanged count of drops are those of one entry, which was in the TLB all that time.
 */
import { load32, peek32, peekF64 } from '../machine/image/image.js'
import { TLB_ENTRY } from '../machine/cpu/tlb.js'
import type { Shadow } from './shadow.js'

const AT = TLB_ENTRY.at

export class TlbView {
  /** The entry that the last read() found. */
  vpn = 0
  pfn = 0
  pages = 0
  flags = 0
  stamp = 0
  mm = 0
  readonly #shadow: Shadow

  constructor(shadow: Shadow) {
    this.#shadow = shadow
  }

  /** True when the slot at `entry` in the TLB of `cpu` was full, with these fields. False also when it just changed. */
  read(cpu: number, entry: number): boolean {
    const drops = load32(this.#shadow.tlbDrops(cpu))
    this.pages = load32(entry + AT.pages)
    if (this.pages === 0) return false
    this.vpn = peekF64(entry + AT.vpn)
    this.pfn = peek32(entry + AT.pfn)
    this.flags = peek32(entry + AT.flags)
    this.stamp = peek32(entry + AT.stamp)
    this.mm = peek32(entry + AT.mm)
    return load32(this.#shadow.tlbDrops(cpu)) === drops
  }

  /** The entry translates a page of vpn … end-1 of `mm`. */
  overlaps(mm: number, vpn: number, end: number): boolean {
    return this.mm === mm && this.vpn < end && this.vpn + this.pages > vpn
  }
}
