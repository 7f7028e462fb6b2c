/**
 * Page tables as a tree of each address space, entries that are not empty, in the words of reports. Tables that hang in
 * no tree are shown too: walkers may still be in them, or a split waits for them.
 */
import { briefAt, emptyEntry, hugeFrame, isHuge, levelName, pteFrame, tableFrame } from '../../arch/entry.js'
import type { Machine } from '../../boot/machine.js'
import { SHADOW, TABLE_DEPOSITED, TABLE_FREED, TABLE_SHADOW } from '../../check/shadow.js'
import { peek32, peek64 } from '../../machine/image/image.js'
import { Level } from '../../arch/level.js'
import { MM } from '../../mm/mmStruct.js'
import { PAGE, PG_BUDDY, PG_TABLE } from '../../mm/page.js'
import { entrySpan } from '../address.js'
import { describeEntry, hex } from '../entry.js'
import { NO_FRAMES, type Put } from './cell.js'

/** The state of each table, and the entries of tables that no address space leads to. */
const TABLES = { group: 'tables', order: 1 << 20 }
const UNLINKED = { group: 'not linked', order: TABLES.order + 1 }
/** Address spaces that cannot lead to more tables than this are cut off: a broken tree may lead to itself. */
const TABLES_MAX = 4096

export function readTables(machine: Machine, put: Put): void {
  const walk = new TreeWalk(machine, put)
  const { config, regions, memmap } = machine
  for (let slot = 0; slot < config.kernel.mms; slot++) {
    const mm = regions.kernel.mms + slot * MM.size
    const pgd = peek32(mm + MM.at.inUse) === 0 ? 0 : peek32(mm + MM.at.pgd)
    if (pgd !== 0) walk.tree(slot, memmap.tableAt(pgd), peek32(mm + MM.at.topLevel))
  }
  for (let pfn = 0; pfn < config.frames; pfn++) if (isTableFrame(machine, pfn)) walk.unlinked(pfn)
}

function isTableFrame({ memmap }: Machine, pfn: number): boolean {
  const flags = peek32(memmap.page(pfn) + PAGE.at.flags)
  return (flags & PG_TABLE) !== 0 && (flags & PG_BUDDY) === 0
}

class TreeWalk {
  readonly #machine: Machine
  readonly #put: Put
  readonly #seen = new Set<number>()

  constructor(machine: Machine, put: Put) {
    this.#machine = machine
    this.#put = put
  }

  tree(slot: number, top: number, level: number): void {
    this.#table(`mm${slot}`, slot, top, level, 0)
  }

  #table(group: string, slot: number, table: number, level: number, base: number): void {
    if (this.#seen.size >= TABLES_MAX) return
    this.#seen.add(table)
    this.#state(table, level, 'linked')
    const { memmap, config } = this.#machine
    const span = entrySpan(this.#machine, level)
    this.#entries(table, level, (at, index, text) => {
      const addr = base + index * span
      const name = `${nameOfLevel(level)}[${index}] of ${hex(addr)}`
      const frames = framesOf(this.#machine, at, level)
      // Parents before their children, children before the next parent.
      const within = addr * 8 + (7 - level)
      this.#put({ panel: 'tables', group, name, text, order: [slot, within], addr: at, frames })
      const below = level === Level.pte ? -1 : tableFrame(briefAt(at))
      if (below >= 0 && below < config.frames * memmap.fragments && !this.#seen.has(below))
        this.#table(group, slot, below, level - 1, addr)
    })
  }

  /** The tables of frame `pfn` that no tree led to. */
  unlinked(pfn: number): void {
    const { memmap } = this.#machine
    const first = memmap.firstTable(pfn)
    for (let nr = first; nr < first + memmap.fragments; nr++) if (!this.#seen.has(nr)) this.#loose(nr)
  }

  #loose(nr: number): void {
    const state = tableState(this.#machine, nr)
    if (state === 0) return
    const { memmap } = this.#machine
    const level = state & 0xf
    if (nr !== memmap.wholeTable(level, nr)) return
    const isFreed = (state & TABLE_FREED) !== 0
    this.#state(nr, level, (state & TABLE_DEPOSITED) !== 0 ? 'deposited' : isFreed ? 'given back' : 'not linked')
    if (isFreed) return
    const { group, order } = UNLINKED
    this.#entries(nr, level, (addr, index, text) => {
      const name = `${nameOfLevel(level)} table ${hex(nr)}[${index}]`
      const frames = framesOf(this.#machine, addr, level)
      this.#put({ panel: 'tables', group, name, text, order: [order, nr * 4096 + index], addr, frames })
    })
  }

  #state(nr: number, level: number, text: string): void {
    const { memmap } = this.#machine
    const { group, order } = TABLES
    const name = `${nameOfLevel(level)} table ${hex(nr)}`
    const frames = [memmap.pfnOfTable(nr)]
    this.#put({ panel: 'tables', group, name, text, order: [order, nr], addr: memmap.table(nr), frames })
  }

  #entries(table: number, level: number, found: (at: number, index: number, text: string) => void): void {
    const { memmap, geo } = this.#machine
    const count = level === Level.pte ? geo.ptrsPerPte : geo.ptrsPerTable
    for (let index = 0; index < count; index++) {
      const at = memmap.table(table) + index * 8
      const word = peek64(at)
      if (word === emptyEntry(level)) continue
      const text = describeEntry(word, level, geo)
      if (text !== 'none') found(at, index, text)
    }
  }
}

/** What the oracles know of table `nr`: Level and flags; 0: no table, or no oracles. */
function tableState({ config, regions }: Machine, nr: number): number {
  if (!config.oracles) return 0
  return peek32(regions.shadow + config.frames * SHADOW.size + nr * TABLE_SHADOW.size + TABLE_SHADOW.at.state)
}

const nameOfLevel = (level: number): string => (level === 0 ? 'page' : levelName(level))

/** Frames that the entry at `at` maps, or the frame of the table that it points to. */
function framesOf({ memmap, geo }: Machine, at: number, level: number): readonly number[] {
  const low = briefAt(at)
  if (level === Level.pte) return one(pteFrame(low))
  const huge = level === Level.pmd && isHuge(low) ? hugeFrame(low, geo.hpagePmdNr) : -1
  if (huge >= 0) return Array.from({ length: geo.hpagePmdNr }, (_, i) => huge + i)
  const table = tableFrame(low)
  return table < 0 ? NO_FRAMES : [memmap.pfnOfTable(table)]
}

const one = (frame: number): readonly number[] => (frame < 0 ? NO_FRAMES : [frame])
