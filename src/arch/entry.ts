/**
 * Page-table entries of the architecture that this thread's machine has: the kernel's <asm/pgtable.h>.
 *
 * Generic code imports from here. The names are variables of this module, which useArch() sets when a machine is built:
 * imports see the change, each call site meets one function, and V8 inlines it as it would the function itself. A thread
 * has one machine at a time (machine/image/image.ts says the same of its memory).
 *
 * The functions are described where x86-64 defines them, in x86_64/pte.ts, swap.ts, word.ts and legal.ts.
 */
import type { ArchId } from './archId.js'
import * as powerpcPte from '../isa/powerpc/pte.js'
import * as powerpcSwap from '../isa/powerpc/swap.js'
import * as powerpcWord from '../isa/powerpc/word.js'
import * as powerpcLegal from '../isa/powerpc/legal.js'
import * as s390Legal from '../isa/s390/legal.js'
import * as s390Pte from '../isa/s390/pte.js'
import * as s390Swap from '../isa/s390/swap.js'
import * as s390Word from '../isa/s390/word.js'
import * as x86Legal from '../isa/x86_64/legal.js'
import * as x86Pte from '../isa/x86_64/pte.js'
import * as x86Swap from '../isa/x86_64/swap.js'
import * as x86Word from '../isa/x86_64/word.js'

const x86 = { ...x86Pte, ...x86Swap, ...x86Word, ...x86Legal.byNumber }
const powerpc: EntryFormat = { ...powerpcPte, ...powerpcSwap, ...powerpcWord, ...powerpcLegal }
const s390: EntryFormat = { ...s390Pte, ...s390Swap, ...s390Word, ...s390Legal }

export let PTE_EMPTY = x86.PTE_EMPTY
export let PMD_EMPTY = x86.PMD_EMPTY
export let vmGetPageProt = x86.vmGetPageProt
export let pfnPte = x86.pfnPte
export let ptePfn = x86.ptePfn
export let pteModify = x86.pteModify
export let pteNone = x86.pteNone
export let ptePresent = x86.ptePresent
export let pteProtnone = x86.pteProtnone
export let pteWrite = x86.pteWrite
export let pteDirty = x86.pteDirty
export let pteYoung = x86.pteYoung
export let pteSpecial = x86.pteSpecial
export let pteSame = x86.pteSame
export let pteAccessible = x86.pteAccessible
export let pteAccessPermitted = x86.pteAccessPermitted
export let pteNeedsFlush = x86.pteNeedsFlush
export let pteMkyoung = x86.pteMkyoung
export let pteMkold = x86.pteMkold
export let pteMkdirty = x86.pteMkdirty
export let pteMkclean = x86.pteMkclean
export let pteMkwrite = x86.pteMkwrite
export let pteWrprotect = x86.pteWrprotect
export let pteMkspecial = x86.pteMkspecial
export let pfnPmd = x86.pfnPmd
export let pmdPfn = x86.pmdPfn
export let pmdModify = x86.pmdModify
export let pmdMkinvalid = x86.pmdMkinvalid
export let pmdNone = x86.pmdNone
export let pmdPresent = x86.pmdPresent
export let pmdLeaf = x86.pmdLeaf
export let pmdTransHuge = x86.pmdTransHuge
export let pmdBad = x86.pmdBad
export let pmdProtnone = x86.pmdProtnone
export let pmdWrite = x86.pmdWrite
export let pmdDirty = x86.pmdDirty
export let pmdYoung = x86.pmdYoung
export let pmdSame = x86.pmdSame
export let pmdAccessPermitted = x86.pmdAccessPermitted
export let pmdMkhuge = x86.pmdMkhuge
export let pmdMkyoung = x86.pmdMkyoung
export let pmdMkold = x86.pmdMkold
export let pmdMkdirty = x86.pmdMkdirty
export let pmdMkwrite = x86.pmdMkwrite
export let pmdWrprotect = x86.pmdWrprotect
export let emptyEntry = x86.emptyEntry
export let tableEntry = x86.tableEntry
export let entryTable = x86.entryTable
export let isSwapPte = x86.isSwapPte
export let isSwapPmd = x86.isSwapPmd
export let swpToPmd = x86.swpToPmd
export let pmdToSwp = x86.pmdToSwp
export let swpType = x86.swpType
export let swpOffset = x86.swpOffset
export let swpOffsetPfn = x86.swpOffsetPfn
export let isMigrationEntry = x86.isMigrationEntry
export let isReadableMigrationEntry = x86.isReadableMigrationEntry
export let isReadableExclusiveMigrationEntry = x86.isReadableExclusiveMigrationEntry
export let isWritableMigrationEntry = x86.isWritableMigrationEntry
export let isMigrationEntryYoung = x86.isMigrationEntryYoung
export let isMigrationEntryDirty = x86.isMigrationEntryDirty
export let makeMigrationEntryYoung = x86.makeMigrationEntryYoung
export let makeMigrationEntryDirty = x86.makeMigrationEntryDirty
export let makeReadableMigrationEntry = x86.makeReadableMigrationEntry
export let makeReadableExclusiveMigrationEntry = x86.makeReadableExclusiveMigrationEntry
export let makeWritableMigrationEntry = x86.makeWritableMigrationEntry
export let pteFrame = x86.pteFrame
export let hugeFrame = x86.hugeFrame
export let tableFrame = x86.tableFrame
export let isUsable = x86.isUsable
export let isHuge = x86.isHuge
export let isWritable = x86.isWritable
export let isProtnone = x86.isProtnone
export let isInvalidated = x86.isInvalidated
export let isEmptyWord = x86.isEmptyWord
export let briefAt = x86.briefAt
export let brief = x86.brief
export let illegalEntry = x86.illegalEntry
export let illegalChange = x86.illegalChange
export let illegalInUse = x86.illegalInUse
export let levelName = x86.levelName

