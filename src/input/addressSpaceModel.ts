/**
 * The effect of a log's calls on the mappings of one address space: the independent answer to which both the snapshot
 * of the real kernel and the simulator's own mm are compared.
 *
 * The rules that it takes for the recordings to agree with their snapshots, VMA for VMA (Linux 6.18, x86-64):
 * - Neighbours of one kind merge when a call made or changed one of them (vmaList.ts). munmap and a shrinking brk merge
 *   nothing.
 * - "One kind" includes flags that /proc/PID/maps does not show. Two of them decide here: VM_ACCOUNT (`ac`), which a
 *   private mapping gets when it is or becomes writable and keeps for good (so the data that a loader makes read-only
 *   stays apart from the read-only segment before it, with one path and a continuing offset), and VM_NOHUGEPAGE (`nh`),
 *   which MAP_STACK sets since Linux 6.7 (so a thread's stack stays apart from the anonymous memory above it).
 * - File mappings merge when path and protection are equal and the offset continues; never with anonymous memory
 *   (.bss).
 * - brk makes and merges anonymous memory from the page end of the old break to that of the new; `[heap]` is not a
 *   property but a name: private anonymous memory that overlaps [start_brk, brk). The first break seen is start_brk.
 *   `[stack]` is a name as well, of what contains the place at which the stack began.
 * Further rules, held against the mm-steps and recordings of small programs: VM_NORESERVE (`nr`) of MAP_NORESERVE and
 * no `ac` with it; the flags of madvise, mlock, mlockall and mseal; mremap; each MAP_SHARED|MAP_ANONYMOUS and each
 * attachment of a SysV segment is a file of its own. Stacks grow down by faults, which no log shows: grow().
 *
 * What the start does not show is taken to be the plainest: writable private memory has `ac`; neighbours that would
 * merge by all that is visible differ in some way, kept as a mark of its own, and so never merge.
 * All private memory counts as written to: it keeps its offset when mremap moves it, and `ac` when it becomes
 * read-only, and what a forked child inherited never merges with what the child maps itself. isSeam() says where that
 * decides. Calls that failed change nothing, but those that stop at a hole or at sealed memory changed what was before
 * it. A call whose effect is not known leaves a range that is not known, either: unknown().
 */
import { virt } from '../base/units.js'
import type { MapsVma } from './maps.js'
import { changedBy } from './changedBy.js'
import { initialList, SEGMENT, segmentPath, SHARED_ANONYMOUS, shownFile } from './startList.js'
import type { Heap, ModelStart, Segment } from './startList.js'
import { succeeded, type Call, type CallNamed, type LogEvent, type MremapArgs } from './straceEvent.js'
import {
  ADVICE,
  isSpecial,
  LOCKED,
  lockedAs,
  mmapHidden,
  needsAccount,
  protLetters,
  refuses,
  sorted,
  withFlags,
} from './vmFlags.js'
import { alikeButForTouches, alter, insert, mappedUntil, unmap, within, type Vma, type VmaList } from './vmaList.js'

const PAGE = 4096
const pageEnd = (address: number): number => Math.ceil(address / PAGE) * PAGE

export class AddressSpaceModel {
  #list: VmaList
  #unknown: VmaList = []
  #heap: Heap | undefined
  #futureLocked: readonly string[]
  #files = 0
  /** The stack that execve made, as the start shows it. */
  readonly #stack: MapsVma | undefined
  /** SysV segments by their ids. */
  readonly #segments: Map<number, Segment>
  readonly #attachedAt: NonNullable<ModelStart['attachedAt']>
  /** The vsyscall page: shown, but no VMA of the process. */
  readonly #gate: readonly MapsVma[]

  constructor(start: readonly MapsVma[], known: ModelStart = {}) {
    const { heap, futureLocked = [], segments = [], attachedAt = () => undefined } = known
    this.#gate = start.filter((vma) => vma.start < 0)
    this.#list = initialList(start.filter((vma) => vma.start >= 0))
    this.#stack = start.find(({ path }) => path === '[stack]')
    const named = start.find(({ path }) => path === '[heap]')
    this.#heap = heap ?? (named === undefined ? undefined : { start: named.start, end: named.end })
    this.#futureLocked = futureLocked
    this.#attachedAt = attachedAt
    this.#segments = new Map(segments)
  }

