/**
 * A machine without a program, on which a test plays the kernel: it makes frames, tables and entries by hand and tells
 * the oracles of each step, right or wrong. Addresses and counts are real, so that the oracles find what they look for.
 */
import { expect } from 'vitest'
import { phys, tableNr, type Pfn, type PhysAddr, type PteWord } from '../../dist/src/base/units.js'
import { PAGE_READONLY, PAGE_SHARED, pfnPmd, pfnPte, pmdMkhuge, tableEntry } from '../../dist/src/isa/x86_64/pte.js'
import { smallMachine } from '../../dist/src/boot/config.js'
import { Machine, type BootedCpu } from '../../dist/src/boot/machine.js'
import { finalCheck, type ExtraReferences } from '../../dist/src/check/finalCheck.js'
import { Shadow } from '../../dist/src/check/shadow.js'
import type { Cpu } from '../../dist/src/machine/cpu/cpu.js'
import type { Tlb } from '../../dist/src/machine/cpu/tlb.js'
import { drive } from '../../dist/src/machine/engine/engine.js'
import { Panic, type Finding } from '../../dist/src/machine/engine/finding.js'
import { SoloEngine } from '../../dist/src/machine/engine/solo.js'
import { peek32, peek64, poke32, poke64, pokeF64 } from '../../dist/src/machine/image/image.js'
import { Level } from '../../dist/src/arch/level.js'
import { FrameKind, type Observer } from '../../dist/src/arch/observer.js'
import { MM, VMA } from '../../dist/src/mm/mmStruct.js'
import { PAGE, PAGE_MAPPING_ANON, PG_ANON_EXCLUSIVE } from '../../dist/src/mm/page.js'

export const PAGE_SIZE = 4096
/** Base pages of a huge page, and entries of a table. */
export const HUGE = 4
export const HUGE_SIZE = HUGE * PAGE_SIZE
const ANON_VMA = 0x4000

export class Lab {
  readonly machine = new Machine(smallMachine(2))
  readonly shadow = new Shadow(this.machine)
  readonly cpus: readonly BootedCpu[]
  /** A slot of the mm table, in use, with tables down to one PMD table that covers addresses from 0. */
  readonly mm: PhysAddr
  readonly pmd: Pfn

  constructor() {
    this.cpus = [0, 1].map((id) => this.machine.makeCpu(id, new SoloEngine(), null))
    this.kernel.pages.format()
    this.mm = this.machine.regions.kernel.mms
    const [pgd, pud, pmd] = [this.table(Level.pgd), this.table(Level.pud), this.table(Level.pmd)]
    poke32(this.mm + MM.at.inUse, 1)
    poke32(this.mm + MM.at.pgd, this.frame(pgd))
    poke32(this.mm + MM.at.topLevel, Level.pgd)
    this.set(Level.pgd, this.frame(pgd), tableEntry(Level.pmd, tableNr(pud)))
    this.set(Level.pud, this.frame(pud), tableEntry(Level.pmd, tableNr(pmd)))
    this.pmd = pmd
  }

  get kernel(): BootedCpu['kernel'] {
    return (this.cpus[0] as BootedCpu).kernel
  }

  get observer(): Observer {
    return this.kernel.observer
  }

  get cpu(): Cpu {
    return this.kernel.cpu
  }

  /** The TLB of CPU `cpu`, as that CPU sees it. */
  tlb(cpu: number): Tlb {
    return (this.cpus[cpu] as BootedCpu).kernel.tlbs[cpu] as Tlb
  }

  // ---- frames -----------------------------------------------------------------------------------------------------

  frame(pfn: number): PhysAddr {
    return this.machine.memmap.frame(pfn)
  }

  page(pfn: number): PhysAddr {
    return this.machine.memmap.page(pfn)
  }

  alloc(kind: number, order = 0): Pfn {
    return drive(this.kernel.pages.allocPages(order, kind))
  }

  /** An empty table that is linked nowhere. */
  table(level: number): Pfn {
    const pfn = this.alloc(FrameKind.table)
    for (let i = 0; i < HUGE; i++) poke64(this.frame(pfn) + i * 8, 0n)
    this.observer.tableCreated(this.cpu, pfn, level, 0)
    return pfn
  }

  /** Deposits table `table` with the PMD table, or takes it back. */
  deposit(table: number, deposited = true): void {
    this.observer.tableDeposited(this.cpu, table, this.pmdp(0), deposited)
  }

  /** A cleared page of the page cache's kind: nobody's. */
  filePage(): Pfn {
    const pfn = this.alloc(FrameKind.data)
    this.observer.contentsCreated(this.cpu, pfn, -1)
    return pfn
  }

