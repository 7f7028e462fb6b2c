/** The legal forms of an entry of the toy, and its legal changes. */
import type { PteWord } from '../../../dist/src/base/units.js'
import { MAPPED, pteProtnone, ptePfn, SWAP, TABLE, VALID } from './pte.js'

export const levelName = (level: number): string => ['pte', 'pte', 'pmd', 'pud', 'pgd'][level] as string

const isTable = (entry: PteWord): boolean => (entry & TABLE) !== 0n
const isLeaf = (entry: PteWord): boolean => (entry & MAPPED) !== 0n

export function illegalEntry(level: number, entry: PteWord, limit: number, hpagePmdNr: number): string | null {
  if (entry === 0n) return null
  if ([TABLE, MAPPED, SWAP].filter((kind) => (entry & kind) !== 0n).length !== 1)
    return 'an entry of no kind, or of two'
  if (isTable(entry) && (level === 1 || (entry & VALID) === 0n)) return 'a table pointer that cannot be one'
  if (isLeaf(entry) && (level > 2 || (level === 2 && ptePfn(entry) % hpagePmdNr !== 0))) return 'a leaf out of place'
  return ptePfn(entry) < limit ? null : 'a frame beyond the end of memory'
}

export function illegalChange(level: number, old: PteWord, next: PteWord, _hpagePmdNr: number): string | null {
  if (isTable(old) && next !== 0n && next !== old) return 'a table pointer replaced without being cleared first'
  if (!isLeaf(old)) return null
  if (isLeaf(next) && ptePfn(old) !== ptePfn(next)) return 'a leaf changed its frame without being cleared first'
  const usable = level === 2 && (old & VALID) !== 0n && !pteProtnone(old)
  return usable && isTable(next) ? 'a usable huge leaf replaced by a table without being invalidated first' : null
}

export const illegalInUse = (_level: number, _old: PteWord, _next: PteWord): string | null => null
