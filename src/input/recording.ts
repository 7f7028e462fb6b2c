/**
 * A recording: an strace log with the /proc/PID/maps snapshots saved while it was made.
 *
 * Snapshot K of process PID is the file PID.K.maps, and the log marks its moment (straceEvent.ts, SnapshotMark). So an
 * address space with both marks can be replayed: begin with snapshot 0, do what the log says, and snapshot 1 must come
 * out. One that fork made has only snapshot 1, because snapshot 0 is taken when a program starts; it begins with what
 * its parent had at the fork, as addressSpaceModel.ts works it out.
 */
import { AddressSpaceModel } from './addressSpaceModel.js'
import type { ModelStart } from './startList.js'
import { within } from './vmaList.js'
import { grownFor } from './grownStack.js'
import { parseMaps, type MapsEntry, type MapsVma } from './maps.js'
import type { LogLines } from './logLines.js'
import { isAboutMemory } from './memoryCalls.js'
import { refuse } from './place.js'
import { pidOf, processModel, type AddressSpace, type ProcessModel } from './processes.js'
import { parseStrace, type StraceLog } from './strace.js'
import type { LogEvent, SnapshotMark } from './straceEvent.js'

export interface RecordingFiles {
  /** Name of the log, for complaints. */
  readonly file: string
  readonly log: string | LogLines
  /** Text of each snapshot, by its file name `PID.K.maps`. */
  readonly maps: ReadonlyMap<string, string>
}

/** The part of an address space's life that can be replayed and checked. */
export interface RecordedSpace {
  readonly space: AddressSpace
  /** The process whose snapshots these are. */
  readonly pid: number
  /** Whether `start` is snapshot 0, or worked out from the parent at the fork. */
  readonly from: 'snapshot' | 'fork'
  readonly start: readonly MapsVma[]
  /** What else the log told by then: the program break, and what later calls refer to. */
  readonly known: ModelStart
  /** From the mark of snapshot 0 (or the fork) to that of snapshot 1, of all its threads, in effect order. */
  readonly events: readonly LogEvent[]
  /** Snapshot 1. */
  readonly final: readonly MapsEntry[]
}

export interface Recording {
  readonly log: StraceLog
  readonly processes: ProcessModel
  /** Address spaces with snapshots 0 and 1, then those that fork made of one of these and that have snapshot 1. */
  readonly spaces: readonly RecordedSpace[]
}

/** Throws UsageError that names file and line when log or snapshots are malformed or do not belong together. */
export function buildRecording(files: RecordingFiles): Recording {
  const log = parseStrace(files.log, files.file, { leader: leaderOf(files), isWanted: isAboutMemory })
  const processes = processModel(log)
  const marks = marksOf(processes)
  checkNames(files, marks, log)
  const ofPrograms = processes.spaces.flatMap((space) => recordedProgram(space, marks, files))
  return { log, processes, spaces: [...ofPrograms, ...recordedForks(ofPrograms, processes, marks, files)] }
}

/** Where the snapshots are of one process, it is the first of the log. */
function leaderOf({ maps }: RecordingFiles): number | undefined {
  const pids = new Set([...maps.keys()].map((name) => Number(name.split('.')[0])))
  return pids.size === 1 ? [...pids][0] : undefined
}

interface Mark {
  readonly space: number
  readonly pid: number
  readonly event: SnapshotMark
}

function marksOf(processes: ProcessModel): Mark[] {
  return processes.spaces.flatMap((space) =>
    space.events.flatMap((event) => {
      const pid = event.kind === 'snapshot' ? pidOf(processes, event) : undefined
      return event.kind === 'snapshot' && pid !== undefined ? [{ space: space.id, pid, event }] : []
    }),
  )
}

/** A snapshot without its mark belongs to another log. (A mark without its snapshot is a process not kept.) */
function checkNames(files: RecordingFiles, marks: readonly Mark[], log: StraceLog): void {
  for (const name of files.maps.keys()) {
    const [, pid, k] = /^(\d+)\.(\d+)\.maps$/.exec(name) ?? []
    const place = { file: name, line: 1 }
    if (pid === undefined || k === undefined) refuse(place, 'not the name of a snapshot', 'it is PID.K.maps, K from 0')
    if (marks.some((mark) => mark.pid === Number(pid) && mark.event.k === Number(k))) continue
    const what = `process ${pid} takes no snapshot ${k} in ${log.file}`
    const rule = `the log would have munmap(0x6d617000${k}000, 0) = -1 EINVAL of that process`
    refuse(place, what, rule, 'give the snapshots that were saved with this log')
  }
}

