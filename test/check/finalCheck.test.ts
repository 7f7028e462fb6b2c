import { beforeEach, describe, expect, it } from 'vitest'
import { phys, type PhysAddr } from '../../dist/src/base/units.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { makeWritableMigrationEntry } from '../../dist/src/isa/x86_64/swap.js'
import { pmdMkinvalid } from '../../dist/src/isa/x86_64/pte.js'
import { settle } from '../../dist/src/check/finalCheck.js'
import { peek32, poke32, poke64 } from '../../dist/src/machine/image/image.js'
import { Level } from '../../dist/src/arch/level.js'
import { FrameKind } from '../../dist/src/arch/observer.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { GUP_PIN_COUNTING_BIAS, PAGE, PG_ANON_EXCLUSIVE } from '../../dist/src/mm/page.js'
import { ZONE } from '../../dist/src/mm/pageAllocator.js'
import { HUGE, HUGE_SIZE, hugeWritable, Lab, PAGE_SIZE, readOnly, writable } from './lab.js'

/** One PTE table with an anonymous page, a page of a file and the zero page; one huge page with its deposited table. */
class Settled extends Lab {
  readonly ptes: number
  readonly anon = this.anonPage()
  readonly file = this.filePage()
  readonly folio = this.anonPage(2)
  readonly deposited = this.alloc(FrameKind.table)

  constructor() {
    super()
    this.ptes = this.linkTable(0)
    this.#mapPages()
    this.#mapHuge()
    poke32(this.mm + MM.at.nrPtes, 2)
    poke32(this.mm + MM.at.rssAnon, 1 + HUGE)
    poke32(this.mm + MM.at.rssFile, 1)
  }

  #mapPages(): void {
    const { zeroPfn } = this.kernel.pages
    this.map(this.ptes, 0, this.anon)
    this.map(this.ptes, 1, this.file, readOnly(this.file))
    this.map(this.ptes, 2, zeroPfn, readOnly(zeroPfn))
    this.add(this.anon, PAGE.at.mapcount, 1)
    this.add(this.file, PAGE.at.mapcount, 1)
    // The page cache holds a reference, too.
    this.add(this.file, PAGE.at.refcount, 1)
    poke32(this.machine.regions.kernel.pageCache + 8, this.page(this.file))
  }

  #mapHuge(): void {
    for (let i = 0; i < HUGE; i++) poke64(this.frame(this.deposited) + i * 8, 0n)
    this.observer.tableCreated(this.cpu, this.deposited, Level.pte, this.mm)
    this.deposit(this.deposited)
    const page = this.page(this.deposited)
    poke32(page + PAGE.at.lruNext, page)
    poke32(this.page(this.pmd) + PAGE.at.pmdHugePte, page)
    this.set(Level.pmd, this.pmdp(1), hugeWritable(this.folio), HUGE_SIZE)
    this.add(this.folio + 1, PAGE.at.entireMapcount, 1)
    this.add(this.folio + 1, PAGE.at.largeMapcount, 1)
  }

  field(pfn: number, at: number): PhysAddr {
    return phys(this.page(pfn) + at)
  }

  add(pfn: number, at: number, delta: number): void {
    poke32(this.field(pfn, at), peek32(this.field(pfn, at)) + delta)
  }
}

