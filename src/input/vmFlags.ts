/**
 * Flags of a VMA as calls set them: the three letters of its protection, and those of the others that keep VMAs of a
 * log apart, in the two-letter names that smaps has for them.
 *
 * Source: mm/mmap.c (do_mmap), mm/mprotect.c (mprotect_fixup), mm/madvise.c (madvise_vma_behavior), fs/proc/task_mmu.c
 * (show_smap_vma_flags) of Linux 6.18. Left out: flags that no call of a log changes, such as VM_MAYWRITE.
 */
import type { FlagSet } from './straceEvent.js'
import type { Vma } from './vmaList.js'

/** Advice that changes flags of a VMA. All other advice is about pages. */
export const ADVICE: Readonly<Record<string, { readonly set: readonly string[]; readonly clear: readonly string[] }>> =
  {
    MADV_NORMAL: { set: [], clear: ['sr', 'rr'] },
    MADV_SEQUENTIAL: { set: ['sr'], clear: ['rr'] },
    MADV_RANDOM: { set: ['rr'], clear: ['sr'] },
    MADV_DONTFORK: { set: ['dc'], clear: [] },
    MADV_DOFORK: { set: [], clear: ['dc'] },
    MADV_WIPEONFORK: { set: ['wf'], clear: [] },
    MADV_KEEPONFORK: { set: [], clear: ['wf'] },
    MADV_DONTDUMP: { set: ['dd'], clear: [] },
    MADV_DODUMP: { set: [], clear: ['dd'] },
    MADV_MERGEABLE: { set: ['mg'], clear: [] },
    MADV_UNMERGEABLE: { set: [], clear: ['mg'] },
    MADV_HUGEPAGE: { set: ['hg'], clear: ['nh'] },
    MADV_NOHUGEPAGE: { set: ['nh'], clear: ['hg'] },
  }

export const sorted = (flags: readonly string[]): readonly string[] => [...new Set(flags)].sort()

export function withFlags(vma: Vma, set: readonly string[], clear: readonly string[]): Vma {
  return { ...vma, hidden: sorted([...vma.hidden.filter((flag) => !clear.includes(flag)), ...set]) }
}

export const protLetters = (flags: FlagSet): string =>
  `${flags.has('PROT_READ') ? 'r' : '-'}${flags.has('PROT_WRITE') ? 'w' : '-'}${flags.has('PROT_EXEC') ? 'x' : '-'}`

/** VM_ACCOUNT at mmap: private, writable and not MAP_NORESERVE. */
export function mmapHidden(flags: FlagSet, prot: string, shared: boolean): readonly string[] {
  if (flags.has('MAP_DROPPABLE')) return ['dd', 'dp', 'nr', 'wf']
  const hidden: string[] = []
  if (!shared && prot.includes('w') && !flags.has('MAP_NORESERVE')) hidden.push('ac')
  if (flags.has('MAP_NORESERVE')) hidden.push('nr')
  if (flags.has('MAP_LOCKED')) hidden.push('lo')
  if (flags.has('MAP_STACK')) hidden.push('nh')
  if (flags.has('MAP_GROWSDOWN')) hidden.push('gd')
  if (flags.has('MAP_SYNC')) hidden.push('sf')
  return sorted(hidden)
}

/** VM_ACCOUNT at mprotect: private memory that becomes writable and was not promised memory before. */
export function needsAccount(part: Vma, prot: string): boolean {
  return prot.includes('w') && !part.shared && !part.prot.includes('w') && !part.hidden.includes('nr')
}

export const LOCKED: readonly string[] = ['lo', 'lf']

/** [vdso] and the like, which are neither locked nor merged. */
export const isSpecial = (vma: Vma): boolean => vma.file?.startsWith('[v') === true

/** Locked as `set` says, if it can be. */
export const lockedAs = (part: Vma, set: readonly string[]): Vma =>
  isSpecial(part) || part.hidden.includes('dp') ? part : withFlags(part, set, LOCKED)

/** The mapping refuses the advice: madvise_update_vma(), can_madvise_modify(). */
export function refuses(vma: Vma, advice: string): boolean {
  const discards = advice === 'MADV_WIPEONFORK' || advice === 'MADV_DONTFORK'
  const sealed = vma.hidden.includes('sl') && vma.file === undefined && !vma.prot.includes('w')
  if (discards && sealed) return true
  if (advice === 'MADV_WIPEONFORK') return vma.shared || vma.file !== undefined
  if (advice === 'MADV_DODUMP') return isSpecial(vma) || vma.hidden.includes('dp')
  return advice === 'MADV_KEEPONFORK' && vma.hidden.includes('dp')
}
