/**
 * Entries of the toy: what an entry is stands in its low bits, a frame or the number of a table from bit 12 on.
 *
 *   63      39 38  37  36    32 31          12  8     7      6       5      4      3      2     1       0
 *   ┌─────────┬───┬───┬────────┬──────────────┬─────┬─────┬───────┬───────┬─────┬───────┬──────┬──────┬───────┐
 *   │    0    │ D │ Y │  type  │ frame, table │swap │table│special│ dirty │young│ write │ read │mapped│ valid │
 *   └─────────┴───┴───┴────────┴──────────────┴─────┴─────┴───────┴───────┴─────┴───────┴──────┴──────┴───────┘
 */
import type { Pfn, PteWord, Table } from '../../../dist/src/base/units.js'
import type { UpperLevel } from '../../../dist/src/arch/level.js'
import { VM_SHARED, VM_WRITE } from '../../../dist/src/mm/mmStruct.js'

export const VALID = 0x1n //  the hardware may use it
export const MAPPED = 0x2n // a leaf, at every level
export const READ = 0x4n
export const WRITE = 0x8n
export const YOUNG = 0x10n
export const DIRTY = 0x20n
export const SPECIAL = 0x40n
export const TABLE = 0x80n
export const SWAP = 0x100n
const FRAME = 0xffff_f000n

const asUintN = BigInt.asUintN
const has = (entry: bigint, bit: bigint): boolean => asUintN(64, entry & bit) !== 0n
const set = (entry: bigint, bits: bigint): PteWord => asUintN(64, entry | bits) as PteWord
const clear = (entry: bigint, bits: bigint): PteWord => asUintN(64, entry & asUintN(64, ~bits)) as PteWord

export const PTE_EMPTY = 0n as PteWord
export const PMD_EMPTY = PTE_EMPTY
export const emptyEntry = (_level: number): PteWord => PTE_EMPTY

/** What may be executed may be read; a private mapping that may be written starts read-only, for copy-on-write. */
export const vmGetPageProt = (vmFlags: number): bigint =>
  VALID |
  YOUNG |
  ((vmFlags & 7) === 0 ? 0n : READ) |
  ((vmFlags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE) ? WRITE : 0n)

export const pfnPte = (pfn: Pfn, prot: bigint): PteWord => set(prot | MAPPED, BigInt(pfn) << 12n)
export const ptePfn = (pte: PteWord): Pfn => Number((pte & FRAME) >> 12n) as Pfn
export const pteModify = (pte: PteWord, prot: bigint): PteWord =>
  set(pte & (FRAME | MAPPED | YOUNG | DIRTY | SPECIAL), prot)

export const pteNone = (pte: PteWord): boolean => pte === 0n
export const ptePresent = (pte: PteWord): boolean => has(pte, MAPPED)
export const pteProtnone = (pte: PteWord): boolean => (pte & (VALID | MAPPED | READ)) === (VALID | MAPPED)
export const pteWrite = (pte: PteWord): boolean => has(pte, WRITE)
export const pteDirty = (pte: PteWord): boolean => has(pte, DIRTY)
export const pteYoung = (pte: PteWord): boolean => has(pte, YOUNG)
export const pteSpecial = (pte: PteWord): boolean => has(pte, SPECIAL)
export const pteSame = (a: PteWord, b: PteWord): boolean => a === b
export const pteAccessible = (pte: PteWord, _flushPending: boolean): boolean => has(pte, VALID)
export const pteAccessPermitted = (pte: PteWord, write: boolean): boolean =>
  has(pte, VALID) && has(pte, READ) && (!write || has(pte, WRITE))
export const pteNeedsFlush = (old: PteWord, pte: PteWord): boolean =>
  has(old, VALID) && has(clear(old, pte), VALID | READ | WRITE | DIRTY | FRAME)

export const pteMkyoung = (pte: PteWord): PteWord => set(pte, YOUNG)
export const pteMkold = (pte: PteWord): PteWord => clear(pte, YOUNG)
export const pteMkdirty = (pte: PteWord): PteWord => set(pte, DIRTY)
export const pteMkclean = (pte: PteWord): PteWord => clear(pte, DIRTY)
export const pteMkwrite = (pte: PteWord): PteWord => set(pte, READ | WRITE)
export const pteWrprotect = (pte: PteWord): PteWord => clear(pte, WRITE)
export const pteMkspecial = (pte: PteWord): PteWord => set(pte, SPECIAL)

export const pfnPmd = (pfn: Pfn, prot: bigint, _hpagePmdNr: number): PteWord => pfnPte(pfn, prot)
export const pmdPfn = (pmd: PteWord, _hpagePmdNr: number): Pfn => ptePfn(pmd)
export const pmdModify = (pmd: PteWord, prot: bigint, _hpagePmdNr: number): PteWord => pteModify(pmd, prot)
export const pmdMkinvalid = (pmd: PteWord, _hpagePmdNr: number): PteWord => clear(pmd, VALID)
export const pmdPresent = (pmd: PteWord): boolean => has(pmd, MAPPED | TABLE)
export const pmdBad = (pmd: PteWord): boolean => clear(pmd, FRAME) !== (VALID | TABLE)
export const pmdMkhuge = (pmd: PteWord): PteWord => pmd
export {
  pteAccessPermitted as pmdAccessPermitted,
  pteDirty as pmdDirty,
  pteMkclean as pmdMkclean,
  pteMkdirty as pmdMkdirty,
  pteMkold as pmdMkold,
  pteMkwrite as pmdMkwrite,
  pteMkyoung as pmdMkyoung,
  pteNone as pmdNone,
  ptePresent as pmdLeaf,
  ptePresent as pmdTransHuge,
  pteProtnone as pmdProtnone,
  pteSame as pmdSame,
  pteWrite as pmdWrite,
  pteWrprotect as pmdWrprotect,
  pteYoung as pmdYoung,
}

export const tableEntry = (_level: UpperLevel, nr: Table): PteWord => set(VALID | TABLE, BigInt(nr) << 12n)
export const entryTable = (entry: PteWord): Table => ptePfn(entry) as number as Table
