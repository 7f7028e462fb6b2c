/**
 * A call of a log as operations: the call itself at the address that it had, with the answer of the real kernel, and
 * touches around it. A mmap without MAP_FIXED gives the recorded address as a hint, so that it comes out there only if
 * the simulated address space has room where the real one had.
 *
 * A call that failed is made as well, and its error compared, where the error comes of what is modelled: holes, kinds
 * of mappings, sealing. Limits, permissions and descriptors are not.
 */
import { constants } from 'node:os'
import { succeeded, type Call, type CallNamed, type FlagSet, type LogEvent } from '../../input/straceEvent.js'
import type { AddressSpaceModel } from '../../input/addressSpaceModel.js'
import { MEMORY_CALLS, UNMODELLED } from '../../input/memoryCalls.js'
import { mappedUntil, within } from '../../input/vmaList.js'
import { rangeOf } from '../../input/changedBy.js'
import { ADVICE, MAP, MREMAP, PROT, type Advice, type Op } from '../../program/op.js'
import type { Labels } from './labels.js'
import type { FileTable } from './fileTable.js'

/** A call as operations: the first is the call; or why it is not replayed. Null: it is no call about memory. */
export type Told = { readonly ops: readonly [Op, ...Op[]] } | { readonly reason: string } | null

const PAGE = 4096
const pageUp = (n: number): number => Math.ceil(n / PAGE) * PAGE
const pageDown = (n: number): number => Math.floor(n / PAGE) * PAGE

export interface Context {
  /** The address space before the call. */
  readonly model: AddressSpaceModel
  readonly files: FileTable
  readonly labels: Labels
  /** Where a fork keeps its child until it is reaped. */
  readonly slot: number
  /** Memory whose touches the log could tell from others: no touch is made up there. */
  readonly mayTouch: (start: number, end: number) => boolean
}

export function tellCall(event: LogEvent, context: Context): Told {
  if (event.kind === 'other') return tellOther(event.name, succeeded(event), event.result === undefined)
  if (event.kind !== 'call') return null
  if (event.result === undefined) return MEMORY_CALLS.has(event.name) ? { reason: 'it never returned' } : null
  const reason = reasonAgainst(event, context.model)
  if (reason !== undefined) return { reason }
  const ops = opsOf(event, event.result, context)
  if (ops === null || 'reason' in ops) return ops
  const [call, ...touches] = ops.ops
  const answer = event.errno === undefined ? {} : { expect: -errnoOf(event.errno) }
  return { ops: [{ ...call, ...answer } as Op, ...(event.errno === undefined ? touches : [])] }
}

function tellOther(name: string, hasSucceeded: boolean, neverReturned: boolean): Told {
  if (hasSucceeded && UNMODELLED.has(name)) return { reason: 'its effect on mappings is not modelled' }
  return neverReturned && MEMORY_CALLS.has(name) ? { reason: 'it never returned' } : null
}

const errnoOf = (name: string): number => (constants.errno as Readonly<Record<string, number>>)[name] ?? 0

// ---- calls that are not made ----------------------------------------------------------------------------------------

function reasonAgainst(call: Call, model: AddressSpaceModel): string | undefined {
  const range = rangeOf(call)
  if (range !== undefined && call.name !== 'munmap' && model.isUnknown(range.start, range.end))
    return 'what is mapped there is not known'
  if (call.name === 'madvise' && call.args.advice === 'MADV_COLLAPSE')
    return 'its answer depends on pages that were touched, which the log does not show'
  const isLabel = call.name === 'mbind' || call.name === 'set_vma_name'
  if (isLabel && call.errno !== undefined) return `what ${call.name} checks is not modelled (${call.errno})`
  return call.errno === undefined ? undefined : reasonOfFailure(call, call.errno, range, model)
}

/** Why the error is not one that the model would give for the same reason. */
function reasonOfFailure(
  call: Call,
  errno: string,
  range: { readonly start: number; readonly end: number } | undefined,
  model: AddressSpaceModel,
): string | undefined {
  const parts = range === undefined ? [] : within(model.list, range.start, range.end)
  const hasHole = range !== undefined && mappedUntil(model.list, range.start) < range.end
  switch (errno) {
    case 'EINVAL':
      return call.name === 'mmap' && call.args.fd >= 0 ? 'EINVAL of a file is not modelled' : undefined
    case 'EEXIST':
      return undefined
    case 'EPERM':
      return parts.some(({ hidden }) => hidden.includes('sl')) ? undefined : 'permissions are not modelled (EPERM)'
    case 'EACCES':
      return parts.every(({ file }) => file === undefined) && call.name !== 'mmap'
        ? undefined
        : 'how files were opened is not modelled (EACCES)'
    case 'EFAULT':
      if (call.name !== 'mremap') return 'EFAULT is not modelled'
      return hasHole ? undefined : 'which mappings are one depends on touches, which the log does not show (EFAULT)'
    case 'ENOMEM':
      return hasHole || isRefusedForRoom(call, parts) ? undefined : 'limits are not modelled (ENOMEM)'
    default:
      return `${errno} is not modelled`
  }
}

