/** Words of page tables in words: what an entry of x86-64 says to the hardware, or keeps for the kernel. */
import type { Geometry } from '../arch/geometry.js'
import { pmdLeaf, pmdPfn, pteDirty, pteNone, ptePfn, ptePresent, pteProtnone, pteWrite } from '../arch/x86_64/pte.js'
import {
  isMigrationEntry,
  isSwapPmd,
  isSwapPte,
  isWritableMigrationEntry,
  swpOffset,
  swpOffsetPfn,
  swpType,
} from '../arch/x86_64/swap.js'
import type { PteWord } from '../base/units.js'
import { Level } from '../machine/trace/observer.js'

/** `none`, `table 0x1c`, `page 0x2a rw dirty`, `huge 0x20 ro`, `migration 0x2a rw`, …; `level` is a Level. */
export function describeEntry(word: bigint, level: number, geo: Geometry): string {
  const entry = word as PteWord
  if (pteNone(entry)) return 'none'
  const isPte = level === Level.pte
  if (isPte ? isSwapPte(entry) : isSwapPmd(entry)) return describeSwap(entry)
  if (!isPte && !pmdLeaf(entry)) return `table ${hex(ptePfn(entry))}`
  const pfn = isPte ? ptePfn(entry) : pmdPfn(entry, geo.hpagePmdNr)
  const rights = `${pteWrite(entry) ? 'rw' : 'ro'}${pteDirty(entry) ? ' dirty' : ''}`
  const state = pteProtnone(entry) ? ' protnone' : ptePresent(entry) ? '' : ' invalidated'
  return `${isPte ? 'page' : 'huge'} ${hex(pfn)} ${rights}${state}`
}

function describeSwap(entry: PteWord): string {
  if (!isMigrationEntry(entry)) return `swap type ${swpType(entry)} offset ${hex(swpOffset(entry))}`
  return `migration ${hex(swpOffsetPfn(entry))} ${isWritableMigrationEntry(entry) ? 'rw' : 'ro'}`
}

export const hex = (n: number | bigint): string => `0x${n.toString(16)}`