/** Names that an architecture defines. */
export type EntryFormat = Pick<
  typeof x86,
  | 'PTE_EMPTY'
  | 'PMD_EMPTY'
  | 'vmGetPageProt'
  | 'pfnPte'
  | 'ptePfn'
  | 'pteModify'
  | 'pteNone'
  | 'ptePresent'
  | 'pteProtnone'
  | 'pteWrite'
  | 'pteDirty'
  | 'pteYoung'
  | 'pteSpecial'
  | 'pteSame'
  | 'pteAccessible'
  | 'pteAccessPermitted'
  | 'pteNeedsFlush'
  | 'pteMkyoung'
  | 'pteMkold'
  | 'pteMkdirty'
  | 'pteMkclean'
  | 'pteMkwrite'
  | 'pteWrprotect'
  | 'pteMkspecial'
  | 'pfnPmd'
  | 'pmdPfn'
  | 'pmdModify'
  | 'pmdMkinvalid'
  | 'pmdNone'
  | 'pmdPresent'
  | 'pmdLeaf'
  | 'pmdTransHuge'
  | 'pmdBad'
  | 'pmdProtnone'
  | 'pmdWrite'
  | 'pmdDirty'
  | 'pmdYoung'
  | 'pmdSame'
  | 'pmdAccessPermitted'
  | 'pmdMkhuge'
  | 'pmdMkyoung'
  | 'pmdMkold'
  | 'pmdMkdirty'
  | 'pmdMkwrite'
  | 'pmdWrprotect'
  | 'emptyEntry'
  | 'tableEntry'
  | 'entryTable'
  | 'isSwapPte'
  | 'isSwapPmd'
  | 'swpToPmd'
  | 'pmdToSwp'
  | 'swpType'
  | 'swpOffset'
  | 'swpOffsetPfn'
  | 'isMigrationEntry'
  | 'isReadableMigrationEntry'
  | 'isReadableExclusiveMigrationEntry'
  | 'isWritableMigrationEntry'
  | 'isMigrationEntryYoung'
  | 'isMigrationEntryDirty'
  | 'makeMigrationEntryYoung'
  | 'makeMigrationEntryDirty'
  | 'makeReadableMigrationEntry'
  | 'makeReadableExclusiveMigrationEntry'
  | 'makeWritableMigrationEntry'
  | 'pteFrame'
  | 'hugeFrame'
  | 'tableFrame'
  | 'isUsable'
  | 'isHuge'
  | 'isWritable'
  | 'isProtnone'
  | 'isInvalidated'
  | 'isEmptyWord'
  | 'briefAt'
  | 'brief'
  | 'illegalEntry'
  | 'illegalChange'
  | 'illegalInUse'
  | 'levelName'