/** ENOMEM without a hole that is no limit. */
function isRefusedForRoom(call: Call, parts: readonly { readonly prot: string }[]): boolean {
  if (call.name === 'mmap') return call.args.length > 2 ** 47
  if (call.name === 'mremap') return !call.args.flags.has('MREMAP_MAYMOVE')
  return (call.name === 'mlock' || call.name === 'mlock2') && parts.some(({ prot }) => prot === '---')
}

// ---- calls that are made ------------------------------------------------------------------------------------------

function opsOf(call: Call, result: number, context: Context): Told {
  const { model, files, labels, slot } = context
  switch (call.name) {
    case 'mmap':
      return mmapOps(call, result, context)
    case 'munmap':
      return one({ op: 'munmap', addr: call.args.addr, len: call.args.length, expect: 0 })
    case 'mprotect':
    case 'pkey_mprotect': {
      const { addr, length: len } = call.args
      const protect: Op = { op: 'mprotect', addr, len, prot: protBits(call.args.prot), expect: 0 }
      if (call.name === 'mprotect' || call.args.pkey < 0 || !succeeded(call)) return one(protect)
      const label = labels.of({ kind: 'pkey', value: call.args.pkey, at: addr, model })
      return { ops: [protect, { op: 'setLabel', addr, len, label, expect: 0 }] }
    }
    case 'madvise':
      return madviseOps([call.args], call.args.advice)
    case 'process_madvise':
      return madviseOps(call.args.ranges, call.args.advice)
    case 'mremap':
      return mremapOps(call, result, context)
    case 'brk': {
      if (model.heap === undefined) return { reason: 'the log did not ask before where the break is' }
      const { addr } = call.args
      const grew = addr !== undefined && result > model.heap.end
      const at = pageDown(result - 1)
      return { ops: [{ op: 'brk', addr: addr ?? 0, expect: result }, ...(grew ? touch(at, true, context) : [])] }
    }
    case 'mlock':
    case 'mlock2': {
      const onFault = call.name === 'mlock2' && call.args.flags.has('MLOCK_ONFAULT')
      return one({ op: 'mlock', addr: call.args.addr, len: call.args.length, onFault, expect: 0 })
    }
    case 'munlock':
      return one({ op: 'munlock', addr: call.args.addr, len: call.args.length, expect: 0 })
    case 'mlockall':
      return one({ op: 'mlockall', flags: bitsOf(call.args.flags, MCL_BITS), expect: 0 })
    case 'munlockall':
      return one({ op: 'munlockall', expect: 0 })
    case 'mseal':
      return one({ op: 'mseal', addr: call.args.addr, len: call.args.length, flags: call.args.flags, expect: 0 })
    case 'remap_file_pages': {
      const { addr, length: len, page } = call.args
      const flags = bitsOf(call.args.flags, MAP_BITS)
      return one({ op: 'remapFilePages', addr, len, prot: protBits(call.args.prot), page, flags, expect: 0 })
    }
    case 'shmat': {
      const segment = model.segmentOf(call.args.id, result)
      if (segment === undefined) return { reason: 'the log does not say how long the segment is (record shmget, too)' }
      const file = files.segment(call.args.id, segment)
      return one({ op: 'shmat', addr: result, file, flags: bitsOf(call.args.flags, SHM_BITS), expect: result })
    }
    case 'shmdt':
      return one({ op: 'shmdt', addr: call.args.addr, expect: 0 })
    case 'mbind':
    case 'set_vma_name': {
      const { addr, length: len } = call.args
      const value = call.name === 'mbind' ? call.args.policy : call.args.label
      const label = labels.of({ kind: call.name === 'mbind' ? 'policy' : 'name', value, at: addr, model })
      return one({ op: 'setLabel', addr, len, label, expect: 0 })
    }
    case 'mincore':
    case 'msync':
      return { reason: 'which pages are in memory is not in the log' }
    case 'clone':
    case 'clone3':
    case 'fork':
      if (call.args.flags.has('CLONE_VM') || !succeeded(call)) return null
      return {
        ops: [
          { op: 'fork', slot },
          { op: 'reap', slot },
        ],
      }
    default:
      return null
  }
}

