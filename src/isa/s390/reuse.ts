/**
 * The question of the final check about pages of tables: only the first page of an mm's list is looked at for a part to
 * hand out. With nothing under way, a part that is free must be within reach, or it is lost until its page goes.
 */
import type { PhysAddr } from '../../base/units.js'
import { peek32 } from '../../machine/image/image.js'
import { MM } from '../../mm/mmStruct.js'
import { type Memmap, PAGE } from '../../mm/page.js'
import type { LostPart } from '../architecture.js'

export function reuse(memmap: Memmap, mm: PhysAddr): LostPart | null {
  const [first, ...others] = listedPages(memmap, mm)
  if (first === undefined || canBeHad(first)) return null
  const page = others.find(canBeHad)
  return page === undefined ? null : { page, first }
}

function listedPages(memmap: Memmap, mm: PhysAddr): number[] {
  const head = mm + MM.at.pgtableList
  const pages: number[] = []
  if (peek32(head) === 0) return pages
  for (let node = peek32(head); node !== head && pages.length < memmap.frameCount; node = peek32(node))
    // One design has its nodes in the tables.
    pages.push(node < memmap.frameBase ? node - PAGE.at.lruNext : memmap.page(memmap.pfnAt(node)))
  return pages
}

/** The allocator would hand a part of the page out: neither in use nor pending. */
function canBeHad(page: number): boolean {
  const byte = peek32(page + PAGE.at.refcount) >>> 24
  return ((byte | (byte >>> 4)) & 3) !== 3
}
