/** The mappings of a simulated address space in the form of /proc/PID/maps. Call it when nothing runs. */
import type { VirtAddr } from '../../base/units.js'
import type { MapsVma } from '../../input/maps.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import { vmasOf } from '../../mm/maple/mapleLook.js'
import { MM, VM_EXEC, VM_READ, VM_SHARED, VM_WRITE, VMA } from '../../mm/mmStruct.js'

/** What the simulated kernel does not keep. */
export interface Names {
  /** Of the file whose structure is at an address. */
  readonly file: (file: number) => string
  /** Of anonymous memory with a label (PR_SET_VMA_ANON_NAME). */
  readonly label: (label: number) => string | undefined
  /** Where the stack began (mm->start_stack): what contains it is [stack]. */
  readonly startStack: number | undefined
}

export function dumpMaps(mm: number, names: Names): MapsVma[] {
  const found: MapsVma[] = []
  for (const vma of vmasOf(mm)) {
    const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
    const flags = peek32(vma + VMA.at.flags)
    const file = peek32(vma + VMA.at.file)
    const path = file === 0 ? anonymousName(mm, vma, names) : names.file(file)
    found.push({
      start: start as VirtAddr,
      end: end as VirtAddr,
      perms: letters(flags),
      offset: file === 0 || path.startsWith('[') ? 0 : peekF64(vma + VMA.at.pgoff) * 4096,
      path,
    })
  }
  return found
}

function letters(flags: number): string {
  const letter = (bit: number, name: string): string => ((flags & bit) !== 0 ? name : '-')
  return letter(VM_READ, 'r') + letter(VM_WRITE, 'w') + letter(VM_EXEC, 'x') + ((flags & VM_SHARED) !== 0 ? 's' : 'p')
}

/** get_vma_name(): [heap] overlaps the program break, [stack] contains the place where the stack began. */
function anonymousName(mm: number, vma: number, { label, startStack }: Names): string {
  const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
  const [brkStart, brk] = [peekF64(mm + MM.at.brkStart), peekF64(mm + MM.at.brk)]
  if (brk > brkStart && start < brk && end > brkStart) return '[heap]'
  if (startStack !== undefined && start <= startStack && startStack < end) return '[stack]'
  const name = label(peek32(vma + VMA.at.label))
  return name === undefined ? '' : `[anon:${name}]`
}
