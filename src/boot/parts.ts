/**
 * Composes a kernel: mainline's parts, some replaced by those of a bug, some changed by a patch.
 */
import { UsageError } from '../base/errors.js'
import { patchParts, type KernelChange } from '../bug/patch.js'
import { ACCESSES } from '../machine/cpu/access.js'
import type { PartClasses } from '../mm/kernel.js'
import { mainlineOf } from '../subsystem/index.js'

/** Mainline over the design `pgalloc` of page tables, with the parts that `change` replaces. */
export function composeParts(change: KernelChange | null, pgalloc: string): PartClasses {
  const parts = { ...mainlineOf(pgalloc), ...change?.parts }
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
