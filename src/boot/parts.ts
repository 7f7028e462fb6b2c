/**
 * Composes a kernel: mainline's parts, some replaced by those of a bug, some changed by a patch.
 */
import { TlbFlush } from '../arch/generic/tlbFlush.js'
import { PtOps } from '../arch/generic/ops.js'
import { UsageError } from '../base/errors.js'
import { patchParts, type KernelChange } from '../bug/patch.js'
import { ACCESSES } from '../machine/cpu/access.js'
import { AnonVmas } from '../mm/anonVma.js'
import { Brk } from '../mm/brk.js'
import { Exit } from '../mm/exit.js'
import { FaultHandler } from '../mm/fault.js'
import { Files } from '../mm/file.js'
import { Folios } from '../mm/folio.js'
import { Fork } from '../mm/fork.js'
import { Gup } from '../mm/gup.js'
import { GupFast } from '../mm/gupFast.js'
import { HugeMemory } from '../mm/hugeMemory.js'
import type { PartClasses } from '../mm/kernel.js'
import { Khugepaged } from '../mm/khugepaged.js'
import { Madvise } from '../mm/madvise.js'
import { Migrate } from '../mm/migrate.js'
import { Mmap } from '../mm/mmap.js'
import { MmuGather } from '../mm/mmuGather.js'
import { Mms } from '../mm/mms.js'
import { Mprotect } from '../mm/mprotect.js'
import { Mremap } from '../mm/mremap.js'
import { PageAllocator } from '../mm/pageAllocator.js'
import { PageTables } from '../mm/pageTables.js'
import { pgallocDesign } from '../isa/designs.js'
import { DEFAULT_ARCH } from '../isa/index.js'
import { Reclaim } from '../mm/reclaim.js'
import { Retract } from '../mm/retract.js'
import { Rmap } from '../mm/rmap.js'
import { SplitFolio } from '../mm/splitFolio.js'
import { TlbBatch } from '../mm/tlbBatch.js'
import { UpperTables } from '../mm/upperTables.js'
import { Userfault } from '../mm/userfault.js'
import { Vmas } from '../mm/vma.js'
import { Zap } from '../mm/zap.js'
import { RcuExpedited } from '../sync/expedited.js'

/** Parts that architectures share unless they have their own. */
const GENERIC: Omit<PartClasses, 'Mmu' | 'Pgalloc'> = {
  RcuExpedited,
  PtOps,
  TlbFlush,
  PageAllocator,
  Folios,
  Rmap,
  AnonVmas,
  PageTables,
  UpperTables,
  MmuGather,
  TlbBatch,
  Zap,
  FaultHandler,
  GupFast,
  Gup,
  HugeMemory,
  SplitFolio,
  Migrate,
  Khugepaged,
  Reclaim,
  Retract,
  Userfault,
  Mms,
  Vmas,
  Files,
  Mmap,
  Mprotect,
  Mremap,
  Madvise,
  Brk,
  Fork,
  Exit,
}

/** Mainline over the design `pgalloc` of page tables, for the architecture that has it. */
function mainline(pgalloc: string): PartClasses {
  const { arch, part } = pgallocDesign(pgalloc)
  return { ...GENERIC, ...arch.parts, Pgalloc: part }
}

/** The fixed code, for the architecture of machines that name none. */
export const MAINLINE: PartClasses = mainline(DEFAULT_ARCH.pgalloc)

/** Mainline over the design `pgalloc` of page tables, with the parts that `change` replaces. */
export function composeParts(change: KernelChange | null, pgalloc: string): PartClasses {
  const parts = { ...mainline(pgalloc), ...change?.parts }
  const changed = patchParts(parts, change?.patch)
  if (change !== null) Object.values(changed).forEach(checkLowered)
  return changed
}

const lowered = new WeakSet<object>()
const RAW_ACCESS = new RegExp(`yield\\s*\\*\\s*[\\w.$#]*\\.(${ACCESSES.join('|')})\\(`)

/** Throws UsageError for a class that did not go through lower.ts: its accesses would be no schedule points. */
function checkLowered(part: object): void {
  if (lowered.has(part)) return
  const access = RAW_ACCESS.exec(String(part))
  if (access !== null)
    throw new UsageError(
      `${(part as { name: string }).name} has an access as it was written: ${access[0]}…)`,
      'a class with accesses has to be lowered, for which it is loaded from a file of its own',
      'export the patch or the bug as the default of a module, and give its file, or what loadPatch() or loadBug() gives',
    )
  lowered.add(part)
}