const one = (op: Op): Told => ({ ops: [op] })

function mmapOps(call: CallNamed<'mmap'>, result: number, context: Context): Told {
  const { flags: names, length, offset, path } = call.args
  if (names.has('MAP_HUGETLB')) return { reason: 'pages of hugetlb are not modelled' }
  const anonymous = names.has('MAP_ANONYMOUS')
  if (!anonymous && path === undefined && succeeded(call))
    return { reason: 'the log does not name the file (strace -y)' }
  const file =
    anonymous || path === undefined ? {} : { file: context.files.index(path, offset + pageUp(length)), offset }
  const prot = protBits(call.args.prot)
  const addr = succeeded(call) ? result : call.args.addr
  const op: Op = { op: 'mmap', addr, len: length, prot, flags: bitsOf(names, MAP_BITS), expect: result, ...file }
  const isWritable = (prot & PROT.write) !== 0
  if ((prot & (PROT.read | PROT.write)) === 0) return one(op)
  const last = result + pageUp(length) - PAGE
  return { ops: [op, ...touch(result, isWritable, context), ...touch(last, isWritable, context)] }
}

function mremapOps(call: CallNamed<'mremap'>, result: number, context: Context): Told {
  const { oldAddr, oldLength, newLength, flags: names, newAddr = 0 } = call.args
  const moved = succeeded(call) && result !== oldAddr
  const flags = bitsOf(names, MREMAP_BITS) | (moved ? MREMAP.mayMove | MREMAP.fixed : 0)
  const to = succeeded(call) ? result : newAddr
  const op = { op: 'mremap', addr: oldAddr, oldLen: oldLength, newLen: newLength, flags, newAddr: to } as const
  return { ops: [{ ...op, expect: result }, ...touch(result, true, context)] }
}

function madviseOps(ranges: readonly { readonly addr: number; readonly length: number }[], name: string): Told {
  const advice = name
    .replace(/^MADV_/, '')
    .toLowerCase()
    .replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  if (!(advice in ADVICE)) return { reason: `${name} is not modelled` }
  const [first, ...others] = ranges.map(({ addr, length: len }): Op => {
    return { op: 'madvise', addr, len, advice: advice as Advice, expect: 0 }
  })
  return first === undefined ? { reason: 'it has no ranges' } : { ops: [first, ...others] }
}

function touch(addr: number, write: boolean, { mayTouch }: Context): Op[] {
  if (!mayTouch(addr, addr + PAGE)) return []
  return [write ? { op: 'store', addr } : { op: 'load', addr }]
}

// ---- flags --------------------------------------------------------------------------------------------------------

const MAP_BITS: Readonly<Record<string, number>> = {
  MAP_SHARED: MAP.shared,
  MAP_SHARED_VALIDATE: MAP.shared | MAP.private,
  MAP_PRIVATE: MAP.private,
  MAP_DROPPABLE: MAP.droppable,
  MAP_FIXED: MAP.fixed,
  MAP_FIXED_NOREPLACE: MAP.fixedNoreplace,
  MAP_ANONYMOUS: MAP.anonymous,
  MAP_GROWSDOWN: MAP.growsDown,
  MAP_LOCKED: MAP.locked,
  MAP_NORESERVE: MAP.noreserve,
  MAP_POPULATE: MAP.populate,
  MAP_NONBLOCK: MAP.nonblock,
  MAP_STACK: MAP.stack,
}
const MREMAP_BITS: Readonly<Record<string, number>> = {
  MREMAP_MAYMOVE: MREMAP.mayMove,
  MREMAP_FIXED: MREMAP.fixed,
  MREMAP_DONTUNMAP: MREMAP.dontUnmap,
}
const MCL_BITS: Readonly<Record<string, number>> = { MCL_CURRENT: 1, MCL_FUTURE: 2, MCL_ONFAULT: 4 }
const SHM_BITS: Readonly<Record<string, number>> = {
  SHM_RDONLY: 0o10000,
  SHM_RND: 0o20000,
  SHM_REMAP: 0o40000,
  SHM_EXEC: 0o100000,
}
const PROT_BITS: Readonly<Record<string, number>> = {
  PROT_READ: PROT.read,
  PROT_WRITE: PROT.write,
  PROT_EXEC: PROT.exec,
  PROT_GROWSDOWN: PROT.growsDown,
}

/** Flags without a name here have no meaning for mappings. */
const bitsOf = (names: FlagSet, bits: Readonly<Record<string, number>>): number =>
  [...names].reduce((sum, name) => sum | (bits[name] ?? 0), 0)

const protBits = (names: FlagSet): number => bitsOf(names, PROT_BITS)
