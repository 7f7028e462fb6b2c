/**
 * A recorded address space as programs: what it looked like at the start, and what each of its threads then called.
 *
 * Every call is replayed at the address it had. A mmap without MAP_FIXED gives the recorded address as a hint, so it
 * comes out there only if the simulated address space has room where the real one had. Calls of different threads take
 * turns in the order in which they took effect; between the calls the threads touch memory, while two further CPUs pin
 * pages with gup_fast and collapse huge pages, which is where they race.
 */
import type { MapsVma } from '../../input/maps.js'
import type { RecordedSpace } from '../../input/recording.js'
import { succeeded, type Call, type FlagSet } from '../../input/straceEvent.js'
import { ADVICE, MAP, MREMAP, PROT, type Advice, type Op, type Program } from '../../program/op.js'

export interface RecordingPrograms {
  readonly boot: Program
  /** One for each CPU: those of the threads, then the pinning CPU, then khugepaged. */
  readonly programs: readonly Program[]
  /** Names of the files that operations name by index; brackets for the kernel's special mappings. */
  readonly files: readonly string[]
  /** Length of each in pages. */
  readonly filePages: readonly number[]
  readonly heap: { readonly start: number; readonly end: number } | undefined
  readonly calls: number
}

const PAGE = 4096
/** Beyond this the mapping is not the process's own: [vsyscall]. */
const USER_END = 2 ** 47
/** Turns of the pinning and collapsing CPUs. */
const BACKGROUND_ROUNDS = 150
/** The word that says whose turn it is. */
const TURN = 0

/** `threadCpus`: how many CPUs the threads share, at least 1. */
export function recordingPrograms(recorded: RecordedSpace, threadCpus: number): RecordingPrograms {
  const files = new FileTable()
  const start = recorded.start.filter((vma) => vma.start >= 0 && vma.start < USER_END)
  const boot = start.flatMap((vma, i) => mapAtStart(vma, start[i - 1], files))
  const programs: Op[][] = Array.from({ length: threadCpus }, () => [])
  const cpuOf = new Map<number, number>()
  let turn = 0
  for (const event of recorded.events) {
    if (event.kind !== 'call' || !succeeded(event)) continue
    const ops = callOps(event, files)
    if (ops.length === 0) continue
    if (!cpuOf.has(event.tid)) cpuOf.set(event.tid, cpuOf.size % threadCpus)
    const program = programs[cpuOf.get(event.tid) as number] as Op[]
    const [call, ...touches] = ops as [Op, ...Op[]]
    program.push(
      { op: 'awaitWord', word: TURN, value: turn },
      call,
      { op: 'storeRelease', word: TURN, value: ++turn },
      ...touches,
    )
  }
  const background = backgroundPrograms(start)
  const { names, pages } = files
  return {
    boot,
    programs: [...programs, ...background],
    files: names,
    filePages: pages,
    heap: recorded.heap,
    calls: turn,
  }
}

// ---- the start ----------------------------------------------------------------------------------------------------

function mapAtStart(vma: MapsVma, before: MapsVma | undefined, files: FileTable): Op[] {
  const len = vma.end - vma.start
  const prot = protOf(vma.perms)
  const map = (withProt: number): Op => ({
    op: 'mmap',
    addr: vma.start,
    len,
    prot: withProt,
    flags: MAP.fixed | (vma.perms[3] === 's' ? MAP.shared : MAP.private) | (isAnonymous(vma.path) ? MAP.anonymous : 0),
    ...(isAnonymous(vma.path) ? {} : { file: files.index(vma.path, vma.offset + len), offset: vma.offset }),
  })
  // Two neighbours that look alike and yet are two: the second was writable once and keeps VM_ACCOUNT.
  if (before === undefined || !looksMergeable(before, vma)) return [map(prot)]
  return [map(prot | PROT.write), { op: 'mprotect', addr: vma.start, len, prot }]
}

const isAnonymous = (path: string): boolean =>
  path === '' || path === '[heap]' || path.startsWith('[stack') || path.startsWith('[anon')

function looksMergeable(a: MapsVma, b: MapsVma): boolean {
  if (a.end !== b.start || a.perms !== b.perms || a.perms[1] === 'w') return false
  if (isAnonymous(a.path) && isAnonymous(b.path)) return true
  return a.path === b.path && a.offset + (a.end - a.start) === b.offset
}

function protOf(perms: string): number {
  return (perms[0] === 'r' ? PROT.read : 0) | (perms[1] === 'w' ? PROT.write : 0) | (perms[2] === 'x' ? PROT.exec : 0)
}

// ---- the calls ----------------------------------------------------------------------------------------------------

