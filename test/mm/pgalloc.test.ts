/**
 * PTE tables that share a page, one CPU: the tracking byte of s390 through every legal state and transition, powerpc's
 * cursor and count, and for each design that every page comes back. What CPUs do to each other is in test/race.
 */
import { describe, expect, it } from 'vitest'
import type { PhysAddr, Table, VirtAddr } from '../../dist/src/base/units.js'
import { fullMachine, smallMachine, withPgalloc } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32 } from '../../dist/src/machine/image/image.js'
import { Level } from '../../dist/src/arch/level.js'
import type { Kernel } from '../../dist/src/mm/kernel.js'
import { MM } from '../../dist/src/mm/mmStruct.js'
import { PAGE } from '../../dist/src/mm/page.js'
import { pgallocDesigns } from '../../dist/src/isa/designs.js'
import type { Op } from '../../dist/src/program/op.js'

const DESIGNS = pgallocDesigns().map(({ id }) => id)
const LISTED_BY_NODE: readonly string[] = ['s390-shared-head', 's390-active']

class Bench {
  readonly machine: Machine
  readonly booted: BootedCpu
  readonly k: Kernel
  readonly mm: PhysAddr

  constructor(pgalloc: string, size: 'small' | 'real' = 'small') {
    const config = size === 'small' ? smallMachine(1) : fullMachine(1)
    this.machine = new Machine(withPgalloc({ ...config, kernel: { ...config.kernel, pgalloc } }))
    this.machine.boot([], null, [8])
    this.booted = this.machine.makeCpu(0, new SoloEngine(), null)
    this.k = this.booted.kernel
    this.mm = this.k.mms.currentMm()
    drive(this.k.rcu.ctKernelEnter())
  }

  alloc(): Table {
    return drive(this.k.pgalloc.pteAllocOne(this.mm))
  }

  free(table: Table): void {
    drive(this.k.pgalloc.pteFree(this.mm, table))
  }

  freeTlb(table: Table): void {
    drive(this.k.pgalloc.__pteFreeTlb(this.mm, table))
  }

  tlbRemove(table: Table): void {
    drive(this.k.pgalloc.__tlbRemoveTable(table))
  }

  defer(table: Table): void {
    drive(this.k.pgalloc.pteFreeDefer(this.mm, table))
  }

  gracePeriod(): void {
    drive(this.k.rcu.synchronizeRcu())
    drive(this.k.rcu.drain())
  }

  /** The page of a table; -1 once it is free. */
  page(table: Table): PhysAddr {
    return this.k.memmap.page(this.k.memmap.pfnOfTable(table))
  }

  isFree(table: Table): boolean {
    return peek32(this.page(table) + PAGE.at.refcount) === 0
  }

  byte(table: Table): number {
    return peek32(this.page(table) + PAGE.at.refcount) >>> 24
  }

  /** Pages on the mm's list, first to last. */
  listed(): number[] {
    const head = this.mm + MM.at.pgtableList
    const pages: number[] = []
    for (let node = peek32(head); node !== head; node = peek32(node)) pages.push(node - PAGE.at.lruNext)
    return pages
  }
}