  /** A cleared anonymous exclusive page, or a folio of one huge page. */
  anonPage(order = 0): Pfn {
    const pfn = this.alloc(FrameKind.data, order)
    for (let i = 0; i < 1 << order; i++) this.observer.contentsCreated(this.cpu, pfn + i, -1)
    poke32(this.page(pfn) + PAGE.at.mapping, ANON_VMA + PAGE_MAPPING_ANON)
    poke32(this.page(pfn) + PAGE.at.flags, peek32(this.page(pfn) + PAGE.at.flags) | PG_ANON_EXCLUSIVE)
    return pfn
  }

  /** Drops the last reference without a look at counts; of a table that fills its page, the table first. */
  free(pfn: number, order = 0): void {
    if (this.shadow.exists(pfn) && this.shadow.kind(pfn) === FrameKind.table) this.observer.tableFreed(this.cpu, pfn)
    poke32(this.page(pfn) + PAGE.at.refcount, 0)
    this.observer.pagesFreed(this.cpu, pfn, order)
  }

  // ---- entries ----------------------------------------------------------------------------------------------------

  /** Stores `word` at `entry`, of Level `level` and for `addr`, and tells of it. */
  set(level: number, entry: number, word: bigint, addr = 0): void {
    this.observer.entryChanging(this.cpu, level, this.mm, addr, entry, word)
    const before = peek64(entry)
    poke64(entry, word)
    this.observer.entryChanged(this.cpu, level, this.mm, addr, entry, before, word)
  }

  /** Address of PMD entry `index`. */
  pmdp(index: number): PhysAddr {
    return phys(this.frame(this.pmd) + index * 8)
  }

  /** A PTE table linked at PMD entry `index`. */
  linkTable(index: number, table = this.table(Level.pte)): Pfn {
    this.set(Level.pmd, this.pmdp(index), tableEntry(Level.pmd, tableNr(table)), index * HUGE_SIZE)
    return table
  }

  ptep(table: number, index: number): PhysAddr {
    return phys(this.frame(table) + index * 8)
  }

  /** Maps `pfn` at PTE `index` of a table that translates from address 0. */
  map(table: number, index: number, pfn: number, word: bigint = writable(pfn)): void {
    this.set(Level.pte, this.ptep(table, index), word, index * PAGE_SIZE)
  }

  unmap(table: number, index: number): void {
    this.map(table, index, 0, 0n)
  }

  /** A VMA of the mm over start … end. */
  addVma(start: number, end: number, flags: number): void {
    const vma = this.machine.regions.kernel.vmas
    pokeF64(vma + VMA.at.start, start)
    pokeF64(vma + VMA.at.end, end)
    poke32(vma + VMA.at.flags, flags)
    const { maple } = this.kernel
    maple.format()
    drive(maple.masPreallocate(this.mm))
    drive(maple.masStorePrealloc(this.mm, start, end, vma))
  }

  // ---- gup --------------------------------------------------------------------------------------------------------

  /** A walk that takes its reference between `before` and `after`, and returns `pfn` for `addr`. */
  gup(
    pfn: number,
    addr: number,
    how: { before?: () => void; after?: () => void; pin?: boolean; write?: boolean } = {},
  ): void {
    const { observer, cpu } = this
    observer.gupBegins()
    how.before?.()
    observer.gupTaking(cpu)
    how.after?.()
    observer.gupDone(cpu, this.mm, addr, pfn, observer.gupStamp(), how.pin ?? false, how.write ?? false)
  }

  // ---- findings ---------------------------------------------------------------------------------------------------

  finalCheck(extra?: ExtraReferences): Finding | null {
    return finalCheck(this.machine, extra)
  }
}

export const writable = (pfn: number): PteWord => pfnPte(pfn as Pfn, PAGE_SHARED)
export const readOnly = (pfn: number): PteWord => pfnPte(pfn as Pfn, PAGE_READONLY)
export const hugeWritable = (pfn: number): PteWord => pmdMkhuge(pfnPmd(pfn as Pfn, PAGE_SHARED, HUGE))

/** The finding that `step` ends in. */
export function findingOf(step: () => void): Finding {
  try {
    step()
  } catch (error) {
    if (error instanceof Panic) return error.finding
    throw error
  }
  throw new Error('nothing was found')
}

/** Expects a finding of `oracle` whose title contains `words`. */
export function expectFinding(oracle: string, words: string, step: () => void): Finding {
  const finding = findingOf(step)
  expect(finding).toMatchObject({ oracle, title: expect.stringContaining(words) as unknown })
  return finding
}
