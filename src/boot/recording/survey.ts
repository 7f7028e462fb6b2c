/**
 * A first look at a recording: how much room it needs, and which memory must not be touched.
 *
 * A call that needs one mapping (mremap) succeeded in the real kernel. Touches decide which neighbours are one mapping:
 * those that were written to before they came to touch stay apart. So the memory of such a call, and all that may be
 * one mapping with it, is not touched at all.
 */
import { AddressSpaceModel } from '../../input/addressSpaceModel.js'
import type { RecordedSpace } from '../../input/recording.js'
import { succeeded, type Call, type LogEvent } from '../../input/straceEvent.js'
import type { ModelStart } from '../../input/startList.js'
import { runAround } from '../../input/vmaList.js'

export interface Survey {
  readonly mayTouch: (start: number, end: number) => boolean
  /** What is known at the start, with the break that the log tells first. */
  readonly known: ModelStart
  readonly room: {
    readonly vmas: number
    readonly sharedPages: number
    readonly sharedFiles: number
    readonly populated: number
  }
}

interface Range {
  readonly start: number
  readonly end: number
}

const PAGE = 4096

export function surveyOf(recorded: RecordedSpace): Survey {
  const known = withBreak(recorded)
  const model = new AddressSpaceModel(recorded.start, known)
  const untouchable: Range[] = []
  let [vmas, sharedPages, sharedFiles, populated] = [model.list.length, 0, 0, 0]
  for (const event of recorded.events) {
    const needsOne = oneMappingOf(event)
    if (needsOne !== undefined) add(untouchable, runAround(model.list, needsOne.start, needsOne.end))
    if (event.kind === 'call' && succeeded(event)) {
      const shared = sharedPagesOf(event)
      sharedPages += shared
      sharedFiles += shared > 0 ? 1 : 0
      populated += populatedPagesOf(event, model)
    }
    model.apply(event)
    vmas = Math.max(vmas, model.list.length)
  }
  const mayTouch = (start: number, end: number): boolean => !untouchable.some((at) => at.start < end && start < at.end)
  return { mayTouch, known, room: { vmas, sharedPages, sharedFiles, populated } }
}

/** A recording that begins at execve asks for the break later, and has not moved it by then. */
function withBreak({ start, known, events }: RecordedSpace): ModelStart {
  if (known.heap !== undefined) return known
  const named = start.find(({ path }) => path === '[heap]')
  const first = events.find((event) => event.kind === 'call' && event.name === 'brk')
  if (first?.kind !== 'call' || first.name !== 'brk' || first.args.addr !== undefined || first.result === undefined)
    return known
  return { ...known, heap: { start: named?.start ?? first.result, end: first.result } }
}

function add(ranges: Range[], { start, end }: Range): void {
  const known = ranges.some((range) => range.start <= start && end <= range.end)
  if (!known) ranges.push({ start, end })
}

/** What must have been one mapping for the call to succeed. */
function oneMappingOf(event: LogEvent): Range | undefined {
  if (event.kind !== 'call' || event.name !== 'mremap' || !succeeded(event)) return undefined
  const { oldAddr, oldLength } = event.args
  return { start: oldAddr, end: oldAddr + Math.max(Math.ceil(oldLength / PAGE), 1) * PAGE }
}

/** Pages of shared memory that has no name. */
function sharedPagesOf(call: Call): number {
  if (call.name !== 'mmap' || !call.args.flags.has('MAP_ANONYMOUS')) return 0
  const isShared = call.args.flags.has('MAP_SHARED') || call.args.flags.has('MAP_SHARED_VALIDATE')
  return isShared ? Math.ceil(call.args.length / PAGE) : 0
}

function populatedPagesOf(call: Call, model: AddressSpaceModel): number {
  if (call.name === 'mlock') return Math.ceil(call.args.length / PAGE)
  if (call.name === 'mlockall' && call.args.flags.has('MCL_CURRENT'))
    return model.list.reduce((sum, vma) => sum + (vma.prot === '---' ? 0 : (vma.end - vma.start) / PAGE), 0)
  if (call.name !== 'mmap') return 0
  const { flags, length } = call.args
  const populates = flags.has('MAP_POPULATE') || flags.has('MAP_LOCKED') || model.futureLocked.includes('lo')
  return populates ? Math.ceil(length / PAGE) : 0
}