describe.each(LISTED_BY_NODE)('the tracking byte of %s', (design) => {
  const twoTables = (): { bench: Bench; first: Table; second: Table } => {
    const bench = new Bench(design)
    const [first, second] = [bench.alloc(), bench.alloc()]
    return { bench, first, second }
  }

  it('is 0x01 for a fresh page, which is listed, and 0x03 when both parts are out, and it is not', () => {
    const bench = new Bench(design)
    const first = bench.alloc()
    expect([bench.byte(first), bench.listed()]).toEqual([0x01, [bench.page(first)]])
    const second = bench.alloc()
    expect([second, bench.byte(first), bench.listed()]).toEqual([first + 1, 0x03, []])
  })

  it.each([
    ['first', 0x02, 0x12],
    ['second', 0x01, 0x21],
  ] as const)('of a page that gives its %s part back goes by way of pending, listed', (which, free, pending) => {
    const { bench, first, second } = twoTables()
    const table = which === 'first' ? first : second
    bench.freeTlb(table)
    expect([bench.byte(first), bench.listed()]).toEqual([pending, [bench.page(first)]])
    // Pending counts as busy: a fresh page is used.
    const other = bench.alloc()
    expect(bench.page(other)).not.toBe(bench.page(first))
    bench.tlbRemove(table)
    expect([bench.byte(first), bench.listed().includes(bench.page(first))]).toEqual([free, true])
  })

  it('lets a part that was given back be handed out again, empty, without a look at anything but the head', () => {
    const { bench, first, second } = twoTables()
    bench.free(first)
    expect([bench.byte(second), bench.listed()]).toEqual([0x02, [bench.page(second)]])
    expect(bench.alloc()).toBe(first)
    expect([bench.byte(second), bench.listed()]).toEqual([0x03, []])
  })

  it('puts pending pages at the tail and those that can be had at the head', () => {
    const bench = new Bench(design)
    const [a, , c] = [bench.alloc(), bench.alloc(), bench.alloc(), bench.alloc()] as [Table, Table, Table, Table]
    bench.free(a)
    bench.freeTlb(c)
    expect(bench.listed()).toEqual([bench.page(a), bench.page(c)])
    bench.tlbRemove(c)
  })

  it('goes over 0x30 when both parts are pending at once, and the page goes with the last', () => {
    const { bench, first, second } = twoTables()
    bench.freeTlb(first)
    bench.freeTlb(second)
    expect([bench.byte(first), bench.listed()]).toEqual([0x30, []])
    bench.tlbRemove(second)
    expect([bench.byte(first), bench.isFree(first)]).toEqual([0x10, false])
    bench.tlbRemove(first)
    expect(bench.isFree(first)).toBe(true)
  })

  it('is zero, and the page free, when the only part is given back at once or through a gather', () => {
    const bench = new Bench(design)
    const once = bench.alloc()
    bench.free(once)
    expect([bench.isFree(once), bench.listed()]).toEqual([true, []])
    const gathered = bench.alloc()
    bench.freeTlb(gathered)
    expect([bench.byte(gathered), bench.listed()]).toEqual([0x10, []])
    bench.tlbRemove(gathered)
    expect(bench.isFree(gathered)).toBe(true)
  })

  it('does not hide a part that can be had: pending pages are listed behind', () => {
    const { bench, first, second } = twoTables()
    const [third, fourth] = [bench.alloc(), bench.alloc()]
    expect(bench.page(third)).toBe(bench.page(fourth))
    bench.free(first)
    bench.freeTlb(third)
    expect(bench.listed()).toEqual([bench.page(second), bench.page(fourth)])
    expect(bench.alloc()).toBe(first)
  })

  it('keeps the page when one part is pending and the other one is freed at once', () => {
    const { bench, first, second } = twoTables()
    bench.freeTlb(first)
    bench.free(second)
    expect([bench.byte(first), bench.isFree(first), bench.listed()]).toEqual([0x10, false, []])
    bench.tlbRemove(first)
    expect(bench.isFree(first)).toBe(true)
  })
})

describe('pte_free_defer() as merged for s390', () => {
  it('takes the page off the list for good, and lets it wait for a grace period when both parts are gone', () => {
    const bench = new Bench('s390-active')
    const [first, second] = [bench.alloc(), bench.alloc()]
    bench.defer(first)
    expect([bench.byte(second), bench.listed()]).toEqual([0x02, []])
    expect(bench.page(bench.alloc())).not.toBe(bench.page(second))
    bench.free(second)
    expect(bench.isFree(first)).toBe(false)
    bench.gracePeriod()
    expect(bench.isFree(first)).toBe(true)
  })
})

describe('the third pair of bits', () => {
  it.each(['s390-pphhaa-global', 's390-pphhaa-mm-lock', 's390-pphhaa-on-list'] as const)(
    'lets both parts of a page wait on one rcu_head, one after the other (%s)',
    (design) => {
      const bench = new Bench(design)
      const [first, second] = [bench.alloc(), bench.alloc()]
      bench.defer(first)
      expect(bench.byte(first)).toBe(0x16)
      bench.defer(second)
      expect(bench.byte(first)).toBe(0x3c)
      bench.gracePeriod()
      bench.gracePeriod()
      expect(bench.isFree(first)).toBe(true)
    },
  )

  it.each([
    ['s390-pphhaa-global', true],
    ['s390-pphhaa-on-list', false],
  ] as const)('%s hands a part out again after its grace period: %s', (design, again) => {
    const bench = new Bench(design)
    const [first, second] = [bench.alloc(), bench.alloc()]
    bench.defer(first)
    bench.gracePeriod()
    expect(bench.byte(second)).toBe(0x02)
    expect(bench.alloc() === first).toBe(again)
  })
})

describe('powerpc', () => {
  it('hands the parts of a page out in turn, never again, and frees the page with the last', () => {
    const bench = new Bench('powerpc-fragments')
    const tables = Array.from({ length: 16 }, () => bench.alloc())
    expect(tables).toEqual(tables.map((_, part) => (tables[0] as number) + part))
    for (const table of tables.slice(0, 15)) bench.free(table)
    const next = bench.alloc()
    expect(bench.page(next)).not.toBe(bench.page(tables[0] as Table))
    expect(bench.isFree(tables[0] as Table)).toBe(false)
    bench.free(tables[15] as Table)
    expect(bench.isFree(tables[0] as Table)).toBe(true)
  })

  it.each(['powerpc-fragments', 'powerpc-defer-count'] as const)(
    'lets a page wait for a grace period when one of its parts was deferred (%s)',
    (design) => {
      const bench = new Bench(design)
      const tables = Array.from({ length: 16 }, () => bench.alloc())
      bench.defer(tables[1] as Table)
      for (const table of tables.filter((_, part) => part !== 1)) bench.free(table)
      expect(bench.isFree(tables[0] as Table)).toBe(false)
      bench.gracePeriod()
      expect(bench.isFree(tables[0] as Table)).toBe(true)
    },
  )
})

