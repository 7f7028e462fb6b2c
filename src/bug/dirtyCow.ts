/**
 * BUG-15, CVE-2016-5195. 19be0eaffa3a "mm: remove gup_flags FOLL_WRITE games from __get_user_pages()".
 *
 * A FOLL_FORCE write to a read-only private mapping breaks COW, and the copy stays read-only. So that the next look did
 * not ask for a write again, gup dropped FOLL_WRITE. If MADV_DONTNEED removes the copy in between, that look is content
 * with the page cache page.
 *
 * Upstream dropped the flag when the fault said that COW was broken (VM_FAULT_WRITE); a write fault of the model has
 * always broken it.
 */
import type { PhysAddr } from '../base/units.js'
import { peek32 } from '../machine/image/image.js'
import { Gup } from '../mm/gup.js'
import { FOLL_WRITE } from '../mm/gupFast.js'
import { VM_WRITE, VMA } from '../mm/mmStruct.js'
import { defineBug } from './bug.js'

class DropsFollWrite extends Gup {
  protected override afterFault(vma: PhysAddr, flags: number): number {
    const readOnly = (peek32(vma + VMA.at.flags) & VM_WRITE) === 0
    return readOnly ? flags & ~FOLL_WRITE : flags
  }
}

export const dirtyCow = defineBug({
  id: 'dirty-cow',
  number: 'BUG-15',
  year: 2016,
  upstream: { introduced: 'f33ea7f404e5', fixed: '19be0eaffa3a' },
  summary: 'gup forgets that it wants to write once a fault has broken COW',
  symptom: 'a write into a read-only file page',
  scenarios: ['force-write-vs-dontneed'],
  parts: { Gup: DropsFollWrite },
})
