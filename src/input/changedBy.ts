/** The memory that a call is about, by what it was asked. */
import type { Call } from './straceEvent.js'

const PAGE = 4096
const pageEnd = (address: number): number => Math.ceil(address / PAGE) * PAGE

const pageDown = (address: number): number => Math.floor(address / PAGE) * PAGE

/** The memory that a call is about, if what is mapped there decides its answer. */
export function rangeOf(call: Call): { readonly start: number; readonly end: number } | undefined {
  switch (call.name) {
    case 'mprotect':
    case 'pkey_mprotect':
    case 'madvise':
    case 'mseal':
    case 'remap_file_pages':
    case 'mbind':
    case 'set_vma_name':
    case 'mlock':
    case 'mlock2':
    case 'munlock':
    case 'munmap':
      return { start: pageDown(call.args.addr), end: pageEnd(call.args.addr + call.args.length) }
    case 'mremap':
      return { start: call.args.oldAddr, end: call.args.oldAddr + pageEnd(call.args.oldLength) }
    default:
      return undefined
  }
}

/** Calls that change the mappings of a range. */
const CHANGES: ReadonlySet<string> = new Set(
  'mprotect pkey_mprotect mseal remap_file_pages mbind set_vma_name mlock mlock2 munlock'.split(' '),
)

/**
 * Ranges whose mappings `call`, which succeeded, made, moved or changed; `segmentLength`: bytes of the SysV segment
 * with that id, attached there.
 */
export function changedBy(
  call: Call,
  segmentLength: (id: number, addr: number) => number | undefined,
): (readonly [start: number, end: number])[] {
  const { result = 0 } = call
  if (call.name === 'mmap') return [[result, result + pageEnd(call.args.length)]]
  if (call.name === 'shmat') return [[result, result + (segmentLength(call.args.id, result) ?? PAGE)]]
  if (call.name === 'mremap') {
    const { oldAddr, oldLength, newLength } = call.args
    return [
      [oldAddr, oldAddr + pageEnd(oldLength)],
      [result, result + pageEnd(newLength)],
    ]
  }
  if (!CHANGES.has(call.name) || !('addr' in call.args) || !('length' in call.args)) return []
  return [[call.args.addr, call.args.addr + pageEnd(call.args.length)]]
}