describe('PMD tables of powerpc', () => {
  const pmds = (bench: Bench, count: number): Table[] =>
    Array.from({ length: count }, () => drive(bench.k.pgalloc.pmdAllocOne(bench.mm)))
  const free = (bench: Bench, table: Table): void => drive(bench.k.pgalloc.pmdFree(table))

  it.each([
    ['small', 1],
    ['real', 16],
  ] as const)('share a page by sixteen in the %s geometry, each as large as %i PTE tables', (size, parts) => {
    const bench = new Bench('powerpc-fragments', size)
    const tables = pmds(bench, 17)
    const first = tables[0] as Table
    expect(tables.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, i) => first + i * parts))
    expect(bench.page(tables[16] as Table)).not.toBe(bench.page(first))
    expect(bench.k.memmap.tableOfLevelAt(Level.pmd, bench.k.memmap.table(first + 3 * parts) + 8)).toBe(
      first + 3 * parts,
    )
  })

  it('have a cursor of their own: PTE tables come from other pages', () => {
    const bench = new Bench('powerpc-fragments')
    const [pmd] = pmds(bench, 1) as [Table]
    expect(bench.page(bench.alloc())).not.toBe(bench.page(pmd))
    expect(pmds(bench, 1)).toEqual([pmd + 1])
  })

  it('are never handed out again, and their page goes with the last, at once', () => {
    const bench = new Bench('powerpc-fragments')
    const tables = pmds(bench, 16)
    for (const table of tables.slice(0, 15)) free(bench, table)
    expect(bench.page(pmds(bench, 1)[0] as Table)).not.toBe(bench.page(tables[0] as Table))
    expect(bench.isFree(tables[0] as Table)).toBe(false)
    free(bench, tables[15] as Table)
    expect(bench.isFree(tables[0] as Table)).toBe(true)
  })

  it('share one lock and one ring of deposited tables, from which a split takes the newest', () => {
    const bench = new Bench('powerpc-fragments')
    const span = bench.machine.geo.pudSize
    const { pmdSize } = bench.machine.geo
    const run = (op: Op): number => drive(bench.booted.interpreter.execute(op))
    for (const at of [span, 2 * span]) {
      run({ op: 'mmap', addr: at, len: pmdSize, prot: 3, flags: 0x32 })
      run({ op: 'store', addr: at })
    }
    const pmdps = [span, 2 * span].map((at) => drive(bench.k.upper.mmFindPmd(bench.mm, at as VirtAddr)))
    expect(bench.k.tables.pmdLockptr(pmdps[0] as PhysAddr)).toBe(bench.k.tables.pmdLockptr(pmdps[1] as PhysAddr))
    expect(bench.machine.finalCheck(bench.booted)).toBeNull()
    run({ op: 'splitPmd', addr: span })
    expect(bench.machine.finalCheck(bench.booted)).toBeNull()
    run({ op: 'exit' })
    bench.gracePeriod()
    expect(bench.machine.finalCheck(bench.booted)).toBeNull()
  })
})

describe('powerpc-defer-count', () => {
  it('waits once more for the parts that came while one waited, however many they are', () => {
    const bench = new Bench('powerpc-defer-count')
    const tables = Array.from({ length: 16 }, () => bench.alloc())
    for (const table of tables) bench.defer(table)
    expect(bench.isFree(tables[0] as Table)).toBe(false)
    bench.gracePeriod()
    bench.gracePeriod()
    expect(bench.isFree(tables[0] as Table)).toBe(true)
  })
})

describe.each(DESIGNS)('%s', (design) => {
  it('has all pages back when the process has gone, deposited tables and deferred ones too', () => {
    const bench = new Bench(design)
    const huge = bench.machine.geo.pmdSize
    const at = 4 * huge
    const { interpreter } = bench.booted
    for (const op of [
      { op: 'mmap', addr: at, len: 2 * huge, prot: 3, flags: 0x11, file: 0 },
      { op: 'load', addr: at },
      { op: 'load', addr: at + huge },
      { op: 'mmap', addr: 2 * at, len: 2 * huge, prot: 3, flags: 0x32 },
      { op: 'store', addr: 2 * at },
      { op: 'store', addr: 2 * at + huge },
      { op: 'splitPmd', addr: 2 * at },
      { op: 'retract', addr: at, expect: 0 },
      { op: 'load', addr: at + 4096 },
      { op: 'fork', slot: 0 },
      { op: 'madvise', addr: 2 * at + huge, len: huge, advice: 'dontneed' },
      { op: 'reap', slot: 0 },
      { op: 'exit' },
    ] as const)
      drive(interpreter.runOnce([op]))
    expect(bench.machine.finalCheck(bench.booted)).toBeNull()
  })
})