function recordedProgram(space: AddressSpace, marks: readonly Mark[], files: RecordingFiles): RecordedSpace[] {
  const own = marks.filter((mark) => mark.space === space.id)
  return own.flatMap(({ pid, event: first }) => {
    if (first.k !== 0) return []
    const last = own.find((mark) => mark.pid === pid && mark.event.k === 1 && mark.event.n > first.n)
    const [start, final] = [snapshot(files, pid, 0), snapshot(files, pid, 1)]
    if (last === undefined || start === undefined || final === undefined) return []
    const events = between(space, first.n, last.event.n)
    const before = modelBefore(space, first.n, final)
    const known = before.told(attachedIn(final))
    return [{ space, pid, from: 'snapshot' as const, start: withFlagsOf(before, start), known, events, final }]
  })
}

/** Forked spaces come after their parents in `processes.spaces`, so that a grandchild finds its parent done. */
function recordedForks(
  programs: readonly RecordedSpace[],
  processes: ProcessModel,
  marks: readonly Mark[],
  files: RecordingFiles,
): RecordedSpace[] {
  const known = [...programs]
  for (const space of processes.spaces) {
    const { began } = space
    if (began.kind !== 'fork') continue
    const parent = known.find((recorded) => recorded.space.id === began.of && spans(recorded, began.at))
    const last = marks.find((mark) => mark.space === space.id && mark.pid === space.leader && mark.event.k === 1)
    const final = snapshot(files, space.leader, 1)
    if (parent === undefined || last === undefined || final === undefined) continue
    const model = new AddressSpaceModel(parent.start, parent.known)
    for (const event of parent.events) {
      if (event.n >= began.at) break
      grownFor(event, model, parent.final)
      model.apply(event)
    }
    const events = between(space, began.at, last.event.n)
    const { futureLocked: _notInherited, ...inherited } = model.told(attachedIn(final))
    known.push({ space, pid: space.leader, from: 'fork', start: model.forked(), known: inherited, events, final })
  }
  return known.slice(programs.length)
}

const between = (space: AddressSpace, from: number, to: number): LogEvent[] =>
  space.events.filter(({ n }) => n > from && n < to)

/** Whether the fork at event `n` is among the events of `recorded`. */
const spans = (recorded: RecordedSpace, n: number): boolean => recorded.events.some((event) => event.n === n)

/** The address space as far as the calls before event `n` tell: execve made the rest. */
function modelBefore(space: AddressSpace, n: number, final: readonly MapsVma[]): AddressSpaceModel {
  const model = new AddressSpaceModel([], { attachedAt: attachedIn(final) })
  for (const event of space.events) if (event.n < n) model.apply(event)
  return model
}

/** `start` with the flags that it does not show, where `before` knows the whole of a VMA. */
function withFlagsOf(before: AddressSpaceModel, start: readonly MapsVma[]): MapsVma[] {
  return start.map((vma) => {
    const parts = within(before.list, vma.start, vma.end)
    const hidden = parts[0]?.hidden
    const isWhole = parts.reduce((bytes, part) => bytes + part.end - part.start, 0) === vma.end - vma.start
    const isOne = parts.every((part) => part.hidden.join(' ') === hidden?.join(' '))
    return isWhole && isOne && hidden !== undefined ? { ...vma, hidden } : vma
  })
}

/** The segment that a snapshot shows at an address, for logs without shmget. */
function attachedIn(final: readonly MapsVma[]): NonNullable<ModelStart['attachedAt']> {
  return (addr) => {
    const parts = final.filter((vma) => vma.path.startsWith('/SYSV') && vma.start - vma.offset === addr)
    const [first, last] = [parts[0], parts[parts.length - 1]]
    return first === undefined || last === undefined ? undefined : { length: last.end - addr, path: first.path }
  }
}

function snapshot(files: RecordingFiles, pid: number, k: number): MapsEntry[] | undefined {
  const name = `${pid}.${k}.maps`
  const text = files.maps.get(name)
  return text === undefined ? undefined : parseMaps(text, name)
}
