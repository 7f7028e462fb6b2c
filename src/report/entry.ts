/** Words of page tables in words: what an entry says to the hardware, or keeps for the kernel. */
import type { Geometry } from '../arch/geometry.js'
import {
  brief,
  emptyEntry,
  entryTable,
  isMigrationEntry,
  isSwapPmd,
  isSwapPte,
  isUsable,
  isWritableMigrationEntry,
  pmdDirty,
  pmdLeaf,
  pmdNone,
  pmdPfn,
  pmdProtnone,
  pmdWrite,
  pteDirty,
  pteNone,
  ptePfn,
  pteProtnone,
  pteWrite,
  swpOffset,
  swpOffsetPfn,
  swpType,
} from '../arch/entry.js'
import type { PteWord } from '../base/units.js'
import { Level } from '../arch/level.js'

/** `none`, `table 0x1c`, `page 0x2a rw dirty`, `huge 0x20 ro`, `migration 0x2a rw`, …; `level` is a Level. */
export function describeEntry(word: bigint, level: number, geo: Geometry): string {
  const entry = word as PteWord
  if (entry === emptyEntry(level) || (level === Level.pte && pteNone(entry))) return 'none'
  if (level > Level.pmd) return `table ${hex(entryTable(entry))}`
  return level === Level.pte ? describePte(entry) : describePmd(entry, geo)
}

function describePte(pte: PteWord): string {
  if (isSwapPte(pte)) return describeSwap(pte)
  const rights = `${pteWrite(pte) ? 'rw' : 'ro'}${pteDirty(pte) ? ' dirty' : ''}`
  return `page ${hex(ptePfn(pte))} ${rights}${pteProtnone(pte) ? ' protnone' : unusable(Level.pte, pte)}`
}

function describePmd(pmd: PteWord, geo: Geometry): string {
  if (pmdNone(pmd)) return 'none'
  if (isSwapPmd(pmd)) return describeSwap(pmd)
  if (!pmdLeaf(pmd)) return `table ${hex(entryTable(pmd))}${unusable(Level.pmd, pmd)}`
  const rights = `${pmdWrite(pmd) ? 'rw' : 'ro'}${pmdDirty(pmd) ? ' dirty' : ''}`
  const state = pmdProtnone(pmd) ? ' protnone' : unusable(Level.pmd, pmd)
  return `huge ${hex(pmdPfn(pmd, geo.hpagePmdNr))} ${rights}${state}`
}

/** What the hardware cannot load: invalidated, or on s390 only old. */
function unusable(level: number, entry: PteWord): string {
  return isUsable(level, brief(entry)) ? '' : ' invalidated'
}

function describeSwap(entry: PteWord): string {
  if (!isMigrationEntry(entry)) return `swap type ${swpType(entry)} offset ${hex(swpOffset(entry))}`
  return `migration ${hex(swpOffsetPfn(entry))} ${isWritableMigrationEntry(entry) ? 'rw' : 'ro'}`
}

export const hex = (n: number | bigint): string => `0x${n.toString(16)}`
