/** The address space at the start of a recording as operations: the mappings of its snapshot, with all their flags. */
import { VM_FLAG_NAMES } from './flagNames.js'
import type { AddressSpaceModel } from '../../input/addressSpaceModel.js'
import type { Vma } from '../../input/vmaList.js'
import { VM_DONTEXPAND, VM_MAYEXEC, VM_MAYREAD, VM_MAYSHARE, VM_MAYWRITE, VM_SHARED } from '../../mm/mmStruct.js'
import { PROT, type Op } from '../../program/op.js'
import type { FileTable } from './fileTable.js'
import type { Labels } from './labels.js'

const MCL_FUTURE = 2
const MCL_ONFAULT = 4
/** Beyond this the mapping is not the process's own: [vsyscall]. */
const USER_END = 2 ** 47

export interface StartContext {
  readonly files: FileTable
  readonly labels: Labels
  readonly mayTouch: (start: number, end: number) => boolean
}

export function startOps(model: AddressSpaceModel, context: StartContext): Op[] {
  const own = model.list.filter((vma) => vma.start < USER_END)
  return [
    ...own.map((vma) => insertVma(vma, context)),
    ...own.filter((vma) => isTouched(vma, context)).map((vma): Op => ({ op: 'store', addr: vma.start })),
    ...futureLocks(model.futureLocked),
  ]
}

function insertVma(vma: Vma, { files, labels }: StartContext): Op {
  const [addr, len] = [vma.start, vma.end - vma.start]
  const file = vma.file === undefined ? -1 : files.index(vma.file, vma.offset + len)
  const offset = vma.file === undefined ? 0 : vma.offset
  return { op: 'insertVma', addr, len, vmFlags: vmFlagsOf(vma), label: labels.ofMarks(vma.hidden), file, offset }
}

function vmFlagsOf({ prot, shared, file, hidden }: Vma): number {
  const rights =
    (prot[0] === 'r' ? PROT.read : 0) | (prot[1] === 'w' ? PROT.write : 0) | (prot[2] === 'x' ? PROT.exec : 0)
  const may = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  const sharing = shared ? VM_SHARED | VM_MAYSHARE : 0
  const special = file?.startsWith('[v') === true ? VM_DONTEXPAND : 0
  return hidden.reduce((flags, name) => flags | (VM_FLAG_NAMES[name] ?? 0), rights | may | sharing | special)
}

/** A program has written to its data before the recording begins. */
const isTouched = (vma: Vma, { mayTouch }: StartContext): boolean =>
  !vma.shared && vma.prot.includes('w') && mayTouch(vma.start, vma.end)

function futureLocks(locked: readonly string[]): Op[] {
  if (locked.length === 0) return []
  return [{ op: 'mlockall', flags: MCL_FUTURE | (locked.includes('lf') ? MCL_ONFAULT : 0) }]
}
