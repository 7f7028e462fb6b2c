/** The use of each frame, its holders, and the site of its allocation. Frames that are free say so and no more. */
import type { Machine } from '../../boot/machine.js'
import { SHADOW } from '../../check/shadow.js'
import { peek32 } from '../../machine/image/image.js'
import {
  PAGE,
  PAGE_MAPPING_ANON,
  PG_ACTIVE,
  PG_ANON_EXCLUSIVE,
  PG_BUDDY,
  PG_DIRTY,
  PG_HEAD,
  PG_LOCKED,
  PG_LRU,
  PG_REFERENCED,
  PG_RESERVED,
  PG_SWAPBACKED,
  PG_TABLE,
  PG_UPTODATE,
} from '../../mm/page.js'
import { OPS } from '../../program/op.js'
import { hex } from '../entry.js'
import type { Put } from './cell.js'

const FLAGS: readonly (readonly [number, string])[] = [
  [PG_LOCKED, 'locked'],
  [PG_REFERENCED, 'referenced'],
  [PG_UPTODATE, 'uptodate'],
  [PG_DIRTY, 'dirty'],
  [PG_LRU, 'lru'],
  [PG_SWAPBACKED, 'swapbacked'],
  [PG_ANON_EXCLUSIVE, 'exclusive'],
  [PG_HEAD, 'head'],
  [PG_ACTIVE, 'active'],
]

export const FREE = 'free'

/**
 * Where frame `pfn` is described: its struct page, the next one, which keeps counts of a large folio, and its shadow.
 */
export const frameRanges = ({ memmap, regions }: Machine, pfn: number): (readonly [number, number])[] => [
  [memmap.page(pfn), 2 * PAGE.size],
  [regions.shadow + pfn * SHADOW.size, SHADOW.size],
]

export function readFrame(machine: Machine, pfn: number, put: Put): void {
  const { memmap } = machine
  const page = memmap.page(pfn)
  const flags = peek32(page + PAGE.at.flags)
  const cell = (within: number, name: string, text: string, at: number): void =>
    put({ panel: 'frames', group: hex(pfn), name, text, order: [pfn, within], addr: at, frames: [pfn] })
  const use = useOf(machine, page, flags)
  cell(0, 'use', use, page + PAGE.at.mapping)
  if (use === FREE) return
  const isTail = (peek32(page + PAGE.at.compoundHead) & 1) !== 0
  if (!isTail) cell(1, 'refcount', refcountOf(page, flags), page + PAGE.at.refcount)
  if ((flags & (PG_RESERVED | PG_TABLE)) === 0) cell(2, 'mapcount', mapcountOf(page, flags), page + PAGE.at.mapcount)
  const names = FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name)
  if (names.length > 0) cell(3, 'flags', names.join(' '), page + PAGE.at.flags)
  const by = (flags & PG_RESERVED) !== 0 ? '' : allocatorOf(machine, pfn)
  if (by !== '') cell(4, 'allocated by', by, 0)
}

function useOf({ memmap }: Machine, page: number, flags: number): string {
  if ((flags & PG_BUDDY) !== 0) return FREE
  if ((flags & PG_RESERVED) !== 0) return 'reserved'
  const link = peek32(page + PAGE.at.compoundHead)
  if ((link & 1) !== 0) return `tail of ${hex(memmap.pfnOf(link - 1))}`
  if ((flags & PG_TABLE) !== 0) return 'page table'
  const mapping = peek32(page + PAGE.at.mapping)
  if (mapping !== 0) return (mapping & PAGE_MAPPING_ANON) !== 0 ? 'anonymous' : 'file'
  // Inside a free block only the first frame carries the flag, and nobody refers to the others.
  return peek32(page + PAGE.at.refcount) === 0 ? FREE : 'data'
}

/** s390 tracks the tables of a page in the top byte of its count. */
function refcountOf(page: number, flags: number): string {
  const count = peek32(page + PAGE.at.refcount)
  const tables = (flags & PG_TABLE) === 0 ? 0 : count >>> 24
  return tables === 0 ? String(count) : `${count & 0xffffff}, tables ${hex(tables)}`
}

/** Mappings by PTEs; of a large folio's head also those of the whole, and pins. */
function mapcountOf(page: number, flags: number): string {
  const own = (peek32(page + PAGE.at.mapcount) + 1) | 0
  if ((flags & PG_HEAD) === 0) return String(own)
  const tail = page + PAGE.size
  const entire = (peek32(tail + PAGE.at.entireMapcount) + 1) | 0
  const pins = peek32(tail + PAGE.at.pincount)
  return `${own}, entire ${entire}${pins === 0 ? '' : `, pins ${pins}`}`
}

function allocatorOf({ config, regions }: Machine, pfn: number): string {
  if (!config.oracles) return ''
  const who = peek32(regions.shadow + pfn * SHADOW.size + SHADOW.at.allocCpu)
  return who === 0 ? '' : `CPU ${(who & 0xff) - 1}, ${OPS[who >>> 8] ?? 'boot'}`
}