/** The call, then the touches that follow it; empty when it changes no mapping of this address space. */
function callOps(call: Call, files: FileTable): Op[] {
  const result = call.result as number
  switch (call.name) {
    case 'mmap':
      return mmapOps(call.args, result, files)
    case 'munmap':
      return [{ op: 'munmap', addr: call.args.addr, len: call.args.length, expect: 0 }]
    case 'mprotect':
    case 'pkey_mprotect':
      return [
        { op: 'mprotect', addr: call.args.addr, len: call.args.length, prot: protBits(call.args.prot), expect: 0 },
      ]
    case 'madvise':
      return madviseOps(call.args.addr, call.args.length, call.args.advice)
    case 'mremap': {
      const { oldAddr, oldLength, newLength } = call.args
      const moved = result !== oldAddr
      const flags = moved ? MREMAP.mayMove | MREMAP.fixed : 0
      const keep = call.args.flags.has('MREMAP_DONTUNMAP') ? MREMAP.dontUnmap : 0
      return [
        {
          op: 'mremap',
          addr: oldAddr,
          oldLen: oldLength,
          newLen: newLength,
          flags: flags | keep,
          newAddr: result,
          expect: result,
        },
        touch(result, true),
      ]
    }
    case 'brk':
      return call.args.addr === undefined
        ? []
        : [{ op: 'brk', addr: call.args.addr, expect: result }, touch(pageDown(result - 1), true)]
    case 'clone':
    case 'clone3':
    case 'fork':
      if (call.args.flags.has('CLONE_VM')) return []
      return [
        { op: 'fork', slot: 0 },
        { op: 'reap', slot: 0 },
      ]
    default:
      return []
  }
}

function mmapOps(args: Extract<Call, { name: 'mmap' }>['args'], result: number, files: FileTable): Op[] {
  const anonymous = args.flags.has('MAP_ANONYMOUS')
  const prot = protBits(args.prot)
  const flags =
    (args.flags.has('MAP_FIXED') ? MAP.fixed : 0) |
    (args.flags.has('MAP_SHARED') ? MAP.shared : MAP.private) |
    (args.flags.has('MAP_STACK') ? MAP_STACK : 0) |
    (args.flags.has('MAP_NORESERVE') ? MAP_NORESERVE : 0) |
    (anonymous ? MAP.anonymous : 0)
  const file = anonymous
    ? {}
    : { file: files.index(args.path ?? '?', args.offset + pageUp(args.length)), offset: args.offset }
  const op: Op = { op: 'mmap', addr: result, len: args.length, prot, flags, expect: result, ...file }
  const last = result + pageUp(args.length) - PAGE
  const writable = (prot & PROT.write) !== 0
  return (prot & (PROT.read | PROT.write)) === 0 ? [op] : [op, touch(result, writable), touch(last, writable)]
}

const MAP_NORESERVE = 0x4000
const MAP_STACK = 0x20000

function madviseOps(addr: number, len: number, name: string): Op[] {
  const advice = name
    .replace(/^MADV_/, '')
    .toLowerCase()
    .replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
  return advice in ADVICE ? [{ op: 'madvise', addr, len, advice: advice as Advice, expect: 0 }] : []
}

const touch = (addr: number, write: boolean): Op => (write ? { op: 'store', addr } : { op: 'load', addr })
const pageUp = (n: number): number => Math.ceil(n / PAGE) * PAGE
const pageDown = (n: number): number => Math.floor(n / PAGE) * PAGE

function protBits(prot: FlagSet): number {
  return (
    (prot.has('PROT_READ') ? PROT.read : 0) |
    (prot.has('PROT_WRITE') ? PROT.write : 0) |
    (prot.has('PROT_EXEC') ? PROT.exec : 0)
  )
}

// ---- the further CPUs ---------------------------------------------------------------------------------------------

function backgroundPrograms(start: readonly MapsVma[]): Program[] {
  const private_ = start.filter((vma) => vma.perms[3] === 'p')
  const over = (make: (vma: MapsVma) => Op): Program[] => private_.map((vma) => [make(vma)])
  const pick = (vma: MapsVma): { from: number; step: number; count: number } => ({
    from: vma.start,
    step: PAGE,
    count: Math.min(64, (vma.end - vma.start) / PAGE),
  })
  const pins = over((vma) => ({
    op: 'gup',
    addr: pick(vma),
    pages: 2,
    pin: true,
    write: vma.perms[1] === 'w',
    fastOnly: true,
  }))
  const collapses = over((vma) => ({ op: 'collapse', addr: vma.start }))
  return [pins, collapses].map((of) => [{ op: 'repeat', times: BACKGROUND_ROUNDS, body: [{ op: 'oneOf', of }] }])
}

class FileTable {
  readonly names: string[] = []
  readonly pages: number[] = []

  index(name: string, bytes: number): number {
    let at = this.names.indexOf(name)
    if (at < 0) {
      at = this.names.push(name) - 1
      this.pages.push(1)
    }
    this.pages[at] = Math.max(this.pages[at] as number, pageUp(bytes) / PAGE)
    return at
  }
}
