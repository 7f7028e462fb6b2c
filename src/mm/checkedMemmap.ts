/**
 * The memmap of a machine with oracles: the struct page of a frame that does not exist is nowhere, and so is the frame,
 * and a table in it. An entry that was written over leads there; by arithmetic alone it would lead into another region,
 * or, modulo 2^32, back into the image.
 *
 * Upstream has pfn_valid() for it, and CONFIG_DEBUG_VM asks. The check costs gup_fast some 10 %, so machines without
 * oracles do without.
 */
import { phys, type PhysAddr } from '../base/units.js'
import { Memmap } from './page.js'

export class CheckedMemmap extends Memmap {
  override page(pfn: number): PhysAddr {
    return pfn >= 0 && pfn < this.frameCount ? super.page(pfn) : nowhere(super.page(pfn))
  }

  override frame(pfn: number): PhysAddr {
    return pfn >= 0 && pfn < this.frameCount ? super.frame(pfn) : nowhere(super.frame(pfn))
  }

  override table(nr: number): PhysAddr {
    return nr >= 0 && nr < this.frameCount * this.fragments ? super.table(nr) : nowhere(super.table(nr))
  }
}

/** Above it not all odd numbers are exact. */
const FURTHEST = 2 ** 52

/** An odd address for `addr`: an access to any word there traps, whatever is left of the address in 32 bits. */
const nowhere = (addr: number): PhysAddr => phys(addr < FURTHEST ? addr + 1 : FURTHEST + 1)
