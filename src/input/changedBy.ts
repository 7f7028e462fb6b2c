/** The memory whose mappings a call made, moved or changed, by what it was asked. */
import type { Call } from './straceEvent.js'

const PAGE = 4096
const pageEnd = (address: number): number => Math.ceil(address / PAGE) * PAGE

/** Calls that change the mappings of a range. */
const CHANGES: ReadonlySet<string> = new Set(
  'mprotect pkey_mprotect mseal remap_file_pages mbind set_vma_name mlock mlock2 munlock'.split(' '),
)

/** Ranges of `call`, which succeeded; `segmentLength`: bytes of the SysV segment with that id, attached there. */
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