describe('finalCheck', () => {
  let lab: Settled
  beforeEach(() => (lab = new Settled()))

  const expectFound = (oracle: string, words: string) =>
    expect(lab.finalCheck()).toMatchObject({ oracle, cpu: -1, title: expect.stringContaining(words) as unknown })

  it('finds nothing where every count is what its holders add up to', () => {
    expect(lab.finalCheck()).toBeNull()
  })

  it('is not repeated where nothing has happened since the state was found good', () => {
    settle(lab.machine)
    lab.add(lab.anon, PAGE.at.refcount, 1)
    expect(lab.finalCheck()).toBeNull()
    lab.observer.referenced(lab.cpu, lab.anon, 1, 1)
    expectFound('refcount', 'wrong references')
  })

  it('is repeated after a boot that left something wrong', () => {
    lab.add(lab.anon, PAGE.at.refcount, 1)
    settle(lab.machine)
    expectFound('refcount', 'wrong references')
  })

  describe('of references', () => {
    it.each([1, -1])('finds a page with %i reference too many', (delta) => {
      lab.add(lab.anon, PAGE.at.refcount, delta)
      expectFound('refcount', `pfn:0x${lab.anon.toString(16)}: wrong references`)
    })

    it('accounts for what gup returned, and for pins by their bias', () => {
      lab.gup(lab.anon, 0)
      lab.gup(lab.anon, 0, { pin: true })
      expectFound('refcount', 'wrong references')
      lab.add(lab.anon, PAGE.at.refcount, 1 + GUP_PIN_COUNTING_BIAS)
      expect(lab.finalCheck()).toBeNull()
    })

    it('accounts for pins of a huge page one by one', () => {
      lab.gup(lab.folio + 2, HUGE_SIZE + 2 * PAGE_SIZE, { pin: true })
      lab.add(lab.folio, PAGE.at.refcount, 1)
      expectFound('refcount', 'wrong pins')
      lab.add(lab.folio + 1, PAGE.at.pincount, 1)
      expect(lab.finalCheck()).toBeNull()
    })

    it('accounts for references that the caller knows of', () => {
      lab.add(lab.anon, PAGE.at.refcount, 3)
      const finding = lab.finalCheck((pfn) => (pfn === lab.anon ? 3 : 0))
      expect(finding).toBeNull()
    })

    it('finds a reference of the page cache that is missing', () => {
      lab.add(lab.file, PAGE.at.refcount, -1)
      expectFound('refcount', 'wrong references')
    })

    it('finds references of tails and of free pages', () => {
      lab.add(lab.folio + 1, PAGE.at.refcount, 1)
      expectFound('refcount', 'references of a tail')
      lab.add(lab.folio + 1, PAGE.at.refcount, -1)
      lab.add(60, PAGE.at.refcount, 1)
      expectFound('refcount', 'references of a free page')
    })

    it('finds wrong mapcounts, of a page and of a folio', () => {
      for (const [pfn, at] of [
        [lab.anon, PAGE.at.mapcount],
        [lab.folio + 2, PAGE.at.mapcount],
        [lab.folio + 1, PAGE.at.entireMapcount],
        [lab.folio + 1, PAGE.at.largeMapcount],
      ] as const) {
        lab.add(pfn, at, 1)
        expectFound('refcount', 'mapcount')
        lab.add(pfn, at, -1)
      }
    })
  })

  describe('of leaks', () => {
    it.each(['data', 'table', 'batch'] as const)('finds a %s frame that nobody holds', (kind) => {
      lab.alloc(FrameKind[kind])
      expectFound('leak', 'memory leak')
    })

    it('finds free frames that are in no free list', () => {
      const freePages = lab.machine.regions.kernel.zone + ZONE.at.freePages
      poke32(freePages, peek32(freePages) - 1)
      expectFound('frame-state', 'free lists')
    })

    it('finds a free frame that an entry names', () => {
      const page = drive(lab.kernel.pages.allocPage(FrameKind.data))
      poke64(lab.ptep(lab.ptes, 3), writable(page))
      lab.free(page)
      expectFound('frame-state', 'names a frame that is no page')
    })
  })

  describe('of an address space', () => {
    it.each([
      ['rssAnon', 'MM_ANONPAGES'],
      ['rssFile', 'MM_FILEPAGES'],
      ['nrPtes', 'pgtables_bytes'],
      ['tlbFlushPending', 'tlb_flush_pending'],
    ] as const)('finds a wrong %s', (field, words) => {
      poke32(lab.mm + MM.at[field], peek32(lab.mm + MM.at[field]) + 1)
      expectFound('refcount', words)
    })

    it('finds migration entries and invalidated huge entries that were left behind', () => {
      poke64(lab.ptep(lab.ptes, 3), makeWritableMigrationEntry(lab.anon))
      expectFound('entry-legal', 'left behind')
      poke64(lab.ptep(lab.ptes, 3), 0n)
      poke64(lab.pmdp(1), pmdMkinvalid(hugeWritable(lab.folio), HUGE))
      expectFound('entry-legal', 'left invalidated')
    })

    it('finds a table that hangs in two places', () => {
      poke64(lab.pmdp(2), BigInt(lab.ptes) * 4096n + 0x67n)
      expectFound('frame-state', 'linked twice')
    })

    it('finds more or fewer deposited tables than huge entries, and one that is not empty', () => {
      const list = lab.field(lab.pmd, PAGE.at.pmdHugePte)
      const page = peek32(list)
      poke32(list, 0)
      expectFound('frame-state', 'do not match')
      poke32(list, page)
      poke64(lab.frame(lab.deposited) + 8, 1n)
      expectFound('frame-state', 'not empty')
    })

    it('finds writable entries and pins of anonymous pages that are not exclusive', () => {
      lab.add(lab.anon, PAGE.at.flags, -PG_ANON_EXCLUSIVE)
      expectFound('pin-exclusive', 'writable entry')
      poke64(lab.ptep(lab.ptes, 0), readOnly(lab.anon))
      expect(lab.finalCheck()).toBeNull()
      lab.add(lab.anon, PAGE.at.flags, PG_ANON_EXCLUSIVE)
      lab.gup(lab.anon, 0, { pin: true })
      lab.add(lab.anon, PAGE.at.flags, -PG_ANON_EXCLUSIVE)
      lab.add(lab.anon, PAGE.at.refcount, GUP_PIN_COUNTING_BIAS)
      expectFound('pin-exclusive', 'pinned page')
    })
  })
})