>

const FORMATS: Readonly<Record<ArchId, EntryFormat>> = { 'x86-64': x86, s390, powerpc }

/** From now on entries in this thread are those of `arch`. */
export function useArch(arch: ArchId): void {
  const format = FORMATS[arch]
  PTE_EMPTY = format.PTE_EMPTY
  PMD_EMPTY = format.PMD_EMPTY
  vmGetPageProt = format.vmGetPageProt
  pfnPte = format.pfnPte
  ptePfn = format.ptePfn
  pteModify = format.pteModify
  pteNone = format.pteNone
  ptePresent = format.ptePresent
  pteProtnone = format.pteProtnone
  pteWrite = format.pteWrite
  pteDirty = format.pteDirty
  pteYoung = format.pteYoung
  pteSpecial = format.pteSpecial
  pteSame = format.pteSame
  pteAccessible = format.pteAccessible
  pteAccessPermitted = format.pteAccessPermitted
  pteNeedsFlush = format.pteNeedsFlush
  pteMkyoung = format.pteMkyoung
  pteMkold = format.pteMkold
  pteMkdirty = format.pteMkdirty
  pteMkclean = format.pteMkclean
  pteMkwrite = format.pteMkwrite
  pteWrprotect = format.pteWrprotect
  pteMkspecial = format.pteMkspecial
  pfnPmd = format.pfnPmd
  pmdPfn = format.pmdPfn
  pmdModify = format.pmdModify
  pmdMkinvalid = format.pmdMkinvalid
  pmdNone = format.pmdNone
  pmdPresent = format.pmdPresent
  pmdLeaf = format.pmdLeaf
  pmdTransHuge = format.pmdTransHuge
  pmdBad = format.pmdBad
  pmdProtnone = format.pmdProtnone
  pmdWrite = format.pmdWrite
  pmdDirty = format.pmdDirty
  pmdYoung = format.pmdYoung
  pmdSame = format.pmdSame
  pmdAccessPermitted = format.pmdAccessPermitted
  pmdMkhuge = format.pmdMkhuge
  pmdMkyoung = format.pmdMkyoung
  pmdMkold = format.pmdMkold
  pmdMkdirty = format.pmdMkdirty
  pmdMkwrite = format.pmdMkwrite
  pmdWrprotect = format.pmdWrprotect
  emptyEntry = format.emptyEntry
  tableEntry = format.tableEntry
  entryTable = format.entryTable
  isSwapPte = format.isSwapPte
  isSwapPmd = format.isSwapPmd
  swpToPmd = format.swpToPmd
  pmdToSwp = format.pmdToSwp
  swpType = format.swpType
  swpOffset = format.swpOffset
  swpOffsetPfn = format.swpOffsetPfn
  isMigrationEntry = format.isMigrationEntry
  isReadableMigrationEntry = format.isReadableMigrationEntry
  isReadableExclusiveMigrationEntry = format.isReadableExclusiveMigrationEntry
  isWritableMigrationEntry = format.isWritableMigrationEntry
  isMigrationEntryYoung = format.isMigrationEntryYoung
  isMigrationEntryDirty = format.isMigrationEntryDirty
  makeMigrationEntryYoung = format.makeMigrationEntryYoung
  makeMigrationEntryDirty = format.makeMigrationEntryDirty
  makeReadableMigrationEntry = format.makeReadableMigrationEntry
  makeReadableExclusiveMigrationEntry = format.makeReadableExclusiveMigrationEntry
  makeWritableMigrationEntry = format.makeWritableMigrationEntry
  pteFrame = format.pteFrame
  hugeFrame = format.hugeFrame
  tableFrame = format.tableFrame
  isUsable = format.isUsable
  isHuge = format.isHuge
  isWritable = format.isWritable
  isProtnone = format.isProtnone
  isInvalidated = format.isInvalidated
  isEmptyWord = format.isEmptyWord
  briefAt = format.briefAt
  brief = format.brief
  illegalEntry = format.illegalEntry
  illegalChange = format.illegalChange
  illegalInUse = format.illegalInUse
  levelName = format.levelName
}
