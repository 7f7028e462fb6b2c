/** The mappings of a simulated address space in the form of /proc/PID/maps. Call it when nothing runs. */
import type { VirtAddr } from '../../base/units.js'
import type { MapsVma } from '../../input/maps.js'
import { peek32, peekF64 } from '../../machine/image/image.js'
import { vmasOf } from '../../mm/maple/mapleLook.js'
import { MM, VM_EXEC, VM_READ, VM_SHARED, VM_WRITE, VMA } from '../../mm/mmStruct.js'

/** `files[i]` is the name of the file whose structure is at fileAt(i); `names` gives anonymous memory its names. */
export function dumpMaps(mm: number, fileName: (file: number) => string, names: readonly MapsVma[]): MapsVma[] {
  const found: MapsVma[] = []
  for (const vma of vmasOf(mm)) {
    const [start, end] = [peekF64(vma + VMA.at.start), peekF64(vma + VMA.at.end)]
    const flags = peek32(vma + VMA.at.flags)
    const file = peek32(vma + VMA.at.file)
    found.push({
      start: start as VirtAddr,
      end: end as VirtAddr,
      perms: letters(flags),
      offset: file === 0 ? 0 : peekF64(vma + VMA.at.pgoff) * 4096,
      path: file === 0 ? anonymousName(mm, start, end, names) : fileName(file),
    })
  }
  return found
}

function letters(flags: number): string {
  const letter = (bit: number, name: string): string => ((flags & bit) !== 0 ? name : '-')
  return letter(VM_READ, 'r') + letter(VM_WRITE, 'w') + letter(VM_EXEC, 'x') + ((flags & VM_SHARED) !== 0 ? 's' : 'p')
}

/** [heap] is the name of what overlaps the program break; [stack] and the like keep the name they had at the start. */
function anonymousName(mm: number, start: number, end: number, names: readonly MapsVma[]): string {
  const [brkStart, brk] = [peekF64(mm + MM.at.brkStart), peekF64(mm + MM.at.brk)]
  if (brk > brkStart && start < brk && end > brkStart) return '[heap]'
  const named = names.find((vma) => vma.path.startsWith('[stack') && vma.start < end && vma.end > start)
  return named?.path ?? ''
}
