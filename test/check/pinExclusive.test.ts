import { beforeEach, describe, it } from 'vitest'
import { peek32, poke32 } from '../../dist/src/machine/image/image.js'
import { Level } from '../../dist/src/arch/level.js'
import { PAGE, PG_ANON_EXCLUSIVE } from '../../dist/src/mm/page.js'
import { expectFinding, HUGE_SIZE, hugeWritable, Lab, PAGE_SIZE } from './lab.js'

describe('pin-exclusive', () => {
  let lab: Lab
  let table: number
  beforeEach(() => {
    lab = new Lab()
    table = lab.linkTable(0)
  })

  const mapped = (): number => {
    const page = lab.anonPage()
    lab.map(table, 1, page)
    return page
  }
  const share = (pfn: number) => {
    const flags = lab.page(pfn) + PAGE.at.flags
    poke32(flags, peek32(flags) & ~PG_ANON_EXCLUSIVE)
  }
  const pin = (pfn: number, addr = PAGE_SIZE) => lab.gup(pfn, addr, { pin: true })
  const clear = (pfn: number) => {
    share(pfn)
    lab.observer.anonExclusiveCleared(lab.cpu, pfn)
  }

  it('reports a pin of an anonymous page that is not exclusive, and lets it be referenced', () => {
    const page = mapped()
    share(page)
    lab.gup(page, PAGE_SIZE)
    expectFinding('pin-exclusive', 'not exclusive', () => pin(page))
  })

  it('lets pages of files be pinned', () => {
    const page = lab.filePage()
    lab.map(table, 1, page)
    pin(page)
  })

  it('reports that the flag is cleared while a pin is held, and not before or after', () => {
    const page = mapped()
    clear(page)
    poke32(lab.page(page) + PAGE.at.flags, PG_ANON_EXCLUSIVE)
    pin(page)
    lab.observer.gupReleased(lab.cpu, page, true)
    clear(page)
    poke32(lab.page(page) + PAGE.at.flags, PG_ANON_EXCLUSIVE)
    pin(page)
    expectFinding('pin-exclusive', 'cleared of a pinned page', () => clear(page))
  })

  it('lets the flag be cleared while others hold references', () => {
    const page = mapped()
    lab.gup(page, PAGE_SIZE)
    clear(page)
  })

  it('reports a pinned page that is given back without the flag', () => {
    const page = mapped()
    pin(page)
    share(page)
    expectFinding('pin-exclusive', 'lost its exclusive flag', () => lab.observer.gupReleased(lab.cpu, page, true))
  })

  it('takes the flag of the head for all pages of a huge mapping', () => {
    const folio = lab.anonPage(2)
    lab.set(Level.pmd, lab.pmdp(1), hugeWritable(folio), HUGE_SIZE)
    pin(folio + 2, HUGE_SIZE + 2 * PAGE_SIZE)
    expectFinding('pin-exclusive', 'cleared of a pinned page', () => clear(folio))
  })

  it('takes the flag of a page that PTEs map for that page alone', () => {
    const folio = lab.anonPage(2)
    lab.map(table, 0, folio)
    lab.map(table, 2, folio + 2)
    pin(folio + 2, 2 * PAGE_SIZE)
    clear(folio)
  })
})