  get heap(): Heap | undefined {
    return this.#heap
  }

  get futureLocked(): readonly string[] {
    return this.#futureLocked
  }

  /** What a model that goes on from here has to know besides the mappings. */
  told(attachedAt: NonNullable<ModelStart['attachedAt']>): ModelStart {
    return { heap: this.#heap, futureLocked: this.#futureLocked, attachedAt, segments: this.#segments }
  }

  /** The mappings with the flags that maps does not show. */
  get list(): VmaList {
    return this.#list
  }

  /** The mappings as /proc/PID/maps would show them. */
  maps(): MapsVma[] {
    return [...this.#list.map((vma) => this.#shown(vma)), ...this.#gate]
  }

  // ---- what is not known ------------------------------------------------------------------------------------------

  /** What is mapped in start … end is not known from now on, until it is unmapped or mapped over. */
  unknown(start: number, end: number): void {
    this.#list = unmap(this.#list, start, end)
    const range = { start, end, prot: '---', shared: false, file: '?', offset: 0, hidden: [] }
    if (start < end) this.#unknown = [...unmap(this.#unknown, start, end), range].sort((a, b) => a.start - b.start)
  }

  /** The call succeeded, and nobody repeats it: what it mapped or changed is not known. */
  omit(call: Call): void {
    for (const [start, end] of changedBy(call, (id, addr) => this.segmentOf(id, addr)?.length)) this.unknown(start, end)
  }

  isUnknown(start: number, end: number): boolean {
    return within(this.#unknown, start, end).length > 0
  }

  /** The mappings on both sides of `address` differ in nothing but what touches decide, or what nobody knows. */
  isSeam(address: number): boolean {
    const [below] = within(this.#list, address - PAGE, address)
    const [above] = within(this.#list, address, address + PAGE)
    return below === undefined || above === undefined || alikeButForTouches(below, above)
  }

  /** The segment with the id `id`, attached at `addr`; undefined: nothing tells how long it is. */
  segmentOf(id: number, addr: number): Segment | undefined {
    return this.#segments.get(id) ?? this.#attachedAt(addr)
  }

  // ---- stacks -----------------------------------------------------------------------------------------------------

  /** Nothing is mapped at `addr`, and what is mapped above it is a stack, which may grow down to it. */
  isBelowStack(addr: number): boolean {
    const above = this.#list.find((vma) => vma.end > addr)
    return above !== undefined && above.start > addr && above.hidden.includes('gd')
  }

  /** The stack above `start` has grown down to it. */
  grow(start: number): void {
    const stack = this.#list.find((vma) => vma.end > start)
    this.#list = this.#list.map((vma) =>
      vma === stack ? { ...vma, start, offset: vma.offset - (vma.start - start) } : vma,
    )
  }

  // ---- fork -------------------------------------------------------------------------------------------------------

  /**
   * What a child gets from fork now, with hidden flags: not MADV_DONTFORK ranges, nothing locked, and written memory
   * with a mark of its own. (The child shares an anon_vma with its parent there, and mm/vma.c lets such a VMA grow by
   * nothing new: vma_had_uncowed_parents.)
   */
  forked(): MapsVma[] {
    const copied = this.#list.filter(({ hidden }) => !hidden.includes('dc'))
    const marked = copied.map((vma, index) => {
      const written = !vma.shared && (vma.prot.includes('w') || vma.hidden.includes('ac'))
      const { hidden } = withFlags(vma, written ? [`forked${index}`] : [], LOCKED)
      return { ...this.#shown(vma), hidden }
    })
    return [...marked, ...this.#gate]
  }

  // ---- calls ------------------------------------------------------------------------------------------------------

  /** Applies a call. The result says why it could not: what it changed is not known then. */
  apply(event: LogEvent): string | undefined {
    if (event.kind !== 'call' || event.result === undefined) return undefined
    if (event.name === 'mprotect' || event.name === 'pkey_mprotect') return this.#mprotect(event)
    if (event.name === 'madvise') return this.#madvise(event)
    if (event.name === 'mlock' || event.name === 'mlock2' || event.name === 'munlock') return this.#mlock(event)
    return succeeded(event) ? this.#applyWhole(event, event.result) : undefined
  }

  /** Calls that do all or nothing. */
  #applyWhole(event: Call, result: number): string | undefined {
    switch (event.name) {
      case 'mmap':
        return this.#mmap(event, result)
      case 'munmap':
        return this.#unmap(event.args.addr, event.args.addr + pageEnd(event.args.length))
      case 'mremap':
        return this.#mremap(event.args, result)
      case 'brk':
        return this.#brk(event, result)
      case 'mlockall':
        return this.#mlockall([...event.args.flags])
      case 'munlockall':
        return this.#mlockall([])
      case 'mseal':
        return this.#alterAll(event.args.addr, event.args.length, (part) => withFlags(part, ['sl'], []))
      case 'remap_file_pages':
        return this.#remapFilePages(event)
      case 'shmget':
        this.#segments.set(result, { length: pageEnd(event.args.size), path: segmentPath(event.args.key) })
        return undefined
      case 'shmat':
        return this.#shmat(event, result)
      case 'shmdt':
        return this.#shmdt(event.args.addr)
      case 'set_vma_name':
        return this.#mark(event.args.addr, event.args.length, 'name:', event.args.label)
      case 'mbind':
        return this.#mark(event.args.addr, event.args.length, 'policy:', event.args.policy)
      default:
        return undefined
    }
  }

  #insert(vma: Vma): undefined {
    this.#unknown = unmap(this.#unknown, vma.start, vma.end)
    this.#list = insert(this.#list, vma)
  }

  #unmap(start: number, end: number): undefined {
    this.#unknown = unmap(this.#unknown, start, end)
    this.#list = unmap(this.#list, start, end)
  }

  #alterAll(start: number, length: number, change: (part: Vma) => Vma): undefined {
    this.#list = alter(this.#list, start, start + pageEnd(length), change)
  }

  #mmap(event: CallNamed<'mmap'>, start: number): string | undefined {
    const { prot: protFlags, flags, length, path = '', offset: fileOffset } = event.args
    if (flags.has('MAP_HUGETLB')) {
      this.unknown(start, start + pageEnd(length))
      return 'pages of hugetlb are not modelled'
    }
    const shared = flags.has('MAP_SHARED') || flags.has('MAP_SHARED_VALIDATE')
    const anonymous = flags.has('MAP_ANONYMOUS')
    const file = anonymous ? (shared ? this.#ownFile(SHARED_ANONYMOUS) : undefined) : path
    const offset = file === undefined ? start : anonymous ? 0 : fileOffset
    const prot = protLetters(protFlags)
    const own = mmapHidden(flags, prot, shared)
    const hidden = own.includes('dp') ? own : sorted([...own, ...this.#futureLocked])
    return this.#insert({ start, end: start + pageEnd(length), prot, shared, file, offset, hidden })
  }

  /** Stops at the first hole (ENOMEM) and at the first sealed mapping (EPERM); what lies before is changed. */
  #mprotect(event: CallNamed<'mprotect' | 'pkey_mprotect'>): undefined {
    const { addr, length, prot: flags } = event.args
    if (event.errno !== undefined && event.errno !== 'ENOMEM' && event.errno !== 'EPERM') return
    const asked = addr + pageEnd(length)
    const [first] = within(this.#list, addr, asked)
    const stack = flags.has('PROT_GROWSDOWN') ? this.#list.find((vma) => vma.end > (first?.start ?? asked)) : undefined
    const start = stack?.start ?? addr
    const sealed = within(this.#list, start, asked).find(({ hidden }) => hidden.includes('sl'))
    const hole = event.errno === undefined ? asked : Math.min(asked, mappedUntil(this.#list, start))
    const end = event.errno === 'EPERM' ? Math.min(hole, sealed?.start ?? start) : hole
    const prot = protLetters(flags)
    const pkey = event.name === 'pkey_mprotect' && event.args.pkey > 0 ? `pkey${event.args.pkey}` : undefined
    this.#list = alter(this.#list, start, end, (part) => {
      const plain = part.hidden.filter((flag) => event.name === 'mprotect' || !flag.startsWith('pkey'))
      const kept = pkey === undefined ? plain : sorted([...plain, pkey])
      return { ...part, prot, hidden: needsAccount(part, prot) ? sorted([...kept, 'ac']) : kept }
    })
  }

  /**
   * Goes on behind a hole and says ENOMEM in the end; stops at a mapping that refuses the advice (EINVAL, and EPERM
   * where it is sealed).
   */
  #madvise(event: CallNamed<'madvise'>): undefined {
    const { addr, length, advice } = event.args
    const change = Object.hasOwn(ADVICE, advice) ? ADVICE[advice] : undefined
    if (change === undefined) return
    const asked = addr + pageEnd(length)
    const stop = within(this.#list, addr, asked).find((vma) => refuses(vma, advice))?.start ?? asked
    if (event.errno !== undefined && event.errno !== 'ENOMEM' && stop === asked) return
    const ignored = (part: Vma): boolean =>
      advice === 'MADV_MERGEABLE' && (part.shared || part.hidden.includes('dp') || isSpecial(part))
    this.#list = alter(this.#list, addr, stop, (part) =>
      ignored(part) ? part : withFlags(part, change.set, change.clear),
    )
  }

  /**
   * ENOMEM is from a hole, or from pages that may not be touched (all is locked then), or from a limit (nothing is).
   */
  #mlock(event: CallNamed<'mlock' | 'mlock2' | 'munlock'>): undefined {
    const start = event.args.addr - (event.args.addr % PAGE)
    const asked = pageEnd(event.args.addr + event.args.length)
    const mapped = mappedUntil(this.#list, start)
    const untouchable = within(this.#list, start, asked).some(({ prot }) => prot === '---')
    if (event.errno !== undefined && (event.errno !== 'ENOMEM' || (mapped >= asked && !untouchable))) return
    const onFault = event.name === 'mlock2' && event.args.flags.has('MLOCK_ONFAULT')
    const set = event.name === 'munlock' ? [] : onFault ? LOCKED : ['lo']
    this.#list = alter(this.#list, start, Math.min(asked, mapped), (part) => lockedAs(part, set))
  }

  /** What is mapped from now on, and what is mapped unless only that was asked for. */
  #mlockall(flags: readonly string[]): undefined {
    const set = flags.includes('MCL_ONFAULT') ? LOCKED : ['lo']
    this.#futureLocked = flags.includes('MCL_FUTURE') ? set : []
    if (flags.includes('MCL_FUTURE') && !flags.includes('MCL_CURRENT')) return
    const current = flags.includes('MCL_CURRENT') ? set : []
    this.#list = alter(this.#list, 0, Infinity, (part) => lockedAs(part, current))
  }

  #mremap(args: MremapArgs, result: number): undefined {
    const [oldLength, newLength] = [pageEnd(args.oldLength), pageEnd(args.newLength)]
    const [oldStart, oldEnd] = [args.oldAddr, args.oldAddr + oldLength]
    if (result !== oldStart) return this.#move(args, result, oldLength, newLength)
    if (newLength <= oldLength) this.#unmap(oldStart + newLength, oldEnd)
    const [last] = within(this.#list, oldEnd - PAGE, oldEnd)
    if (newLength > oldLength && last !== undefined) this.#insert({ ...last, end: oldStart + newLength })
  }

  /**
   * An old length of 0 makes a second mapping of shared memory; MREMAP_DONTUNMAP leaves an empty one behind. Since 6.17
   * several VMAs can move at once, and what lies at the target is unmapped under each of them, not under their holes.
   */
  #move(args: MremapArgs, to: number, oldLength: number, newLength: number): undefined {
    const from = args.oldAddr
    const parts = within(this.#list, from, from + Math.max(Math.min(oldLength, newLength), PAGE))
    if (args.flags.has('MREMAP_DONTUNMAP')) {
      this.#list = alter(this.#list, from, from + oldLength, (part) => withFlags(part, [], LOCKED))
    } else this.#unmap(from, from + oldLength)
    parts.forEach((part, index) => {
      const start = to + (part.start - from)
      const grows = newLength > oldLength && index === parts.length - 1
      const end = grows ? to + newLength : to + (part.end - from)
      this.#insert({ ...part, start, end })
    })
  }

  /** brk returns the break that holds afterwards: the old one when it could not move. */
  #brk(event: CallNamed<'brk'>, result: number): string | undefined {
    if (this.#heap === undefined) {
      if (event.args.addr !== undefined) return 'the log did not ask before where the break is'
      this.#heap = { start: result, end: result }
      return undefined
    }
    const [from, to] = [pageEnd(this.#heap.end), pageEnd(result)]
    this.#heap = { ...this.#heap, end: result }
    if (to < from) this.#unmap(to, from)
    const hidden = sorted(['ac', ...this.#futureLocked])
    const anonymous = { prot: 'rw-', shared: false, file: undefined, hidden }
    if (to > from) this.#insert({ ...anonymous, start: from, end: to, offset: from })
    return undefined
  }

  // ---- shared memory ----------------------------------------------------------------------------------------------

  #remapFilePages({ args }: CallNamed<'remap_file_pages'>): undefined {
    const start = args.addr - (args.addr % PAGE)
    const end = start + args.length - (args.length % PAGE)
    const [first] = within(this.#list, start, end)
    if (first !== undefined) this.#insert({ ...first, start, end, offset: args.page * PAGE })
  }

  #shmat(event: CallNamed<'shmat'>, start: number): string | undefined {
    const segment = this.segmentOf(event.args.id, start)
    if (segment === undefined) return 'the log does not say how long the segment is (record shmget, too)'
    const { flags } = event.args
    const prot = `r${flags.has('SHM_RDONLY') ? '-' : 'w'}${flags.has('SHM_EXEC') ? 'x' : '-'}`
    const file = this.#ownFile(segment.path)
    const hidden = this.#futureLocked
    return this.#insert({ start, end: start + segment.length, prot, shared: true, file, offset: 0, hidden })
  }

  #shmdt(addr: number): undefined {
    const attached = this.#list.find(
      (vma) => vma.start >= addr && vma.file?.startsWith(SEGMENT) === true && vma.start - vma.offset === addr,
    )
    const own = this.#list.filter((vma) => vma.file === attached?.file && vma.start - vma.offset === addr)
    for (const vma of own) this.#unmap(vma.start, vma.end)
  }

  #ownFile(name: string): string {
    return `${name}#${++this.#files}`
  }

  // ---- names ------------------------------------------------------------------------------------------------------

  /** Gives mappings a mark of one kind, in place of the one that they have; none for an empty `value`. */
  #mark(start: number, length: number, kind: string, value: string): undefined {
    this.#alterAll(start, length, (part) => ({
      ...part,
      hidden: sorted([
        ...part.hidden.filter((flag) => !flag.startsWith(kind)),
        ...(value === '' ? [] : [`${kind}${value}`]),
      ]),
    }))
  }

  #shown(vma: Vma): MapsVma {
    const path = vma.file === undefined ? this.#anonymousName(vma) : shownFile(vma.file)
    const offset = vma.file === undefined || path.startsWith('[') ? 0 : vma.offset
    const perms = `${vma.prot}${vma.shared ? 's' : 'p'}`
    return { start: virt(vma.start), end: virt(vma.end), perms, offset, path }
  }

  #anonymousName(vma: Vma): string {
    const [heap, stack] = [this.#heap, this.#stack]
    if (heap !== undefined && vma.start < heap.end && vma.end > heap.start) return '[heap]'
    if (stack !== undefined && vma.start < stack.end && vma.end >= stack.end) return '[stack]'
    const name = vma.hidden.find((flag) => flag.startsWith('name:'))
    return name === undefined ? '' : `[anon:${name.slice('name:'.length)}]`
  }
}
