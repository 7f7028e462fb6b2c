/** The change of a kernel as it crosses to threads, and back there. */
import type { Bug } from '../../bug/bug.js'
import { bugs, bugById } from '../../bug/index.js'
import { patched, type KernelChange, type Patch } from '../../bug/patch.js'
import { loadKept } from '../module/kept.js'
import { keptPathOf } from '../module/origin.js'
import type { ChangeOrder } from './protocol.js'

/** What threads are told of `bug` and `patch`. Throws UsageError for what was not loaded from a file. */
export function orderOf(bug: Bug | null, patch: Patch | null): ChangeOrder | null {
  if (bug === null && patch === null) return null
  const known = bug === null ? null : bugs.includes(bug) ? bug.id : { kept: keptPathOf(bug, 'bug') }
  return { bug: known, patch: patch === null ? null : { kept: keptPathOf(patch, 'patch') } }
}

/** The change, in the form of the kernel that this thread runs. */
export async function changeOf({ bug, patch }: ChangeOrder): Promise<KernelChange | null> {
  const known = typeof bug === 'string' ? bugById(bug) : bug === null ? null : await loadKept<Bug>(bug.kept)
  return patched(known, patch === null ? null : await loadKept<Patch>(patch.kept))
}
